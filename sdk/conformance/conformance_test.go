package conformance_test

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/sdk/conformance"
)

// config checks the test binary as a plugin.
func config(t *testing.T, fault string) conformance.Config {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return conformance.Config{
		Path: self, Env: []string{faultVariable + "=" + fault},
		Task:     &conformance.Task{Config: map[string]any{"run_for": "50ms", "exit_code": 7, "stdout": "hello\n"}, ExitCode: 7, Stdout: "hello\n"},
		LongTask: &conformance.Task{Config: map[string]any{"run_for": "1h", "stdout": "running\n"}, Stdout: "running\n"},
		Exec:     &conformance.Exec{Command: []string{"inside"}, Stdout: "inside\n", ExitCode: 3, Cat: []string{"cat"}},
		Signal:   "SIGUSR1",
	}
}

func TestGoodDriver(t *testing.T) {
	t.Parallel()
	conformance.Run(t, config(t, "none"))
}

func TestGoodDevice(t *testing.T) { conformance.Run(t, config(t, "device")) }

func TestGoodNetwork(t *testing.T) { conformance.Run(t, config(t, "network")) }

// TestFaults shows that every fault is found by the check that is about it.
func TestFaults(t *testing.T) {
	faults := map[string]string{
		"version":                        "base/info",
		"dies of SIGINT":                 "process/sigint-ignored",
		"late fingerprint":               "driver/fingerprint-immediate",
		"one fingerprint":                "driver/fingerprint-stays-open",
		"no state version":               "driver/start",
		"starts twice":                   "driver/start-duplicate",
		"start waits":                    "driver/start-does-not-wait",
		"dies of bad config":             "driver/start-bad-config",
		"wrong exit code":                "driver/exit-code",
		"unknown tasks succeed":          "driver/wait-unknown",
		"wait once":                      "driver/wait-repeatable",
		"stop forgets":                   "driver/stop",
		"dies of a stop without timeout": "driver/stop-without-timeout",
		"destroys running tasks":         "driver/destroy-running-refused",
		"never forgets":                  "driver/destroy-force",
		"no result":                      "driver/inspect-running",
		"no timestamp":                   "driver/stats-first-sample",
		"signals nobody":                 "driver/signal-unknown",
		"cannot recover":                 "driver/recover-after-kill",
	}
	for _, fault := range slices.Sorted(maps.Keys(faults)) {
		t.Run(fault, func(t *testing.T) {
			t.Parallel() // most of it is waiting
			want := faults[fault]
			c := config(t, fault)
			c.Timeout = 10 * time.Second
			c.Skip = map[string]string{}
			for _, name := range conformance.Names() {
				if name != want {
					c.Skip[name] = "not what this test is about"
				}
			}
			report, err := conformance.Verify(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range report.Results {
				if r.Name != want {
					continue
				}
				if r.Status != conformance.Fail || r.Detail == "" || r.Reason == "" {
					t.Errorf("%s: got %s %q, want a failure with its reason", r.Name, r.Status, r.Detail)
				}
				return
			}
			t.Errorf("%s is not in the report", want)
		})
	}
}

func TestReport(t *testing.T) {
	c := config(t, "none")
	c.Skip = map[string]string{}
	for _, name := range conformance.Names() {
		if name != "driver/init" && name != "driver/stats-first-sample" {
			c.Skip[name] = "not now"
		}
	}
	seen := 0
	c.Progress = func(conformance.Result) { seen++ }
	report, err := conformance.Verify(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if !report.OK() || report.Count(conformance.Pass) != 2 || seen != len(report.Results) || report.Count(conformance.Skip) != seen-2 {
		t.Errorf("got %+v", report)
	}
	if report.Type != "driver" || report.Name != "timer" || report.Version != "0.1.0" {
		t.Errorf("got %s %s %s", report.Type, report.Name, report.Version)
	}
	said := map[string]string{}
	for _, c := range report.Capabilities {
		said[c.Name] = c.Value
	}
	for name, want := range map[string]string{"exec": "yes", "signals": "yes", "creates networks": "no", "statistics": "yes", "state version": "1"} {
		if said[name] != want {
			t.Errorf("%s: got %q, want %q", name, said[name], want)
		}
	}
}

func TestNoPlugin(t *testing.T) {
	for path, want := range map[string]string{t.TempDir(): "is a directory", "no-such-file": "no such file"} {
		if _, err := conformance.Verify(t.Context(), conformance.Config{Path: path}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", path, err, want)
		}
	}
	report, err := conformance.Verify(t.Context(), conformance.Config{Path: "/bin/true"})
	if err != nil {
		t.Fatal(err)
	}
	if report.OK() || report.Results[0].Status != conformance.Fail {
		t.Errorf("a program that is no plugin: got %+v", report.Results)
	}
	for _, r := range report.Results {
		if strings.HasPrefix(r.Name, "driver/") || strings.HasPrefix(r.Name, "device/") {
			t.Errorf("%s was tried with a program that is no plugin", r.Name)
		}
	}
}
