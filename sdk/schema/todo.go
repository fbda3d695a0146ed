package schema

import "errors"

// Of makes the schema of a configuration struct from its `config` tags.
func Of[C any]() (*Spec, error) { return nil, errors.New("schema: not built yet") }

// Decode reads a configuration as it arrives from a host into a struct with `config` tags.
func Decode(data []byte, into any) error { return errors.New("schema: not built yet") }

// Check reports why a spec cannot be used.
func (s *Spec) Check() error { return nil }

// Encode is not built yet.
func (s *Spec) Encode(config map[string]any, vars *Variables) ([]byte, error) {
	return nil, errors.New("schema: not built yet")
}

// Variables is not built yet.
type Variables struct {
	Env  map[string]string
	Node map[string]string
}
