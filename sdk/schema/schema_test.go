package schema

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	hclspecv1 "github.com/droverhq/drover/sdk/proto/hclspec/v1"
)

type taskConfig struct {
	Image   string                 `config:"image,required"`
	Args    []string               `config:"args"`
	Timeout time.Duration          `config:"timeout" default:"5m"`
	Weight  float64                `config:"weight" default:"0.1"`
	Retries int                    `config:"retries" default:"3"`
	Caps    []string               `config:"caps" default:"[\"CHOWN\"]"`
	Price   string                 `config:"price" default:"${5} \"a\\b\""`
	Labels  StringMap              `config:"labels"`
	Ports   NumberMap              `config:"port_map"`
	Entry   any                    `config:"entrypoint"`
	Sysctl  map[string]int         `config:"sysctl"`
	Flag    *bool                  `config:"flag"`
	GC      gcConfig               `config:"gc,block"`
	Auth    *authConfig            `config:"auth,block"`
	Mounts  []mountConfig          `config:"mount,block,max=2"`
	Volumes map[string]mountConfig `config:"volume,block"`
	Options map[string]string      `config:"options,block"`
	embedded
	Ignored int
}

type embedded struct {
	Extra string `config:"extra" default:"e"`
}

type gcConfig struct {
	Enabled bool          `config:"enabled" default:"true"`
	Delay   time.Duration `config:"delay" default:"3m"`
}

type authConfig struct {
	User string `config:"user" default:"anonymous"`
}

type mountConfig struct {
	Path     string `config:"path"`
	Readonly bool   `config:"readonly" default:"true"`
}

