package template

import (
	"reflect"
	"testing"
	"time"

	"github.com/droverhq/drover/core/model"
)

func TestDecide(t *testing.T) {
	one, two := &model.ChangeScript{Command: "one"}, &model.ChangeScript{Command: "two"}
	mode := func(mode string) *model.Template { return &model.Template{ChangeMode: mode} }
	sig := func(s string) *model.Template { return &model.Template{ChangeMode: "signal", ChangeSignal: s} }
	run := func(s *model.ChangeScript) *model.Template {
		return &model.Template{ChangeMode: "script", ChangeScript: s}
	}
	for name, c := range map[string]struct {
		changed []*model.Template
		want    Actions
	}{
		"nothing":             {nil, Actions{}},
		"noop":                {[]*model.Template{mode("noop")}, Actions{}},
		"one restart for all": {[]*model.Template{sig("SIGHUP"), mode("restart"), mode(""), run(one)}, Actions{Restart: true}},
		"signals once":        {[]*model.Template{sig("SIGHUP"), mode("noop"), sig("SIGUSR1"), sig("SIGHUP")}, Actions{Signals: []string{"SIGHUP", "SIGUSR1"}}},
		"scripts in order":    {[]*model.Template{run(two), run(one), sig("SIGHUP")}, Actions{Signals: []string{"SIGHUP"}, Scripts: []*model.ChangeScript{two, one}}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := decide(c.changed); !reflect.DeepEqual(got, c.want) {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
}

func TestDue(t *testing.T) {
	zero := time.Unix(0, 0)
	at := func(ms int) time.Time { return zero.Add(time.Duration(ms) * time.Millisecond) }
	wait := &model.WaitConfig{Min: 2 * time.Second, Max: 5 * time.Second}
	for name, c := range map[string]struct {
		wait              *model.WaitConfig
		first, last, want int // ms
	}{
		"soon":                          {nil, 0, 0, 100},
		"changes that come together":    {nil, 0, 90, 190},
		"changes that go on":            {nil, 0, 450, 500},
		"quiet time":                    {wait, 0, 1000, 3000},
		"no longer than the longest":    {wait, 0, 4500, 5000},
		"no wait at all, as asked":      {&model.WaitConfig{}, 7, 7, 7},
		"min and max alike is constant": {&model.WaitConfig{Min: time.Second, Max: time.Second}, 0, 900, 1000},
	} {
		t.Run(name, func(t *testing.T) {
			if got := due(c.wait, at(c.first), at(c.last)); got != at(c.want) {
				t.Errorf("%v, want %d ms", got.Sub(zero), c.want)
			}
		})
	}
}

func TestSplay(t *testing.T) {
	long, short := &model.Template{Splay: 10 * time.Second}, &model.Template{Splay: time.Second}
	if got := splay([]*model.Template{short, long}, 0.5); got != 5*time.Second {
		t.Error(got)
	}
	if got := splay([]*model.Template{{ChangeMode: noop, Splay: time.Minute}, short}, 0.5); got != time.Second/2 {
		t.Error(got)
	}
}

func TestParseEnv(t *testing.T) {
	good := "# a comment\n\nA=1\nexport B = two words \nC=\"q\\n\\\"\"\nD='$x \\n'\nE=\na.b-c=x=y\r\n"
	got, err := parseEnv([]byte(good))
	want := map[string]string{"A": "1", "B": "two words", "C": "q\n\"", "D": `$x \n`, "E": "", "a.b-c": "x=y"}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range []string{"A", "=1", "1A=2", "A B=1", `A="x`, `A='`, `A="\q"`} {
		if got, err := parseEnv([]byte(bad)); err == nil {
			t.Errorf("%q gives %q", bad, got)
		}
	}
}
