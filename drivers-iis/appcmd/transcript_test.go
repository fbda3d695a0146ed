package appcmd_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/droverhq/drover/drivers-iis/appcmd"
)

// standIn builds the stand-in into a directory of its own, where it keeps its state.
func standIn(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "appcmd.exe")
	if out, err := exec.Command("go", "build", "-o", path, "../testdata/appcmd").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

// TestTranscripts runs commands ("> ") with their input ("< ") and compares exit code and output.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no transcripts", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			tool := standIn(t)
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
			for i, line := range lines {
				if strings.HasPrefix(line, "#") || strings.HasPrefix(line, "< ") {
					fmt.Fprintln(&got, line)
				}
				command, ok := strings.CutPrefix(line, "> ")
				if !ok {
					continue
				}
				fmt.Fprintln(&got, line)
				cmd := exec.Command(tool, strings.Fields(command)...)
				if i+1 < len(lines) {
					if input, ok := strings.CutPrefix(lines[i+1], "< "); ok {
						cmd.Stdin = strings.NewReader(input)
						fmt.Fprintln(&got, lines[i+1])
						lines[i+1] = ""
					}
				}
				out, err := cmd.Output()
				var exit *exec.ExitError
				if errors.As(err, &exit) {
					fmt.Fprintln(&got, "exit", exit.ExitCode())
				} else if err != nil {
					t.Fatal(err)
				}
				got.WriteString(strings.ReplaceAll(string(out), "\r\n", "\n"))
			}
			if got.String() != string(text) {
				t.Errorf("got\n%s\nwant\n%s", got.String(), text)
			}
		})
	}
}

// TestServerSpeaksIt drives the stand-in through the interface that the driver uses.
func TestServerSpeaksIt(t *testing.T) {
	ctx := t.Context()
	s := appcmd.Server{Runner: appcmd.Tool(standIn(t))}
	if sites, err := s.Sites(ctx); err != nil || len(sites) != 0 {
		t.Fatalf("an empty list: %v, %v", sites, err)
	}
	if err := s.AddPool(ctx, appcmd.New("add", "name", "p", "autoStart", "false")); err != nil {
		t.Fatal(err)
	}
	pools, err := s.Pools(ctx)
	if err != nil || len(pools) != 1 || pools[0].Name != "p" || pools[0].AutoStart() || pools[0].State != "Stopped" {
		t.Errorf("got %+v, %v", pools, err)
	}
	err = s.DeleteSite(ctx, "none")
	var failed *appcmd.Error
	if !errors.As(err, &failed) || !strings.Contains(err.Error(), `delete site /site.name:none: ERROR ( message:Cannot find SITE object`) {
		t.Errorf("got %v", err)
	}
	if err := s.AddPool(ctx, appcmd.New("add", "name", "bad", "x", "\x00")); err == nil {
		t.Error("a value that XML cannot hold went through")
	}
}

func TestElement(t *testing.T) {
	text := `<site name="a &amp; b" id="1"><bindings><binding protocol="http" /></bindings></site>`
	e, err := appcmd.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	e.Unset("ID")
	e.Child("bindings").Add(appcmd.New("binding", "protocol", "https"))
	out, err := e.Encode()
	want := `<site name="a &amp; b"><bindings><binding protocol="http" /><binding protocol="https" /></bindings></site>`
	if err != nil || string(out) != want {
		t.Errorf("got %s, %v\nwant %s", out, err, want)
	}
	for _, bad := range []string{"", "text", "<a>", "<a/><b/>", strings.Repeat("<a>", 100)} {
		if _, err := appcmd.Parse([]byte(bad)); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`<appcmd><SITE SITE.NAME="x" state="Started"><site name="x"/></SITE></appcmd>`))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := appcmd.Parse(data)
		if err != nil {
			return
		}
		if _, err := e.Encode(); err != nil && !strings.Contains(err.Error(), "control character") {
			t.Error(err)
		}
	})
}
