package schema

import (
	"encoding/json"
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hcldec"
	hcljson "github.com/hashicorp/hcl/v2/json"
	"github.com/zclconf/go-cty/cty"
	ctymsgpack "github.com/zclconf/go-cty/cty/msgpack"
)

// Encode turns a configuration, as it stands in a job or an agent's file, into the bytes that a plugin gets. Text may
// hold ${...}, which takes its values from vars; nil vars leave only functions. Keys that the schema does not know,
// missing ones, values of a wrong type and unknown variables are refused. The error is a Diagnostics then.
func (s *Spec) Encode(config map[string]any, vars *Variables) ([]byte, error) {
	v, diags, err := s.decode(config, func(used []hcl.Traversal) map[string]cty.Value { return vars.resolve(used) })
	if err != nil {
		return nil, err
	}
	if err := diags.Err(); err != nil {
		return nil, err
	}
	data, err := marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode configuration: %w", err)
	}
	return data, nil
}

// Validate checks a configuration before it is known where it will run: every ${...} stands for a value that fits.
// Functions are evaluated as far as they can be.
func (s *Spec) Validate(config map[string]any) Diagnostics {
	_, diags, err := s.decode(config, unknown)
	if err != nil {
		return Diagnostics{{Summary: "Configuration cannot be checked", Detail: err.Error()}}
	}
	return diags
}

// decode runs HCL's own decoder over the configuration as a JSON body: its text is HCL templates.
func (s *Spec) decode(config map[string]any, values func([]hcl.Traversal) map[string]cty.Value) (v cty.Value, found Diagnostics, err error) {
	spec, err := s.compile()
	if err != nil {
		return cty.NilVal, nil, err
	}
	if config == nil {
		config = map[string]any{}
	}
	text, err := json.Marshal(config)
	if err != nil {
		return cty.NilVal, nil, fmt.Errorf("configuration is not plain data: %w", err)
	}
	file, diags := hcljson.Parse(text, "config")
	if diags.HasErrors() {
		return cty.NilVal, diagnosticsOf(diags, text), nil
	}
	// The decoder's library panics on some combinations of schema and value; schemas come from plugins.
	defer func() {
		if r := recover(); r != nil {
			v, found, err = cty.NilVal, nil, fmt.Errorf("the schema cannot be used with this configuration: %v", r)
		}
	}()
	ctx := &hcl.EvalContext{Functions: functions(), Variables: values(hcldec.Variables(file.Body, spec))}
	v, diags = hcldec.Decode(file.Body, spec, ctx)
	return v, diagnosticsOf(diags, text), nil
}

// marshal writes a value with its own type as the schema, so that nothing but the value is on the wire.
func marshal(v cty.Value) ([]byte, error) { return ctymsgpack.Marshal(v, v.Type()) }