// decodeVia sends a configuration all the way: schema over the wire, the host's encoding, the plugin's decoding.
func decodeVia[C any](t *testing.T, config map[string]any) C {
	t.Helper()
	spec, err := Of[C]()
	if err != nil {
		t.Fatal(err)
	}
	wire, err := proto.Marshal(spec.Proto())
	if err != nil {
		t.Fatal(err)
	}
	var received hclspecv1.Spec
	if err := proto.Unmarshal(wire, &received); err != nil {
		t.Fatal(err)
	}
	back, err := FromProto(&received)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(back, spec) {
		t.Errorf("the schema changed on the wire:\n%s\n%s", asJSON(spec), asJSON(back))
	}
	data, err := back.Encode(config, nil)
	if err != nil {
		t.Fatal(err)
	}
	var c C
	if err := Decode(data, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func asJSON(x any) string {
	data, _ := json.MarshalIndent(x, "", " ")
	return string(data)
}

func TestStructRoundTrip(t *testing.T) {
	yes := true
	tests := map[string]struct {
		config map[string]any
		want   taskConfig
	}{
		"defaults": {
			config: map[string]any{"image": "i"},
			want:   taskConfig{},
		},
		"everything": {
			config: map[string]any{
				"image": "i", "args": []any{"a", "b"}, "timeout": "1h30m", "weight": 0.25, "retries": 0, "caps": []any{},
				"price": "p", "labels": []any{map[string]any{"a": "1", "b": "2"}, map[string]any{"b": "3"}},
				"port_map": []any{map[string]any{"http": 80}}, "entrypoint": []any{"sh", "-c"}, "sysctl": map[string]any{"x": 1},
				"flag": true, "gc": map[string]any{"delay": "1m"}, "auth": map[string]any{},
				"mount":  []any{map[string]any{"path": "/a"}, map[string]any{"path": "/b", "readonly": false}},
				"volume": map[string]any{"data": map[string]any{"path": "/d"}}, "options": map[string]any{"k": "v"}, "extra": "x",
			},
			want: taskConfig{
				Args: []string{"a", "b"}, Timeout: 90 * time.Minute, Weight: 0.25, Caps: []string{}, Price: "p",
				Labels: StringMap{"a": "1", "b": "3"}, Ports: NumberMap{"http": 80}, Entry: []any{"sh", "-c"},
				Sysctl: map[string]int{"x": 1}, Flag: &yes, GC: gcConfig{Enabled: true, Delay: time.Minute},
				Auth:     &authConfig{User: "anonymous"},
				Mounts:   []mountConfig{{Path: "/a", Readonly: true}, {Path: "/b"}},
				Volumes:  map[string]mountConfig{"data": {Path: "/d", Readonly: true}},
				Options:  map[string]string{"k": "v"},
				embedded: embedded{Extra: "x"},
			},
		},
	}
	defaults := tests["defaults"]
	defaults.want = taskConfig{
		Timeout: 5 * time.Minute, Weight: 0.1, Retries: 3, Caps: []string{"CHOWN"}, Price: `${5} "a\b"`,
		GC: gcConfig{Enabled: true, Delay: 3 * time.Minute}, Mounts: []mountConfig{}, Volumes: map[string]mountConfig{},
		embedded: embedded{Extra: "e"},
	}
	tests["defaults"] = defaults
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.want.Image = "i"
			if got := decodeVia[taskConfig](t, test.config); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
}

// TestThreeSyntaxes: the job parser turns a block and an object into a list of one map; all mean the same.
func TestThreeSyntaxes(t *testing.T) {
	type config struct {
		Labels StringMap `config:"labels"`
	}
	c := decodeVia[config](t, map[string]any{"labels": []any{map[string]any{"a": "1"}}})
	if c.Labels["a"] != "1" {
		t.Errorf("got %v", c.Labels)
	}
}

func TestOfRefusesAuthorsMistakes(t *testing.T) {
	type recursive struct {
		Sub []struct {
			X chan int `config:"x"`
		} `config:"sub,block"`
	}
	tests := map[string]struct {
		err  error
		want string
	}{
		"not a struct": {errOf[int](), "not a struct"},
		"unknown type": {errOf[recursive](), "no configuration form"},
		"struct, no block": {errOf[struct {
			A gcConfig `config:"a"`
		}](), ",block"},
		"bad option": {errOf[struct {
			A string `config:"a,requird"`
		}](), "requird"},
		"two of a name": {errOf[struct {
			A, B string `config:"a"`
		}](), "two fields"},
		"required, default": {errOf[struct {
			A string `config:"a,required" default:"x"`
		}](), "required"},
		"bad default": {errOf[struct {
			A []string `config:"a" default:"[x"`
		}](), "literal"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if test.err == nil || !strings.Contains(test.err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", test.err, test.want)
			}
		})
	}
}

func errOf[C any]() error {
	_, err := Of[C]()
	return err
}

func TestDecodeAcceptsOtherWriters(t *testing.T) {
	type config struct {
		S string  `config:"s"`
		B []byte  `config:"b"`
		I int32   `config:"i"`
		U uint16  `config:"u"`
		F float64 `config:"f"`
	}
	tests := map[string]struct {
		data string
		want config
		fail string
	}{
		"bin for text":             {data: "\x81\xa1s\xc4\x02hi", want: config{S: "hi"}},
		"raw16 for text":           {data: "\x81\xa1s\xda\x00\x02hi", want: config{S: "hi"}},
		"text for bytes":           {data: "\x81\xa1b\xa2hi", want: config{B: []byte("hi")}},
		"bin keys":                 {data: "\x81\xc4\x01s\xa2hi", want: config{S: "hi"}},
		"whole float for int":      {data: "\x81\xa1i\xcb\x40\x14\x00\x00\x00\x00\x00\x00", want: config{I: 5}},
		"decimal text for float":   {data: "\x81\xa1f\xa30.1", want: config{F: 0.1}},
		"int for float":            {data: "\x81\xa1f\x05", want: config{F: 5}},
		"wide unsigned for int":    {data: "\x81\xa1i\xcf\x00\x00\x00\x00\x00\x00\x00\x05", want: config{I: 5}},
		"nil leaves zero":          {data: "\x81\xa1s\xc0", want: config{}},
		"unknown keys are ignored": {data: "\x82\xa1z\x01\xa1s\xa1x", want: config{S: "x"}},
		"nothing at all":           {data: "", want: config{}},
		"nil at the top":           {data: "\xc0", want: config{}},
		"fraction for int":         {data: "\x81\xa1i\xcb\x3f\xe0\x00\x00\x00\x00\x00\x00", fail: "i: want a number"},
		"out of range":             {data: "\x81\xa1u\xce\x00\x01\x00\x00", fail: "u: 65536 is out of range"},
		"negative for unsigned":    {data: "\x81\xa1u\xff", fail: "out of range"},
		"list for text":            {data: "\x81\xa1s\x90", fail: "s: want text, got a list"},
		"a list at the top":        {data: "\x90", fail: "want a block"},
		"cut short":                {data: "\x82\xa1s\xa1x", fail: "EOF"},
		"a length that lies":       {data: "\x81\xa1s\xdd\xff\xff\xff\xff", fail: "EOF"},
		"nested without end":       {data: strings.Repeat("\x91", 1<<20), fail: "nested deeper"},
		"an extension type":        {data: "\x81\xa1s\xd4\x01\x00", fail: "extension"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var got config
			err := Decode([]byte(test.data), &got)
			if test.fail != "" {
				if err == nil || !strings.Contains(err.Error(), test.fail) {
					t.Fatalf("got %v, want an error with %q", err, test.fail)
				}
				return
			}
			if err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, %v\nwant %+v", got, err, test.want)
			}
		})
	}
}

