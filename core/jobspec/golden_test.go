package jobspec

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/droverhq/drover/core/model"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestGolden reads every job file below testdata and compares what comes of it with the file of the same name that
// ends in .golden:
//
//	read/     the complete job as JSON, without what is empty or zero
//	mistake/  the diagnostics
//	invalid/  what Validate says, warnings first
//	refuse/   what Refuse says
//
// Lines "#! var: a=1", "#! env: NAME=text", "#! varfile: name", "#! strict: false" and "#! fs: true" in a job file set
// what is otherwise given on the command line.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*/*.nomad.*")
	if err != nil || len(files) == 0 {
		t.Fatalf("no test files: %v", err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, ".golden") {
			continue
		}
		t.Run(strings.TrimPrefix(filepath.ToSlash(name), "testdata/"), func(t *testing.T) {
			got := outcome(t, name)
			golden := name + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatalf("%v (run with -update to make it)", err)
			}
			if got != string(want) {
				t.Errorf("%s differs; got:\n%s\nwant:\n%s", golden, got, want)
			}
		})
	}
}

// outcome is what the golden file should hold.
func outcome(t *testing.T, name string) string {
	f, err := readJob(t, name)
	dir := filepath.Base(filepath.Dir(name))
	if dir == "mistake" {
		if err == nil {
			t.Fatal("the file was read without an error")
		}
		return err.Error() + "\n"
	}
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	switch dir {
	case "read":
		for _, w := range f.Warnings {
			out = append(out, "warning: "+w)
		}
		out = append(out, pruned(t, f.Job))
	case "invalid":
		for _, w := range f.Job.Admit(model.Site{Region: "global"}) {
			out = append(out, "warning: "+w)
		}
		warnings, err := f.Job.Validate(model.DefaultLimits())
		for _, w := range warnings {
			out = append(out, "warning: "+w)
		}
		if err != nil {
			out = append(out, err.Error())
		}
	case "refuse":
		for _, err := range Refuse(f.Job) {
			out = append(out, err.Error())
		}
	}
	return strings.Join(out, "\n") + "\n"
}

func readJob(t *testing.T, name string) (*File, error) {
	t.Helper()
	src, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Ext(name) == ".api" {
		return ParseJSON(filepath.Base(name), src, 0)
	}
	cfg := ParseConfig{Filename: name, Source: src, Strict: true, Env: map[string]string{}}
	for line := range strings.Lines(string(src)) {
		key, value, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "#! "), ": ")
		if !strings.HasPrefix(line, "#! ") || !ok {
			continue
		}
		switch key {
		case "var":
			cfg.Vars = append(cfg.Vars, value)
		case "env":
			k, v, _ := strings.Cut(value, "=")
			cfg.Env[k] = v
		case "varfile":
			b, err := os.ReadFile(filepath.Join(filepath.Dir(name), value))
			if err != nil {
				t.Fatal(err)
			}
			cfg.VarFiles = append(cfg.VarFiles, VarFile{Filename: value, Source: b})
		case "strict":
			cfg.Strict = value == "true"
		case "fs":
			cfg.AllowFS = value == "true"
		default:
			t.Fatalf("unknown directive %q", key)
		}
	}
	f, err := Parse(cfg)
	if diags, ok := err.(Diagnostics); ok { // the same text on every system
		for i := range diags {
			if diags[i].File != "" {
				diags[i].File = filepath.Base(diags[i].File)
			}
		}
	}
	return f, err
}

// pruned is the job as JSON without empty values.
func pruned(t *testing.T, job *model.Job) string {
	t.Helper()
	b, err := json.Marshal(job)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(prune(v)); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out.String())
}

func prune(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			if y := prune(x); y == nil {
				delete(v, k)
			} else {
				v[k] = y
			}
		}
		if len(v) == 0 {
			return nil
		}
	case []any:
		if len(v) == 0 {
			return nil
		}
		for i, x := range v {
			if y := prune(x); y != nil {
				v[i] = y
			}
		}
	case string:
		if v == "" {
			return nil
		}
	case float64:
		if v == 0 {
			return nil
		}
	case bool:
		if !v {
			return nil
		}
	}
	return v
}
