package jobspec

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/droverhq/drover/core/model"
)

// FromJSON reads a job in the API's form, {"Job": {...}} or the job alone. Keys are matched whatever their case;
// fields that the grammar does not have are ignored, with a warning where one looks like a slip of the pen. The error,
// if any, is a Diagnostics.
func FromJSON(body []byte) (job *model.Job, warnings []string, err error) {
	f, err := ParseJSON("", body, 0)
	if err != nil {
		return nil, nil, err
	}
	return f.Job, f.Warnings, nil
}

// ParseJSON is FromJSON for a file: errors name it. maxSize is in bytes and bounds the job, not what lies beside it in
// an API body; 0 = DefaultMaxSize.
func ParseJSON(filename string, body []byte, maxSize int) (*File, error) {
	v, err := unwrap(filename, body, maxSize)
	if err != nil {
		return nil, err
	}
	j := &jsonReader{file: filename}
	t := j.job(v)
	if j.diags.HasErrors() {
		return nil, j.diags
	}
	written := copyTree(t).(tree)
	job, err := toJob(t)
	if err != nil {
		return nil, Diagnostics{{File: filename, Message: err.Error()}}
	}
	return &File{Job: job, Warnings: j.diags.Warnings(), written: written}, nil
}

// unwrap decodes the job in the body, which is the value of the key Job or, without that, the body itself.
func unwrap(filename string, body []byte, maxSize int) (any, error) {
	var envelope map[string]json.RawMessage
	if json.Unmarshal(body, &envelope) == nil {
		for k, inner := range envelope {
			if strings.EqualFold(k, "Job") {
				body = inner
				break
			}
		}
	}
	if err := checkSize(orName(filename), body, maxSize); err != nil {
		return nil, err
	}
	if err := checkJSONNesting(orName(filename), body); err != nil {
		return nil, err
	}
	return decodeJSON(filename, body)
}

func orName(filename string) string {
	if filename == "" {
		return "job"
	}
	return filename
}

func decodeJSON(filename string, body []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var v any
	err := dec.Decode(&v)
	if err == nil {
		if _, more := dec.Token(); more != io.EOF {
			err = fmt.Errorf("text follows the job")
		}
	}
	if err == nil {
		return v, nil
	}
	d := Diagnostic{File: orName(filename), Message: "not valid JSON: " + strings.TrimPrefix(err.Error(), "json: ")}
	offset := dec.InputOffset()
	var syn *json.SyntaxError
	if errors.As(err, &syn) {
		offset = syn.Offset
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		d.Message, offset = "not valid JSON: the text ends too early", int64(len(body))
	}
	before := body[:min(int(offset), len(body))]
	d.Line = 1 + bytes.Count(before, []byte("\n"))
	d.Column = max(1, len(before)-1-bytes.LastIndexByte(before, '\n'))
	return nil, Diagnostics{d}
}

// jsonReader checks decoded JSON against the grammar and makes a tree of it.
type jsonReader struct {
	file  string
	diags Diagnostics
}

func (j *jsonReader) fail(path, format string, args ...any) {
	if len(j.diags) < maxDiagnostics {
		j.diags = append(j.diags, Diagnostic{File: j.file, Message: path + ": " + fmt.Sprintf(format, args...)})
	}
}

func (j *jsonReader) job(v any) tree {
	m, ok := v.(map[string]any)
	if !ok {
		j.fail("Job", "expected an object, got %s", describeJSON(v))
		return nil
	}
	return j.block(grammar(), m, "Job")
}

func (j *jsonReader) block(b *Block, m map[string]any, path string) tree {
	t := tree{}
	var unknown []string
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		v := m[k]
		i := slices.IndexFunc(b.Fields, func(f Field) bool { return f.JSON != "" && strings.EqualFold(f.JSON, k) })
		if i < 0 {
			unknown = append(unknown, k)
			continue
		}
		f := &b.Fields[i]
		if v == nil || v == "" && f.Default != nil {
			continue // clients with typed jobs send "" for what nobody wrote
		}
		if x := j.value(f, v, path+"."+f.JSON); x != nil {
			t[f.JSON] = x
		}
	}
	for _, k := range unknown {
		j.slip(b, t, k, path)
	}
	return t
}

// slip warns of an ignored field that is spelt almost like one that is missing.
func (j *jsonReader) slip(b *Block, t tree, key, path string) {
	var missing []string
	for _, f := range b.Fields {
		if _, ok := t[f.JSON]; !ok && f.JSON != "" {
			missing = append(missing, f.JSON)
		}
	}
	if s := nearest(key, missing); s != "" && len(key) > 3 {
		j.diags = append(j.diags, Diagnostic{File: j.file, Warning: true, Suggestion: s,
			Message: fmt.Sprintf("%s.%s: unknown field, ignored", path, key)})
	}
}

