package schema

import (
	"strings"

	extensionv1 "github.com/droverhq/drover/sdk/proto/extension/v1"
)

// Severity says whether a diagnostic refuses a configuration.
type Severity int32

// The severities. The numbers are the wire's.
const (
	Error   Severity = 0
	Warning Severity = 1
)

// Diagnostic is one thing to say about a configuration, for the person who wrote it.
type Diagnostic struct {
	Severity Severity
	Summary  string // a short phrase: "Unsupported argument"
	Detail   string // a sentence: what is wrong and what to do
	Path     string // where, such as "gc.image_delay" or "devices[0].host_path"; empty = the whole configuration
}

// Diagnostics is everything there is to say. As an error it is the text of its errors.
type Diagnostics []Diagnostic

// HasErrors reports whether any diagnostic refuses the configuration.
func (d Diagnostics) HasErrors() bool {
	for _, x := range d {
		if x.Severity == Error {
			return true
		}
	}
	return false
}

// Err returns d as an error, or nil if it holds no errors.
func (d Diagnostics) Err() error {
	if d.HasErrors() {
		return d
	}
	return nil
}

// Error joins the texts of the errors with semicolons.
func (d Diagnostics) Error() string {
	var texts []string
	for _, x := range d {
		if x.Severity == Error {
			texts = append(texts, x.String())
		}
	}
	return strings.Join(texts, "; ")
}

// String is "path: summary: detail".
func (d Diagnostic) String() string {
	var parts []string
	for _, p := range []string{d.Path, strings.TrimSuffix(d.Summary, "."), d.Detail} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	return strings.Join(parts, ": ")
}

// Proto returns the wire form.
func (d Diagnostic) Proto() *extensionv1.Diagnostic {
	return &extensionv1.Diagnostic{
		Severity: extensionv1.Diagnostic_Severity(d.Severity),
		Summary:  strings.ToValidUTF8(d.Summary, "\uFFFD"),
		Detail:   strings.ToValidUTF8(d.Detail, "\uFFFD"),
		Path:     strings.ToValidUTF8(d.Path, "\uFFFD"),
	}
}

// DiagnosticFromProto reads the wire form.
func DiagnosticFromProto(p *extensionv1.Diagnostic) Diagnostic {
	return Diagnostic{Severity: Severity(p.GetSeverity()), Summary: p.GetSummary(), Detail: p.GetDetail(), Path: p.GetPath()}
}
