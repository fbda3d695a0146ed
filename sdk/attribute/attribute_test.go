package attribute

import (
	"math"
	"testing"

	structsv1 "github.com/droverhq/drover/sdk/proto/structs/v1"
)

func TestParseAndFormat(t *testing.T) {
	tests := map[string]Value{
		"5":        Int(5, ""),
		"-5":       Int(-5, ""),
		"0.5":      Float(0.5, ""),
		"true":     Truth(true),
		"2048MiB":  Int(2048, "MiB"),
		"1.5GHz":   Float(1.5, "GHz"),
		"3kW":      Int(3, "kW"),
		"3W":       Int(3, "W"),
		"10MB/s":   Int(10, "MB/s"),
		"MiB":      Text("MiB"),
		"5parsec":  Text("5parsec"),
		"NaN":      Text("NaN"),
		"inf":      Text("inf"),
		"":         Text(""),
		"v1.2.3":   Text("v1.2.3"),
		"x86_64":   Text("x86_64"),
		"about 5W": Text("about 5W"),
	}
	for text, want := range tests {
		t.Run(text, func(t *testing.T) {
			got := Parse(text)
			if got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
			if got.Format() != text {
				t.Errorf("formats as %q", got.Format())
			}
			if err := got.Validate(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestCompare(t *testing.T) {
	tests := map[string]struct {
		a, b  Value
		order int
		ok    bool
	}{
		"across units":           {Int(1, "GiB"), Int(1024, "MiB"), 0, true},
		"binary against decimal": {Int(1, "MB"), Int(1, "MiB"), -1, true},
		"fraction against whole": {Float(1.5, "GHz"), Int(1400, "MHz"), 1, true},
		"text":                   {Text("a"), Text("b"), -1, true},
		"equal truths":           {Truth(true), Truth(true), 0, true},
		"large whole numbers":    {Int(math.MaxInt64, ""), Int(math.MaxInt64-1, ""), 1, true},
		"different truths":       {Truth(true), Truth(false), 0, false},
		"families":               {Int(1, "MiB"), Int(1, "MHz"), 0, false},
		"bytes against rate":     {Int(1, "MiB"), Int(1, "MiB/s"), 0, false},
		"unit against none":      {Int(1, "MiB"), Int(1, ""), 0, false},
		"kinds":                  {Int(1, ""), Text("1"), 0, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if order, ok := Compare(test.a, test.b); order != test.order || ok != test.ok {
				t.Errorf("got %d %t, want %d %t", order, ok, test.order, test.ok)
			}
		})
	}
}

func TestWireFormsThatNobodyCanUse(t *testing.T) {
	if v := FromProto(&structsv1.Attribute{Value: &structsv1.Attribute_FloatVal{FloatVal: math.NaN()}}); v != Text("NaN") {
		t.Errorf("NaN: got %+v", v)
	}
	m := MapFromProto(map[string]*structsv1.Attribute{"empty": {}, "nil": nil, "a": Int(1, "").Proto()})
	if len(m) != 1 || m["a"] != Int(1, "") {
		t.Errorf("got %+v", m)
	}
}
