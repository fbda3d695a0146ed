package tasklog

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
)

func TestParsePluginLine(t *testing.T) {
	for name, c := range map[string]struct {
		line string
		want string // level, module, message, fields
	}{
		"hclog":            {`{"@level":"warn","@message":"slow","@module":"plugin.docker","@timestamp":"2026-01-02T03:04:05.000006Z","n":12345678901234567,"a":[1]}`, "warn plugin.docker slow [a [1] n 12345678901234567]"},
		"hclog, no level":  {`{"@message":"x"}`, "debug  x []"},
		"hclog, odd level": {`{"@level":"loud","@message":"x"}`, "debug  x []"},
		"other JSON":       {`{"level":"warn"}`, `debug  {"level":"warn"} []`},
		"two objects":      {`{"@message":"x"} {"@message":"y"}`, `debug  {"@message":"x"} {"@message":"y"} []`},
		"broken JSON":      {`{"@level":"warn","@mess`, `debug  {"@level":"warn","@mess []`},
		"trace":            {"[TRACE] x", "trace  [TRACE] x []"},
		"debug":            {"[DEBUG] x", "debug  [DEBUG] x []"},
		"info":             {"[INFO] x", "info  [INFO] x []"},
		"warn":             {"[WARN] x", "warn  [WARN] x []"},
		"error":            {"[ERROR] x", "error  [ERROR] x []"},
		"panic":            {"panic: oh", "error  panic: oh []"},
		"fatal":            {"fatal error: oh", "error  fatal error: oh []"},
		"text":             {"hello\r\n", "debug  hello []"},
		"nothing":          {"", "debug   []"},
	} {
		t.Run(name, func(t *testing.T) {
			l := ParsePluginLine([]byte(c.line))
			if got := fmt.Sprintf("%s %s %s %v", l.Level, l.Module, l.Message, l.Fields); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// What hclog writes is read back whole.
func TestParsePluginLineOfHclog(t *testing.T) {
	var out bytes.Buffer
	log := hclog.New(&hclog.LoggerOptions{Name: "a.b", Level: hclog.Trace, Output: &out, JSONFormat: true})
	before := time.Now().Truncate(time.Microsecond)
	log.Error("it failed", "error", errors.New("no"), "count", 3)
	l := ParsePluginLine(out.Bytes())
	if l.Level != hclog.Error || l.Message != "it failed" || l.Module != "a.b" || fmt.Sprint(l.Fields) != "[count 3 error no]" {
		t.Errorf("%+v", l)
	}
	if l.Time.Before(before) || time.Since(l.Time) < 0 {
		t.Errorf("time %s", l.Time)
	}
}

func TestEverythingAfterAPanicIsAnError(t *testing.T) {
	var p PluginLines
	var got []string
	for _, line := range []string{"fine", "panic: oh", "", "goroutine 1 [running]:", `{"@level":"info","@message":"x"}`} {
		got = append(got, p.Parse([]byte(line)).Level.String())
	}
	if want := "debug error error error error"; strings.Join(got, " ") != want {
		t.Errorf("levels %v, want %s", got, want)
	}
}
