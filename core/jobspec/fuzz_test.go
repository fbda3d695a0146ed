package jobspec

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/droverhq/drover/core/model"
)

// FuzzParse feeds arbitrary text to both front ends: whatever comes of it, it is a job or an error.
func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*/*.nomad.*")
	for _, name := range files {
		if filepath.Ext(name) == ".golden" {
			continue
		}
		src, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		if file, err := Parse(ParseConfig{Filename: "fuzz.hcl", Source: src, Strict: true}); err == nil {
			exercise(t, file.Job)
			if _, err := file.JSON(); err != nil {
				t.Fatal(err)
			}
		} else if err.Error() == "" {
			t.Fatal("an error without text")
		}
		if job, _, err := FromJSON(src); err == nil {
			exercise(t, job)
		}
	})
}

func exercise(t *testing.T, job *model.Job) {
	Refuse(job)
	job.Admit(model.Site{Region: "eu"})
	job.Validate(model.DefaultLimits())
	if model.SpecChanged(job, job) {
		t.Fatal("a job differs from itself")
	}
	model.DiffJobs(nil, job, true)
}
