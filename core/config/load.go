package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"sort"
	"strings"
	"time"

	"github.com/agext/levenshtein"
	"github.com/go-viper/mapstructure/v2"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// maxFileSize bounds one configuration file, in bytes.
const maxFileSize = 1 << 20

// Load reads files and directories in order (a directory's .hcl and .json files by name) and lays them over base:
// later values win, blocks merge key by key, labelled blocks by label, lists are replaced.
func Load(base *Config, paths ...string) (*Config, error) {
	t := newTree()
	for _, p := range paths {
		files, err := expand(p)
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			if err := t.addFile(f); err != nil {
				return nil, err
			}
		}
	}
	return t.decode(base)
}

// Parse reads one file's content; name is used in errors and its suffix .json selects JSON.
func Parse(base *Config, name string, src []byte) (*Config, error) {
	t := newTree()
	if err := t.add(name, src); err != nil {
		return nil, err
	}
	return t.decode(base)
}

func expand(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	var out []string
	for _, e := range entries {
		if n := e.Name(); !e.IsDir() && (strings.HasSuffix(n, ".hcl") || strings.HasSuffix(n, ".json")) {
			out = append(out, filepath.Join(path, n))
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("configuration: directory %s holds no .hcl or .json file", path)
	}
	return out, nil
}

// tree is a configuration as nested maps, with the place each key came from.
type tree struct {
	root map[string]any
	at   map[string]string // "server.enabled" -> "a.hcl:3"
}

func newTree() *tree { return &tree{map[string]any{}, map[string]string{}} }

func (t *tree) addFile(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	if info.Mode()&fs.ModeType != 0 {
		return fmt.Errorf("configuration: %s is not a regular file", path)
	}
	if info.Size() > maxFileSize {
		return fmt.Errorf("configuration: %s has %d bytes, more than the limit of %d", path, info.Size(), maxFileSize)
	}
	src, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	return t.add(path, src)
}

func (t *tree) add(name string, src []byte) error {
	if strings.HasSuffix(name, ".json") {
		var m map[string]any
		if err := json.Unmarshal(src, &m); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		t.merge(t.root, m)
		return nil
	}
	f, diags := hclparse.NewParser().ParseHCL(src, name)
	if diags.HasErrors() {
		return diagError(diags)
	}
	m, err := t.body(f.Body.(*hclsyntax.Body), "")
	if err != nil {
		return err
	}
	t.merge(t.root, m)
	return nil
}

// pluginConfig is the path of what a plugin is configured with. Its shape is the plugin's: a repeated block is a list.
const pluginConfig = "plugin.config."

// body turns a block's content into a map: attributes to values, blocks to maps, labelled blocks to maps by label. A
// block that is repeated adds to what the first said.
func (t *tree) body(b *hclsyntax.Body, path string) (map[string]any, error) {
	out := map[string]any{}
	for name, attr := range b.Attributes {
		v, diags := attr.Expr.Value(nil)
		if diags.HasErrors() {
			return nil, diagError(diags)
		}
		out[name] = goValue(v)
		t.at[path+name] = place(attr.SrcRange)
	}
	for _, blk := range b.Blocks {
		p := path + blk.Type + "."
		t.at[path+blk.Type] = place(blk.TypeRange)
		if len(blk.Labels) > 1 {
			return nil, fmt.Errorf("%s: block %q takes one label at most", place(blk.TypeRange), blk.Type)
		}
		m, err := t.body(blk.Body, p)
		if err != nil {
			return nil, err
		}
		if len(blk.Labels) == 1 {
			m = map[string]any{blk.Labels[0]: m}
		}
		switch prev := out[blk.Type].(type) {
		case map[string]any:
			if strings.HasPrefix(path, pluginConfig) {
				out[blk.Type] = []any{prev, m}
				continue
			}
			t.merge(prev, m)
		case []any:
			out[blk.Type] = append(prev, m)
		default:
			out[blk.Type] = m
		}
	}
	return out, nil
}

func (t *tree) merge(dst, src map[string]any) {
	for k, v := range src {
		d, dok := dst[k].(map[string]any)
		s, sok := v.(map[string]any)
		if dok && sok {
			t.merge(d, s)
			continue
		}
		dst[k] = v
	}
}

func (t *tree) decode(base *Config) (*Config, error) {
	c := *base
	root := t.root
	if m, ok := root["plugin"]; ok {
		l, err := byLabel("plugin", m)
		if err != nil {
			return nil, err
		}
		root["plugin"] = l
	}
	if cl, ok := root["client"].(map[string]any); ok {
		if m, ok := cl["host_network"]; ok {
			l, err := byLabel("client.host_network", m)
			if err != nil {
				return nil, err
			}
			cl["host_network"] = l
		}
	}
	var md mapstructure.Metadata
	dec, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{
		TagName: "cfg", Result: &c, Metadata: &md, WeaklyTypedInput: false,
		DecodeHook: mapstructure.ComposeDecodeHookFunc(toDuration, toTexts, toScalar),
		MatchName:  func(key, field string) bool { return key == field },
	})
	if err != nil {
		return nil, err
	}
	if err := dec.Decode(root); err != nil {
		return nil, t.located(err)
	}
	sort.Strings(md.Unused)
	var unknown []error
	for _, key := range md.Unused {
		if reason, ok := notActedOn(key); ok {
			c.Warnings = append(c.Warnings, fmt.Sprintf("%s%s is not acted on by this release: %s", t.where(key), key, reason))
			continue
		}
		unknown = append(unknown, fmt.Errorf("%sunknown key %q%s", t.where(key), key, nearMiss(key)))
	}
	if len(unknown) > 0 {
		return nil, errors.Join(unknown...)
	}
	return &c, nil
}