// TestSchemasFromPluginsAreBounded: a schema is foreign data.
func TestSchemasFromPluginsAreBounded(t *testing.T) {
	deep := attr("a", "string")
	for range MaxDepth + 1 {
		deep = &Spec{Kind: KindBlock, Name: "b", Nested: deep}
	}
	wide := object(map[string]*Spec{})
	for i := range MaxNodes + 1 {
		wide.Attributes[fmt.Sprint("a", i)] = attr("", "string")
	}
	tests := map[string]struct {
		spec *Spec
		want string
	}{
		"too deep":                  {deep, "deeper"},
		"too wide":                  {wide, "more than"},
		"empty":                     {&Spec{}, "no name"},
		"attribute without a name":  {attr("", "string"), "no name"},
		"unnamed below a default":   {object(map[string]*Spec{"k": {Kind: KindDefault, Primary: attr("", "string"), Default: &Spec{Kind: KindLiteral, Value: "1"}}}), "no name"},
		"bad type":                  {attr("a", "list(strin)"), "type"},
		"no type":                   {attr("a", ""), "type"},
		"block without nested":      {&Spec{Kind: KindBlock, Name: "b"}, "missing"},
		"block map without labels":  {&Spec{Kind: KindBlockMap, Name: "b", Nested: attr("a", "string")}, "label"},
		"bad literal":               {&Spec{Kind: KindLiteral, Value: "{"}, "literal"},
		"literal with a loop":       {&Spec{Kind: KindLiteral, Value: "[for a in [1,2] : [for b in [1,2] : b]]"}, "loops"},
		"literal with a variable":   {&Spec{Kind: KindLiteral, Value: "x"}, "literal"},
		"default without a primary": {&Spec{Kind: KindDefault, Default: &Spec{Kind: KindLiteral, Value: "1"}}, "missing"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if err := test.spec.Check(); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Check: got %v, want an error with %q", err, test.want)
			}
			if _, err := FromProto(test.spec.Proto()); err == nil {
				t.Error("FromProto accepts it")
			}
		})
	}
}

func TestBlockMapWithAnyInside(t *testing.T) {
	spec := object(map[string]*Spec{"m": {Kind: KindBlockMap, Labels: []string{"name"}, Nested: object(map[string]*Spec{"v": attr("v", "any")})}})
	data, err := spec.Encode(map[string]any{"m": map[string]any{"a": map[string]any{"v": 1}, "b": map[string]any{"v": "x"}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := "\x81\xa1m\x82\xa1a\x81\xa1v\x01\xa1b\x81\xa1v\xa1x"; string(data) != want {
		t.Errorf("got %x, want %x", data, want)
	}
}

func TestDigest(t *testing.T) {
	a, _ := Of[taskConfig]()
	b, _ := Of[taskConfig]()
	if a.Digest() != b.Digest() || len(a.Digest()) != 64 {
		t.Error("equal schemas have different digests")
	}
	b.Attributes["args"].Required = true
	if a.Digest() == b.Digest() {
		t.Error("different schemas have the same digest")
	}
}