// value reads one field. A nil result means that there is nothing to keep.
func (j *jsonReader) value(f *Field, v any, path string) any {
	wrong := func() any {
		hint := ""
		if _, isText := v.(string); isText && f.Kind == Duration {
			hint = " (durations are whole nanoseconds in JSON)"
		}
		want := f.Kind.String()
		if f.Kind == Duration {
			want = "a number"
		}
		j.fail(path, "expected %s, got %s%s", want, describeJSON(v), hint)
		return nil
	}
	switch f.Kind {
	case String:
		if s, ok := v.(string); ok {
			return s
		}
		return wrong()
	case Bytes:
		s, ok := v.(string)
		if !ok {
			return wrong()
		}
		if _, err := base64.StdEncoding.DecodeString(s); err != nil {
			j.fail(path, "expected base64 text: %v", err)
			return nil
		}
		return s
	case Bool:
		if b, ok := v.(bool); ok {
			return b
		}
		return wrong()
	case Int, Duration:
		n, ok := v.(json.Number)
		if !ok {
			return wrong()
		}
		x, err := n.Int64()
		if err != nil {
			j.fail(path, "expected a whole number, got %s", n)
			return nil
		}
		if f.Kind == Int && (f.Lo != 0 || f.Hi != 0) && (x < f.Lo || x > f.Hi) {
			j.fail(path, "%d is not within %d..%d", x, f.Lo, f.Hi)
			return nil
		}
		return x
	case Strings:
		return j.strings(v, path, wrong)
	case StringMap, ListMap, Free, Config:
		m, ok := v.(map[string]any)
		if !ok {
			return wrong()
		}
		return j.mapping(f.Kind, m, path)
	}
	return j.blocks(f, v, path, wrong)
}

func (j *jsonReader) strings(v any, path string, wrong func() any) any {
	items, ok := v.([]any)
	if !ok {
		return wrong()
	}
	for i, x := range items {
		if _, ok := x.(string); !ok {
			j.fail(fmt.Sprintf("%s[%d]", path, i), "expected a string, got %s", describeJSON(x))
		}
	}
	return items
}

func (j *jsonReader) mapping(kind Kind, m map[string]any, path string) any {
	out := map[string]any{}
	for k, x := range m {
		at := fmt.Sprintf("%s[%q]", path, k)
		switch kind {
		case StringMap:
			s, ok := x.(string)
			if !ok {
				j.fail(at, "expected a string, got %s", describeJSON(x))
				continue
			}
			out[k] = s
		case ListMap:
			out[k] = j.strings(x, at, func() any { j.fail(at, "expected a list of strings, got %s", describeJSON(x)); return nil })
		default:
			out[k] = plainJSON(x)
		}
	}
	return out
}

func (j *jsonReader) blocks(f *Field, v any, path string, wrong func() any) any {
	switch f.Kind {
	case One:
		m, ok := v.(map[string]any)
		if !ok {
			return wrong()
		}
		return j.block(f.Of, m, path)
	case Many:
		items, ok := v.([]any)
		if !ok {
			return wrong()
		}
		out := []any{}
		for i, x := range items {
			at := fmt.Sprintf("%s[%d]", path, i)
			m, ok := x.(map[string]any)
			if !ok {
				j.fail(at, "expected an object, got %s", describeJSON(x))
				continue
			}
			out = append(out, j.block(f.Of, m, at))
		}
		return out
	default: // Keyed
		m, ok := v.(map[string]any)
		if !ok {
			return wrong()
		}
		out := tree{}
		for k, x := range m {
			at := fmt.Sprintf("%s[%q]", path, k)
			sub, ok := x.(map[string]any)
			if !ok {
				j.fail(at, "expected an object, got %s", describeJSON(x))
				continue
			}
			out[k] = j.block(f.Of, sub, at)
		}
		return out
	}
}

// plainJSON makes the numbers in a decoded value what HCL would have made of them: int64 or float64.
func plainJSON(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, _ := v.Float64()
		return f
	case map[string]any:
		for k, x := range v {
			v[k] = plainJSON(x)
		}
	case []any:
		for i, x := range v {
			v[i] = plainJSON(x)
		}
	}
	return v
}

func describeJSON(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		if len(v) > 60 {
			v = v[:60] + "..."
		}
		return fmt.Sprintf("%q", v)
	case json.Number:
		return v.String()
	case bool:
		return fmt.Sprint(v)
	case []any:
		return "a list"
	default:
		return "an object"
	}
}