func (t *tree) where(key string) string {
	if p, ok := t.at[key]; ok {
		return p + ": "
	}
	return ""
}

// located adds file and line to errors that name a key.
func (t *tree) located(err error) error {
	var de *mapstructure.DecodeError
	if errors.As(err, &de) {
		return fmt.Errorf("%s%s: %w", t.where(de.Name()), de.Name(), de.Unwrap())
	}
	return err
}

// byLabel turns {"a": {...}, "b": {...}} into a list whose elements have their label as name. A list is taken as
// JSON files write it: [{"a": {...}}].
func byLabel(what string, v any) ([]any, error) {
	var out []any
	switch v := v.(type) {
	case map[string]any:
		names := make([]string, 0, len(v))
		for n := range v {
			names = append(names, n)
		}
		sort.Strings(names)
		for _, n := range names {
			m, ok := v[n].(map[string]any)
			if l, isList := v[n].([]any); isList && len(l) == 1 {
				m, ok = l[0].(map[string]any)
			}
			if !ok {
				return nil, fmt.Errorf("%s %q: want a block", what, n)
			}
			m["name"] = n
			out = append(out, m)
		}
	case []any:
		for _, e := range v {
			l, err := byLabel(what, e)
			if err != nil {
				return nil, err
			}
			out = append(out, l...)
		}
	default:
		return nil, fmt.Errorf("%s: want a block with a label", what)
	}
	return out, nil
}

func toDuration(from, to reflect.Type, v any) (any, error) {
	if to != reflect.TypeOf(time.Duration(0)) {
		return v, nil
	}
	s, ok := v.(string)
	if !ok {
		return nil, fmt.Errorf("want a duration such as \"30s\", got %v", v)
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return nil, fmt.Errorf("want a duration such as \"30s\", got %q", s)
	}
	return d, nil
}

// toTexts lets a single text stand for a list of one.
func toTexts(from, to reflect.Type, v any) (any, error) {
	if text, ok := v.(string); ok && to == reflect.TypeFor[Texts]() {
		return []string{text}, nil
	}
	return v, nil
}

// toScalar lets a whole float fill an int and anything scalar fill a string map, as configuration files are written.
func toScalar(from, to reflect.Type, v any) (any, error) {
	switch n := v.(type) {
	case float64:
		switch to.Kind() {
		case reflect.Int, reflect.Int64, reflect.Uint64:
			if n != float64(int64(n)) {
				return nil, fmt.Errorf("want a whole number, got %v", n)
			}
			return int64(n), nil
		case reflect.String:
			return fmt.Sprint(n), nil
		}
	case bool:
		if to.Kind() == reflect.String {
			return fmt.Sprint(n), nil
		}
	}
	return v, nil
}

func goValue(v cty.Value) any {
	if v.IsNull() || !v.IsKnown() {
		return nil
	}
	ty := v.Type()
	switch {
	case ty == cty.String:
		return v.AsString()
	case ty == cty.Bool:
		return v.True()
	case ty == cty.Number:
		f, _ := v.AsBigFloat().Float64()
		return f
	case ty.IsTupleType() || ty.IsListType() || ty.IsSetType():
		out := []any{}
		for it := v.ElementIterator(); it.Next(); {
			_, e := it.Element()
			out = append(out, goValue(e))
		}
		return out
	case ty.IsObjectType() || ty.IsMapType():
		out := map[string]any{}
		for it := v.ElementIterator(); it.Next(); {
			k, e := it.Element()
			out[k.AsString()] = goValue(e)
		}
		return out
	}
	return nil
}

func place(r hcl.Range) string { return fmt.Sprintf("%s:%d", r.Filename, r.Start.Line) }

func diagError(diags hcl.Diagnostics) error {
	var errs []error
	for _, d := range diags {
		if d.Severity == hcl.DiagError {
			at := ""
			if d.Subject != nil {
				at = fmt.Sprintf("%s:%d,%d: ", d.Subject.Filename, d.Subject.Start.Line, d.Subject.Start.Column)
			}
			errs = append(errs, fmt.Errorf("%s%s: %s", at, d.Summary, d.Detail))
		}
	}
	return errors.Join(errs...)
}

// nearMiss suggests the known key closest to an unknown one.
func nearMiss(key string) string {
	dir, name := "", key
	if i := strings.LastIndex(key, "."); i >= 0 {
		dir, name = key[:i+1], key[i+1:]
	}
	best, bestD := "", 3
	for _, k := range knownKeys() {
		if !strings.HasPrefix(k, dir) || strings.Contains(k[len(dir):], ".") {
			continue
		}
		if d := levenshtein.Distance(name, k[len(dir):], nil); d < bestD {
			best, bestD = k[len(dir):], d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}
