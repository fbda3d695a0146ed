package schema

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/hashicorp/hcl/v2"
)

// diagnosticsOf says what HCL found in terms of the configuration: with a path instead of a place in generated JSON.
func diagnosticsOf(diags hcl.Diagnostics, text []byte) Diagnostics {
	if len(diags) == 0 {
		return nil
	}
	spans := spansOf(text)
	found := make(Diagnostics, 0, len(diags))
	for _, d := range diags {
		x := Diagnostic{Severity: Warning, Summary: d.Summary, Detail: d.Detail}
		if d.Severity == hcl.DiagError {
			x.Severity = Error
		}
		if x.Summary == "Extraneous JSON object property" { // the user wrote no JSON
			x.Summary = "Unsupported argument"
		}
		if d.Subject != nil {
			x.Path = pathAt(spans, d.Subject.Start.Byte)
		}
		found = append(found, x)
	}
	return found
}

// span is where one value, with its key, lies in the text.
type span struct {
	start, end int
	path       string
}

// pathAt finds the innermost value at an offset.
func pathAt(spans []span, offset int) string {
	path, size := "", -1
	for _, s := range spans {
		if s.start <= offset && offset < s.end && (size < 0 || s.end-s.start < size) {
			path, size = s.path, s.end-s.start
		}
	}
	return path
}

// spansOf finds the values of a JSON text.
func spansOf(text []byte) []span {
	w := &spanWalker{text: text, dec: json.NewDecoder(bytes.NewReader(text))}
	w.dec.UseNumber()
	if err := w.value("", 0); err != nil {
		return nil
	}
	return w.spans
}

type spanWalker struct {
	text  []byte
	dec   *json.Decoder
	spans []span
}

// value reads one value; start is where its key begins, or it itself.
func (w *spanWalker) value(path string, start int) error {
	token, err := w.dec.Token()
	if err != nil {
		return err
	}
	switch token {
	case json.Delim('{'):
		for w.dec.More() {
			at := w.next()
			key, err := w.dec.Token()
			if err != nil {
				return err
			}
			if err := w.value(joinPath(path, fmt.Sprint(key)), at); err != nil {
				return err
			}
		}
		_, err = w.dec.Token()
	case json.Delim('['):
		for i := 0; w.dec.More(); i++ {
			at := w.next()
			if err := w.value(fmt.Sprintf("%s[%d]", path, i), at); err != nil {
				return err
			}
		}
		_, err = w.dec.Token()
	}
	w.spans = append(w.spans, span{start: start, end: int(w.dec.InputOffset()), path: path})
	return err
}

// next is where the next token begins.
func (w *spanWalker) next() int {
	at := int(w.dec.InputOffset())
	for at < len(w.text) && bytes.IndexByte([]byte(", \t\r\n"), w.text[at]) >= 0 {
		at++
	}
	return at
}
