package render

import (
	"strings"
	"testing"

	"github.com/droverhq/drover/core/node/taskfiles/protocol"
)

func web() []protocol.Known {
	return []protocol.Known{
		{Need: protocol.Need{Kind: protocol.NeedService, Name: "web"}, Services: []protocol.Service{
			{ID: "1", Name: "web", Address: "10.0.0.1", Port: 80, Tags: []string{"v2", "blue"}},
			{ID: "2", Name: "web", Address: "10.0.0.2", Port: 81, Tags: []string{"v1"}},
		}},
		{Need: protocol.Need{Kind: protocol.NeedServices}, Names: []protocol.ServiceName{{Name: "web", Tags: []string{"v1"}}}},
		{Need: protocol.Need{Kind: protocol.NeedFile, Name: "local/x"}, File: []byte("content")},
	}
}

func TestRender(t *testing.T) {
	t.Setenv("HOME", "") // the helper runs without an environment
	for name, c := range map[string]struct{ text, want, err string }{
		"plain":           {text: "no actions", want: "no actions"},
		"empty":           {text: "", want: ""},
		"service":         {text: `{{ range nomadService "web" }}{{ .Address }}:{{ .Port }} {{ end }}`, want: "10.0.0.1:80 10.0.0.2:81 "},
		"tag and region":  {text: `{{ range nomadService "v1.web@global" }}{{ .ID }}{{ end }}`, want: "2"},
		"consul's names":  {text: `{{ range service "blue.web" }}{{ .Status }} {{ .Tags | join "," }}{{ end }}`, want: "passing blue,v2"},
		"all services":    {text: `{{ range nomadServices }}{{ .Name }}{{ .Tags }}{{ end }}{{ range services }}{{ .Name }}{{ end }}`, want: "web[v1]web"},
		"file":            {text: `{{ file "local/x" | toUpper }}`, want: "CONTENT"},
		"environment":     {text: `{{ env "A" }} {{ envOrDefault "B" "b" }} {{ env "HOME" }}`, want: "1 b "},
		"helpers":         {text: `{{ with $x := "[1,2]" | parseJSON }}{{ index $x 1 }}{{ end }}{{ "a" | sprig_repeat 3 }}`, want: "2aaa"},
		"other region":    {text: `{{ nomadService "web@moon" }}`, err: `only region "global"`},
		"bad name":        {text: `{{ nomadService "we b" }}`, err: "want [tag.]name[@region]"},
		"bad arguments":   {text: `{{ nomadService 1 "web" }}`, err: "want <service> or <count> <key> <service>"},
		"syntax":          {text: "{{ range }", err: "parse"},
		"unknown":         {text: "{{ nonsense }}", err: `"nonsense" not defined`},
		"consul":          {text: `{{ key "a" }}`, err: "reads from Consul"},
		"vault":           {text: `{{ with secret "a" }}{{ end }}`, err: "reads from Vault"},
		"variables":       {text: `{{ nomadVar "a" }}`, err: "reads variables"},
		"denied":          {text: `{{ plugin "id" }}`, err: "disabled"},
		"panic of caller": {text: `{{ index (parseJSON "[]") 5 }}`, err: "out of range"},
	} {
		t.Run(name, func(t *testing.T) {
			got := Do(&protocol.Render{Text: c.text, Region: "global", Env: []string{"A=1"}, Known: web(), Denied: []string{"plugin"}})
			if len(got.Missing) > 0 || string(got.Output) != c.want || (got.Error == "") != (c.err == "") || !strings.Contains(got.Error, c.err) {
				t.Errorf("got %q, missing %v, error %q; want %q, error with %q", got.Output, got.Missing, got.Error, c.want, c.err)
			}
		})
	}
}

// What is not known is named, all of it at once, even where its absence makes the template fail.
func TestMissing(t *testing.T) {
	got := Do(&protocol.Render{Text: `{{ file "a" }}{{ nomadService 2 "k" "db" }}{{ (index (nomadService "api") 0).Port }}`})
	want := []protocol.Need{
		{Kind: protocol.NeedFile, Name: "a"}, {Kind: protocol.NeedService, Name: "db", Choose: 2, Hash: "k"}, {Kind: protocol.NeedService, Name: "api"},
	}
	if len(got.Missing) != len(want) || got.Error != "" {
		t.Fatalf("missing %v, error %q", got.Missing, got.Error)
	}
	for i, n := range want {
		if got.Missing[i] != n {
			t.Errorf("missing %v, want %v", got.Missing[i], n)
		}
	}
}

func TestDelimitersAndMissingKey(t *testing.T) {
	got := Do(&protocol.Render{Text: `<< env "A" >>{{ x }}`, Left: "<<", Right: ">>", Env: []string{"A=1"}})
	if string(got.Output) != "1{{ x }}" {
		t.Errorf("%q %s", got.Output, got.Error)
	}
	text := `{{ with $m := "{}" | parseJSON }}{{ end }}{{ $m := "{\"b\":1}" | parseJSON }}{{ $m.a }}`
	if got := Do(&protocol.Render{Text: text}); string(got.Output) != "<no value>" {
		t.Errorf("%q %s", got.Output, got.Error)
	}
	if got := Do(&protocol.Render{Text: text, ErrMissingKey: true}); !strings.Contains(got.Error, `no entry for key "a"`) {
		t.Errorf("%q %s", got.Output, got.Error)
	}
}
