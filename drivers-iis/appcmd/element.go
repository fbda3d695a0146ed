package appcmd

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Element is one element of IIS' configuration, or of the lists in which appcmd shows it. Text between elements has no
// meaning there and is not kept.
type Element struct {
	Name     string
	Attrs    []Attr
	Children []*Element
}

// Attr is an attribute; their order is kept.
type Attr struct{ Name, Value string }

// maxDepth bounds how deeply elements may lie in each other; IIS' own schema has six levels.
const maxDepth = 32

// New makes an element with attributes given as name, value, name, value ...
func New(name string, attrs ...string) *Element {
	e := &Element{Name: name}
	for i := 0; i+1 < len(attrs); i += 2 {
		e.Set(attrs[i], attrs[i+1])
	}
	return e
}

// Get returns an attribute, empty if it is not there.
func (e *Element) Get(name string) string {
	for _, a := range e.Attrs {
		if strings.EqualFold(a.Name, name) {
			return a.Value
		}
	}
	return ""
}

// Set adds or replaces an attribute; IIS does not mind the case of its name.
func (e *Element) Set(name, value string) {
	for i := range e.Attrs {
		if strings.EqualFold(e.Attrs[i].Name, name) {
			e.Attrs[i].Value = value
			return
		}
	}
	e.Attrs = append(e.Attrs, Attr{name, value})
}

// Unset removes an attribute.
func (e *Element) Unset(name string) {
	for i := range e.Attrs {
		if strings.EqualFold(e.Attrs[i].Name, name) {
			e.Attrs = append(e.Attrs[:i], e.Attrs[i+1:]...)
			return
		}
	}
}

// Find returns the first child of that name, nil if there is none.
func (e *Element) Find(name string) *Element {
	for _, c := range e.Children {
		if strings.EqualFold(c.Name, name) {
			return c
		}
	}
	return nil
}

// Child returns the first child of that name and makes it if it is missing.
func (e *Element) Child(name string) *Element {
	if c := e.Find(name); c != nil {
		return c
	}
	return e.Add(New(name))
}

// Add appends a child and returns it.
func (e *Element) Add(child *Element) *Element {
	e.Children = append(e.Children, child)
	return child
}

// All returns every child of that name.
func (e *Element) All(name string) []*Element {
	var all []*Element
	for _, c := range e.Children {
		if strings.EqualFold(c.Name, name) {
			all = append(all, c)
		}
	}
	return all
}

// Encode writes the element as XML. Characters that XML cannot hold are refused: IIS would refuse the whole file.
func (e *Element) Encode() ([]byte, error) {
	var b bytes.Buffer
	err := e.write(&b)
	return b.Bytes(), err
}

func (e *Element) write(b *bytes.Buffer) error {
	fmt.Fprintf(b, "<%s", e.Name)
	for _, a := range e.Attrs {
		if i := strings.IndexFunc(a.Value, func(r rune) bool { return r < ' ' && r != '\t' && r != '\n' && r != '\r' }); i >= 0 {
			return fmt.Errorf("attribute %s of %s has a control character at byte %d", a.Name, e.Name, i)
		}
		fmt.Fprintf(b, ` %s="`, a.Name)
		if err := xml.EscapeText(b, []byte(a.Value)); err != nil {
			return err
		}
		b.WriteByte('"')
	}
	if len(e.Children) == 0 {
		b.WriteString(" />")
		return nil
	}
	b.WriteByte('>')
	for _, c := range e.Children {
		if err := c.write(b); err != nil {
			return err
		}
	}
	fmt.Fprintf(b, "</%s>", e.Name)
	return nil
}

// Parse reads one XML document.
func Parse(data []byte) (*Element, error) {
	dec := xml.NewDecoder(bytes.NewReader(data))
	dec.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil }
	var open []*Element
	var root *Element
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		switch t := token.(type) {
		case xml.StartElement:
			e := New(t.Name.Local)
			for _, a := range t.Attr {
				e.Set(a.Name.Local, a.Value)
			}
			switch {
			case len(open) >= maxDepth:
				return nil, fmt.Errorf("elements lie more than %d deep in each other", maxDepth)
			case len(open) > 0:
				open[len(open)-1].Add(e)
			case root != nil:
				return nil, errors.New("more than one root element")
			default:
				root = e
			}
			open = append(open, e)
		case xml.EndElement:
			open = open[:len(open)-1]
		}
	}
	if root == nil {
		return nil, errors.New("no element")
	}
	return root, nil
}
