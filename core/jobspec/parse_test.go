package jobspec

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/droverhq/drover/core/model"
)

func TestSizeLimitIsNamed(t *testing.T) {
	big := []byte(`job "a" { meta = { x = "` + strings.Repeat("y", 5<<20) + `" } }`)
	for name, err := range map[string]error{
		"hcl":      second(Parse(ParseConfig{Filename: "big.hcl", Source: big})),
		"json":     third(FromJSON(big)),
		"var file": second(Parse(ParseConfig{Filename: "a.hcl", VarFiles: []VarFile{{Filename: "big.vars", Source: big}}})),
	} {
		if err == nil || !strings.Contains(err.Error(), "the limit is 1048576 bytes (1 MB)") {
			t.Errorf("%s: got %.200v, want an error that names the limit", name, err)
		}
	}
	body := `{"Submission": {"Source": "` + strings.Repeat("y", 2<<20) + `"}, "Job": {"ID": "a"}}`
	if _, _, err := FromJSON([]byte(body)); err != nil {
		t.Errorf("what lies beside a small job was counted: %.200v", err)
	}
	if _, err := Parse(ParseConfig{Filename: "big.hcl", Source: []byte(`job "a" {}`), MaxSize: 5}); err == nil {
		t.Error("MaxSize was not heeded")
	}
}

func second[A any](_ A, err error) error        { return err }
func third[A, B any](_ A, _ B, err error) error { return err }

// TestDepthIsBounded feeds what would make the recursive parser outgrow its stack, which ends the process.
func TestDepthIsBounded(t *testing.T) {
	n := 60000
	for name, expr := range map[string]string{
		"lists":        strings.Repeat("[", n),
		"parens":       strings.Repeat("(", n),
		"negations":    strings.Repeat("!", n),
		"sums":         "1" + strings.Repeat("+1", n),
		"spread out":   "(1" + strings.Repeat("\n+1", n) + ")",
		"choices":      strings.Repeat("true?1:", n/3) + "1",
		"indexes":      "a" + strings.Repeat("[b]", n/2),
		"sums of sums": strings.Repeat("(", 20) + "1" + strings.Repeat(strings.Repeat("+1", 2000)+")", 20),
		"templates":    strings.Repeat(`"${`, n/2),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse(ParseConfig{Filename: "a.hcl", Source: []byte("job \"a\" {\n meta = { x = " + expr + " }\n}\n")})
			if err == nil || !strings.Contains(err.Error(), "limit") {
				t.Errorf("got %.200v, want an error that names a limit", err)
			}
		})
	}
	blocks := strings.Repeat("a {", n)
	if _, err := Parse(ParseConfig{Filename: "a.hcl", Source: []byte(blocks)}); err == nil {
		t.Error("nested blocks were accepted")
	}
	deep := strings.Repeat(`{"job":`, 5000) + strings.Repeat("}", 5000)
	if _, err := Parse(ParseConfig{Filename: "a.json", Source: []byte(deep)}); err == nil {
		t.Error("nested JSON was accepted")
	}
}

// TestLongFilesAreFine makes sure that the bounds on expressions do not hit large but plain job files.
func TestLongFilesAreFine(t *testing.T) {
	var b strings.Builder
	b.WriteString("job \"a\" {\n")
	for range 1000 {
		b.WriteString("  constraint {\n    attribute = \"${attr.kernel.name}\"\n    value = \"linux\"\n  }\n")
	}
	b.WriteString("  group \"g\" {\n    task \"t\" {\n      driver = \"exec\"\n      config {\n        args = [\n")
	for range 20000 {
		b.WriteString("          \"${NOMAD_PORT_http}\",\n")
	}
	b.WriteString("        ]\n        script = <<EOF\n")
	for range 5000 {
		b.WriteString("a line with ${NOMAD_ALLOC_ID} in it\n")
	}
	b.WriteString("EOF\n      }\n    }\n  }\n}\n")
	f, err := Parse(ParseConfig{Filename: "long.hcl", Source: []byte(b.String())})
	if err != nil {
		t.Fatalf("%.500v", err)
	}
	if n := len(f.Job.Constraints); n != 1000 {
		t.Errorf("%d constraints", n)
	}
}

// TestWrittenJSONReadsBack checks that what JSON returns is what the API takes, and means the same job.
func TestWrittenJSONReadsBack(t *testing.T) {
	files, _ := filepath.Glob("testdata/read/*.nomad.hcl")
	for _, name := range files {
		if strings.HasSuffix(name, "functions.nomad.hcl") {
			continue // its random values differ
		}
		f, err := readJob(t, name)
		if err != nil {
			t.Fatal(err)
		}
		body, err := f.JSON()
		if err != nil {
			t.Fatal(err)
		}
		job, _, err := FromJSON([]byte(`{"Job": ` + string(body) + `}`))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if model.SpecChanged(f.Job, job) {
			t.Errorf("%s: the JSON means another job: %+v", name, model.DiffJobs(f.Job, job, false))
		}
	}
}

// TestStoredJobReadsBack checks that a job which a client read from the API can be registered again unchanged.
func TestStoredJobReadsBack(t *testing.T) {
	f, err := readJob(t, "testdata/read/everything-group.nomad.hcl")
	if err != nil {
		t.Fatal(err)
	}
	f.Job.Version, f.Job.Status = 7, model.JobStatusRunning
	body, err := json.Marshal(f.Job)
	if err != nil {
		t.Fatal(err)
	}
	job, warnings, err := FromJSON(body)
	if err != nil || len(warnings) > 0 {
		t.Fatal(warnings, err)
	}
	if model.SpecChanged(f.Job, job) {
		t.Error("the job changed on its way")
	}
	if job.Version != 0 || job.Status != "" {
		t.Error("a client set what belongs to the servers")
	}
}

func TestSlipsInJSONAreWarnedOf(t *testing.T) {
	_, warnings, err := FromJSON([]byte(`{"ID": "a", "TaskGroups": [{"Name": "g", "Cuont": 2}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if want := `Job.TaskGroups[0].Cuont: unknown field, ignored; did you mean "Count"?`; len(warnings) != 1 || warnings[0] != want {
		t.Errorf("got %q, want %q", warnings, want)
	}
}

// TestExamplesRun checks that every example in the documentation is a job that Drover accepts.
func TestExamplesRun(t *testing.T) {
	files, _ := filepath.Glob("../../docs/examples/*.nomad.hcl")
	if len(files) == 0 {
		t.Fatal("no examples")
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			src, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			f, err := Parse(ParseConfig{Filename: name, Source: src, Strict: true, AllowFS: true})
			if err != nil {
				t.Fatal(err)
			}
			f.Job.Admit(model.Site{Region: "global"})
			if _, err := f.Job.Validate(model.DefaultLimits()); err != nil {
				t.Error(err)
			}
			if err := Refused(f.Job); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestEmptyTextInJSONIsNotWritten(t *testing.T) {
	job, _, err := FromJSON([]byte(`{"ID": "a", "Type": "", "TaskGroups": [{"Name": "g", "Services": [{"AddressMode": "", "OnUpdate": "", "Provider": ""}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	s := job.TaskGroups[0].Services[0]
	if job.Type != "service" || s.AddressMode != "auto" || s.OnUpdate != "require_healthy" || s.Provider != "consul" {
		t.Errorf("the defaults are missing: %q %+v", job.Type, s)
	}
}
