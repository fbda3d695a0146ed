package schema

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

func object(attributes map[string]*Spec) *Spec {
	return &Spec{Kind: KindObject, Attributes: attributes}
}
func attr(name, typ string) *Spec { return &Spec{Kind: KindAttr, Name: name, Type: typ} }

// TestEncodeBytes pins the byte-level rules of the wire contract (plugin protocol, 8.2).
func TestEncodeBytes(t *testing.T) {
	tests := map[string]struct {
		typ   string
		value any
		want  string // hex of the value's bytes
	}{
		"null":                      {"string", nil, "c0"},
		"null of any":               {"any", nil, "c0"},
		"true":                      {"bool", true, "c3"},
		"false":                     {"bool", false, "c2"},
		"fixstr":                    {"string", "ab", "a26162"},
		"str8":                      {"string", strings.Repeat("x", 32), "d920" + strings.Repeat("78", 32)},
		"str16":                     {"string", strings.Repeat("x", 256), "da0100" + strings.Repeat("78", 256)},
		"positive fixint":           {"number", 7, "07"},
		"uint8":                     {"number", 200, "ccc8"},
		"uint16":                    {"number", 40000, "cd9c40"},
		"uint32":                    {"number", 3000000000, "ceb2d05e00"},
		"uint64":                    {"number", int64(1) << 40, "cf0000010000000000"},
		"negative fixint":           {"number", -3, "fd"},
		"int8":                      {"number", -100, "d09c"},
		"int16":                     {"number", -30000, "d18ad0"},
		"int32":                     {"number", -2000000000, "d288ca6c00"},
		"int64":                     {"number", -(int64(1) << 40), "d3ffffff0000000000"},
		"1.0 is whole":              {"number", "1.0", "01"},
		"0.25 is a float64":         {"number", 0.25, "cb3fd0000000000000"},
		"0.1 is text":               {"number", 0.1, "a3302e31"},
		"2^63 is text":              {"number", "9223372036854775808", "b3" + hex.EncodeToString([]byte("9223372036854775808"))},
		"2^64 is text":              {"number", "18446744073709551616", "b4" + hex.EncodeToString([]byte("18446744073709551616"))},
		"list":                      {"list(string)", []any{"a"}, "91a161"},
		"list of maps":              {"list(map(string))", []any{map[string]any{"k": "v"}}, "9181a16ba176"},
		"map, keys sorted":          {"map(string)", map[string]any{"b": "2", "a": "1"}, "82a161a131a162a132"},
		"any keeps text":            {"any", "x", "a178"},
		"any keeps list":            {"any", []any{"x", 1}, "92a17801"},
		"number becomes text":       {"string", 5, "a135"},
		"text becomes number":       {"number", "5", "05"},
		"text becomes truth":        {"bool", "true", "c3"},
		"a dollar sign alone stays": {"string", "$5", "a22435"},
		"escaped template":          {"string", "$${x}", "a4247b787d"},
		"function":                  {"string", `${upper("a")}`, "a141"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			config := map[string]any{}
			if test.value != nil {
				config["k"] = test.value
			}
			data, err := object(map[string]*Spec{"k": attr("k", test.typ)}).Encode(config, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := hex.EncodeToString(data), "81a16b"+test.want; got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

// TestEncodeAbsent pins what plugins get for what the user did not write.
func TestEncodeAbsent(t *testing.T) {
	inner := object(map[string]*Spec{"a": attr("a", "string")})
	spec := object(map[string]*Spec{
		"attr":   attr("", "string"), // named by its key
		"block":  {Kind: KindBlock, Nested: inner},
		"attrs":  {Kind: KindBlockAttrs, Type: "string"},
		"list":   {Kind: KindBlockList, Nested: inner},
		"set":    {Kind: KindBlockSet, Nested: inner},
		"map":    {Kind: KindBlockMap, Labels: []string{"name"}, Nested: inner},
		"def":    {Kind: KindDefault, Primary: attr("def", "string"), Default: &Spec{Kind: KindLiteral, Value: `"5m"`}},
		"object": {Kind: KindDefault, Primary: &Spec{Kind: KindBlock, Name: "object", Nested: inner}, Default: &Spec{Kind: KindLiteral, Value: `{ b = true }`}},
	})
	data, err := spec.Encode(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := parseMsgpack(data)
	if err != nil {
		t.Fatal(err)
	}
	got := tree.(map[string]any)
	for key, want := range map[string]string{"attr": "nil", "block": "nil", "attrs": "nil", "list": "[]", "set": "[]", "map": "{}", "def": "5m", "object": "{b}"} {
		value, present := got[key]
		if !present {
			t.Errorf("%s: the key is missing", key)
		}
		if shape(value) != want {
			t.Errorf("%s: got %s, want %s", key, shape(value), want)
		}
	}
}

func shape(x any) string {
	switch x := x.(type) {
	case nil:
		return "nil"
	case []any:
		return "[]"
	case map[string]any:
		for k := range x {
			return "{" + k + "}"
		}
		return "{}"
	}
	return x.(string)
}

func TestEncodeBlocks(t *testing.T) {
	inner := object(map[string]*Spec{"a": attr("a", "string")})
	spec := object(map[string]*Spec{
		"b": {Kind: KindBlock, Nested: inner},
		"l": {Kind: KindBlockList, Nested: inner, MaxItems: 2},
		"f": {Kind: KindBlockAttrs, Type: "string"},
	})
	one := map[string]any{"a": "1"}
	for name, config := range map[string]map[string]any{
		"objects":            {"b": one, "l": one, "f": map[string]any{"x": "1"}},
		"lists of one":       {"b": []any{one}, "l": []any{one}, "f": []any{map[string]any{"x": "1"}}},
		"a list of two maps": {"l": []any{one, one}},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := spec.Encode(config, nil); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestEncodeVariables(t *testing.T) {
	vars := &Variables{
		Env: map[string]string{"NOMAD_PORT_http": "8080", "dotted.name": "d", "SP ACE": "s"},
		Node: map[string]string{
			"node.unique.id": "n1", "attr.driver.x": "1", "attr.driver.x.version": "2.0", "meta.rack": "r1", "meta.a-b": "ab",
		},
	}
	tests := map[string]struct{ text, want, fail string }{
		"environment":          {text: "${NOMAD_PORT_http}", want: "8080"},
		"in text":              {text: "127.0.0.1:${NOMAD_PORT_http}/", want: "127.0.0.1:8080/"},
		"env by index":         {text: `${env["SP ACE"]}`, want: "s"},
		"env by attribute":     {text: `${env.NOMAD_PORT_http}`, want: "8080"},
		"dotted environment":   {text: "${dotted.name}", want: "d"},
		"node":                 {text: "${node.unique.id}", want: "n1"},
		"attribute":            {text: "${attr.driver.x.version}", want: "2.0"},
		"prefix of another":    {text: "${attr.driver.x}", want: "1"},
		"meta with a hyphen":   {text: "${meta.a-b}", want: "ab"},
		"meta by index":        {text: `${meta["rack"]}`, want: "r1"},
		"in a function":        {text: `${upper(meta.rack)}`, want: "R1"},
		"unknown variable":     {text: "${nope}", fail: `There is no variable named "nope"`},
		"unknown node value":   {text: "${attr.nope}", fail: "nope"},
		"unknown env by index": {text: `${env["nope"]}`, fail: "does not identify an element"},
		"broken template":      {text: "${", fail: "k"},
	}
	spec := object(map[string]*Spec{"k": attr("k", "string")})
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			data, err := spec.Encode(map[string]any{"k": test.text}, vars)
			if test.fail != "" {
				if err == nil || !strings.Contains(err.Error(), test.fail) {
					t.Fatalf("got error %v, want one with %q", err, test.fail)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			tree, err := parseMsgpack(data)
			if err != nil {
				t.Fatal(err)
			}
			if got := tree.(map[string]any)["k"]; got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestDiagnosticsCarryPath(t *testing.T) {
	gc := object(map[string]*Spec{"delay": attr("delay", "number"), "image": {Kind: KindAttr, Name: "image", Type: "string", Required: true}})
	spec := object(map[string]*Spec{
		"command": {Kind: KindAttr, Name: "command", Type: "string", Required: true},
		"labels":  attr("labels", "list(map(string))"),
		"gc":      {Kind: KindBlockList, Nested: gc},
	})
	tests := map[string]struct {
		config map[string]any
		path   string
		text   string
	}{
		"misspelt key":        {map[string]any{"command": "x", "lables": "y"}, "lables", `Did you mean "labels"?`},
		"missing key":         {map[string]any{}, "", `The argument "command" is required`},
		"wrong type":          {map[string]any{"command": []any{"x"}}, "command", "string required"},
		"labels as an object": {map[string]any{"command": "x", "labels": map[string]any{"a": "1"}}, "labels", `Inappropriate value for attribute "labels": list of map of string required.`},
		"nested misspelt key": {map[string]any{"command": "x", "gc": []any{map[string]any{"image": "i"}, map[string]any{"image": "i", "dalay": 1}}}, "gc[1].dalay", "delay"},
		"nested wrong type":   {map[string]any{"command": "x", "gc": map[string]any{"image": "i", "delay": "soon"}}, "gc.delay", "number"},
		"nested missing key":  {map[string]any{"command": "x", "gc": map[string]any{"delay": 1}}, "gc", `"image" is required`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := spec.Encode(test.config, &Variables{})
			var diags Diagnostics
			if !errors.As(err, &diags) || len(diags) == 0 {
				t.Fatalf("got %v, want diagnostics", err)
			}
			if diags[0].Path != test.path || !strings.Contains(diags[0].String(), test.text) {
				t.Errorf("got path %q, text %q\nwant path %q, text with %q", diags[0].Path, diags[0], test.path, test.text)
			}
			if v := spec.Validate(test.config); !v.HasErrors() {
				t.Error("Validate accepts it")
			}
		})
	}
}

func TestValidateTakesVariablesAsUnknown(t *testing.T) {
	spec := object(map[string]*Spec{
		"n": attr("n", "number"),
		"s": attr("s", "string"),
		"l": attr("l", "list(string)"),
		"b": {Kind: KindBlockList, Nested: object(map[string]*Spec{"x": attr("x", "bool")})},
	})
	accepted := map[string]any{
		"n": "${NOMAD_CPU_LIMIT}", "s": "a ${attr.x.y} b ${env[\"X\"]}", "l": []any{"${node.datacenter}"},
		"b": []any{map[string]any{"x": "${meta.flag}"}},
	}
	if diags := spec.Validate(accepted); len(diags) != 0 {
		t.Errorf("refused: %v", diags)
	}
	for name, refused := range map[string]map[string]any{
		"unknown key beside a variable": {"n": "${X}", "m": "${X}"},
		"text where a number must be":   {"n": "many"},
		"unknown function":              {"s": "${sha256(x)}"},
	} {
		t.Run(name, func(t *testing.T) {
			if diags := spec.Validate(refused); !diags.HasErrors() {
				t.Error("accepted")
			}
		})
	}
}
