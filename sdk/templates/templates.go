// Package templates writes the beginnings of a plugin: a module that compiles, a test that passes, and a README. It is
// what `drover plugin new` does.
package templates

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"go/format"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"
)

//go:embed all:files
var files embed.FS

// SDK is the module that a plugin requires.
const SDK = "github.com/droverhq/drover/sdk"

// Options say what is written.
type Options struct {
	Kind       string // driver, device or network
	Name       string // as jobs call it: small letters, digits, - and _
	Module     string // module path; empty = the binary's name
	SDKVersion string // version of the SDK to require; empty = the author gets one
}

// Binary is the name of the plugin's binary: one plugin name per binary.
func (o Options) Binary() string {
	return "drover-" + o.Kind + "-" + strings.ReplaceAll(o.Name, "_", "-")
}

// Type is the plugin's name as a Go identifier.
func (o Options) Type() string {
	words := strings.FieldsFunc(o.Name, func(r rune) bool { return r == '-' || r == '_' })
	name := words[0]
	for _, w := range words[1:] {
		name += strings.ToUpper(w[:1]) + w[1:]
	}
	return name + "Plugin" // never a word of the language or of the file
}

// SDK is the SDK's module path.
func (o Options) SDK() string { return SDK }

var validName = regexp.MustCompile(`^[a-z][a-z0-9]*([-_][a-z0-9]+)*$`)

func (o Options) check() error {
	switch o.Kind {
	case "driver", "device", "network":
	default:
		return fmt.Errorf("kind %q is unknown: want driver, device or network", o.Kind)
	}
	if !validName.MatchString(o.Name) || len(o.Name) > 64 {
		return fmt.Errorf("name %q: want small letters, digits, - and _, beginning with a letter, at most 64", o.Name)
	}
	return nil
}

// Write writes the plugin into dir, which must be empty or not exist, and returns the names of the files.
func Write(dir string, o Options) ([]string, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.Module == "" {
		o.Module = o.Binary()
	}
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return nil, fmt.Errorf("%s is not empty; choose another directory", dir)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	root := path.Join("files", o.Kind)
	found, err := fs.ReadDir(files, root)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	var names []string
	for _, f := range found {
		name := strings.TrimSuffix(f.Name(), ".tmpl")
		text, err := render(path.Join(root, f.Name()), name, o)
		if err != nil {
			return nil, fmt.Errorf("write %s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, nil
}

func render(file, name string, o Options) ([]byte, error) {
	src, err := files.ReadFile(file)
	if err != nil {
		return nil, err
	}
	t, err := template.New(name).Delims("<<", ">>").Parse(string(src))
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := t.Execute(&b, o); err != nil {
		return nil, err
	}
	if !strings.HasSuffix(name, ".go") {
		return b.Bytes(), nil
	}
	return format.Source(b.Bytes()) // names of other lengths change the alignment
}
