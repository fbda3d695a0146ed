package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestOneDashIsEnough(t *testing.T) {
	for name, tc := range map[string]struct{ in, want string }{
		"long name with one dash":           {"job status -json web", "job status --json web"},
		"value after a space":               {"job run -var a=b web.hcl", "job run --var a=b web.hcl"},
		"value that looks like a flag":      {"job run -var -x web.hcl", "job run --var -x web.hcl"},
		"value with equals":                 {"node status -filter=x==y", "node status --filter=x==y"},
		"two dashes stay":                   {"job status --json", "job status --json"},
		"global flag before the command":    {"-address=http://h:1 status", "--address=http://h:1 status"},
		"global flag with a space":          {"-address http://h:1 status", "--address http://h:1 status"},
		"help":                              {"job run -h", "job run --help"},
		"other program's flags are its own": {"alloc exec -task t 1234 ls -json -t", "alloc exec --task t -- 1234 ls -json -t"},
		"short form of exec":                {"exec -t=false 1234 sh -c x", "exec --t=false -- 1234 sh -c x"},
		"agent keeps its flags":             {"agent -dev -config x", "agent -dev -config x"},
		"after a double dash":               {"job status -- -json", "job status -- -json"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := normalize(newRoot(&Env{Stdout: io.Discard, Stderr: io.Discard}), strings.Fields(tc.in))
			if err != nil {
				t.Fatal(err)
			}
			if g := strings.Join(got, " "); g != tc.want {
				t.Errorf("got  %q\nwant %q", g, tc.want)
			}
		})
	}
}

// run runs a command against a stand-in API.
func run(t *testing.T, h http.HandlerFunc, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	srv := httptest.NewServer(h)
	defer srv.Close()
	var out, errs bytes.Buffer
	env := Env{Args: args, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Version: "1.0.0",
		Getenv: func(k string) string {
			return map[string]string{"NOMAD_ADDR": srv.URL, "DROVER_TOKEN": "t0", "NOMAD_TOKEN": "ignored"}[k]
		}}
	code = Run(context.Background(), env)
	return code, out.String(), errs.String()
}

func answer(t *testing.T, v any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("X-Nomad-Token"); got != "t0" {
			t.Errorf("token %q: DROVER_TOKEN should win", got)
		}
		json.NewEncoder(w).Encode(v)
	}
}

func TestListOfJobs(t *testing.T) {
	jobs := []map[string]any{{"ID": "web", "Type": "service", "Priority": 50, "Status": "running"}}
	code, out, _ := run(t, answer(t, jobs), "job", "status")
	if code != 0 || !strings.Contains(out, "web  service  50        running") {
		t.Errorf("exit %d:\n%s", code, out)
	}
	_, out, _ = run(t, answer(t, []any{}), "job", "status")
	if out != "No running jobs\n" {
		t.Errorf("got %q", out)
	}
	_, out, _ = run(t, answer(t, jobs), "job", "status", "-t", "{{range .}}{{.ID}}{{end}}")
	if out != "web\n" {
		t.Errorf("template printed %q", out)
	}
	_, out, _ = run(t, answer(t, jobs), "job", "status", "-json")
	var back []struct{ ID string }
	if err := json.Unmarshal([]byte(out), &back); err != nil || back[0].ID != "web" {
		t.Errorf("-json printed %q: %v", out, err)
	}
}

func TestErrorsGoToStderr(t *testing.T) {
	code, out, errs := run(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "boom", 500) }, "job", "status")
	if code != 1 || out != "" || !strings.Contains(errs, "Unexpected response code: 500 (boom)") {
		t.Errorf("exit %d, stdout %q, stderr %q", code, out, errs)
	}
	var o, e bytes.Buffer
	code = Run(context.Background(), Env{Args: []string{"job", "status", "-address", "http://127.0.0.1:1"}, Stdout: &o, Stderr: &e, Getenv: func(string) string { return "" }})
	if code != 1 || !strings.Contains(e.String(), "cannot reach the agent at http://127.0.0.1:1") {
		t.Errorf("exit %d, stderr %q", code, e.String())
	}
	code = Run(context.Background(), Env{Args: []string{"job", "nonsense"}, Stdout: &o, Stderr: &e, Getenv: func(string) string { return "" }})
	if code != 1 || !strings.Contains(e.String(), `unknown command "nonsense"`) {
		t.Errorf("exit %d, stderr %q", code, e.String())
	}
}

func TestEscape(t *testing.T) {
	e := escaper{char: "~", lineStart: true}
	if out, quit := e.filter([]byte("ls ~.\r")); quit || string(out) != "ls ~.\r" {
		t.Errorf("in the middle of a line: %q %v", out, quit)
	}
	if out, quit := e.filter([]byte("~~x\r~a")); quit || string(out) != "~x\r~a" {
		t.Errorf("doubled or followed by something else: %q %v", out, quit)
	}
	if _, quit := e.filter([]byte("\r~.")); !quit {
		t.Error("tilde and dot at the start of a line should end the session")
	}
}

func TestLastLines(t *testing.T) {
	for _, tc := range []struct {
		in   string
		n    int64
		want string
	}{{"a\nb\nc\n", 2, "b\nc\n"}, {"a\nb\nc", 1, "c"}, {"a\n", 5, "a\n"}, {"", 3, ""}} {
		if got := string(lastLines([]byte(tc.in), tc.n)); got != tc.want {
			t.Errorf("lastLines(%q, %d) = %q, want %q", tc.in, tc.n, got, tc.want)
		}
	}
}

func TestTableCellsStayInTheirLine(t *testing.T) {
	for name, tc := range map[string]struct{ in, want string }{
		"plain":           {"web server", "web server"},
		"letters of all":  {"größe 数", "größe 数"},
		"two reasons":     {"plugin is shut down\ndial: refused\n", "plugin is shut down; dial: refused"},
		"escape sequence": {"a\x1b[31mb", `a\x1b[31mb`},
		"not text":        {"a\xffb", "a\uFFFDb"},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			printTable(&b, []string{"Head", "Next"}, []string{tc.in, "x"})
			lines := strings.Split(strings.TrimSpace(b.String()), "\n")
			if len(lines) != 2 || strings.TrimSpace(strings.TrimSuffix(lines[1], "x")) != tc.want {
				t.Errorf("got %q, want one line with %q", lines, tc.want)
			}
		})
	}
}
