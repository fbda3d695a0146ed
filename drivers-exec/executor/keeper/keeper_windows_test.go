package keeper

import (
	"os"
	"testing"
	"time"

	"github.com/droverhq/drover/drivers-exec/executor/launch"
)

// TestMain lets the test binary be the keeper, as a driver binary is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == Verb {
		os.Exit(Main(os.Args[2:]))
	}
	os.Exit(m.Run())
}

func TestStartAndKill(t *testing.T) {
	ends := make(chan Task, 10)
	c, err := Connect(t.Context(), t.TempDir(), nil, func(t Task) { ends <- t })
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	cmd := os.Getenv("ComSpec")
	env := []string{"SystemRoot=" + os.Getenv("SystemRoot")}
	for name, run := range map[string]struct {
		args []string
		kill bool
		want int
	}{
		"code": {[]string{"cmd", "/c", "exit 7"}, false, 7},
		"kill": {[]string{"cmd", "/c", "ping -n 100 127.0.0.1"}, true, killedCode},
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := c.Start(t.Context(), name, &launch.Spec{Path: cmd, Args: run.args, Env: env}, launch.Files{}, nil); err != nil {
				t.Fatal(err)
			}
			if run.kill {
				if err := c.Kill(t.Context(), name); err != nil {
					t.Fatal(err)
				}
			}
			select {
			case got := <-ends:
				if got.ID != name || got.Exit.Code != run.want {
					t.Fatalf("ended: %+v %+v", got, got.Exit)
				}
			case <-time.After(30 * time.Second):
				t.Fatal("the task did not end")
			}
			if err := c.Release(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		})
	}
}
