package jobspec

import (
	"os"
	"testing"

	"github.com/droverhq/drover/core/model"
)

// BenchmarkSubmit is what a server does with a job file before it reaches the log.
func BenchmarkSubmit(b *testing.B) {
	src, err := os.ReadFile("testdata/read/guide.nomad.hcl")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		f, err := Parse(ParseConfig{Filename: "guide.hcl", Source: src})
		if err != nil {
			b.Fatal(err)
		}
		f.Job.Admit(model.Site{Region: "global"})
		if _, err := f.Job.Validate(model.DefaultLimits()); err != nil {
			b.Fatal(err)
		}
		if err := Refused(f.Job); err != nil {
			b.Fatal(err)
		}
	}
}
