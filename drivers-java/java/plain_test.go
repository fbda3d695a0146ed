package java

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/droverhq/drover/sdk/driver"
)

func TestPlain(t *testing.T) {
	alloc := t.TempDir()
	task := &driver.TaskConfig{
		ID: "a1/web/1", Name: "web", AllocDir: alloc, Env: map[string]string{"A": "b"},
		Resources: driver.Resources{MemoryMB: 256},
	}
	jar := filepath.Join(task.LocalDir(), "a.jar")
	if err := os.MkdirAll(task.LocalDir(), 0o755); err != nil {
		t.Fatal(err)
	}
	empty := append([]byte("PK\x05\x06"), make([]byte, 18)...) // a zip archive without files
	for path, data := range map[string][]byte{jar: empty, filepath.Join(task.LocalDir(), "short.jar"): []byte("PK\x03\x04")} {
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	j := &jvm{Path: filepath.Join(alloc, "java"), MaxRAM: true}
	for name, c := range map[string]struct {
		config taskConfig
		args   string
		dir    string
		told   bool
		err    string
	}{
		"relative jar": {taskConfig{JarPath: filepath.Join("local", "a.jar")}, "java -XX:MaxRAM=256m -jar " + filepath.Join("local", "a.jar"), task.TaskDir(), false, ""},
		"absolute jar": {taskConfig{JarPath: jar}, "java -XX:MaxRAM=256m -jar " + jar, task.TaskDir(), false, ""},
		"work dir":     {taskConfig{JarPath: "a.jar", WorkDir: task.LocalDir()}, "java -XX:MaxRAM=256m -jar a.jar", task.LocalDir(), false, ""},
		"isolation":    {taskConfig{Class: "Main", PIDMode: "private"}, "java -XX:MaxRAM=256m Main", task.TaskDir(), true, ""},
		"missing":      {taskConfig{JarPath: "none.jar"}, "", "", false, "there is no file " + filepath.Join(task.TaskDir(), "none.jar")},
		"corrupt":      {taskConfig{JarPath: filepath.Join("local", "short.jar")}, "", "", false, "is no jar or a corrupt one"},
		"directory":    {taskConfig{JarPath: "local"}, "", "", false, "is a directory"},
		"relative dir": {taskConfig{Class: "Main", WorkDir: "local"}, "", "", false, "work_dir"},
	} {
		t.Run(name, func(t *testing.T) {
			var told []string
			cmd, err := plain(&driver.StartRequest[taskConfig]{
				Task: task, Config: c.config,
				Emit: func(message string, _ map[string]string) { told = append(told, message) },
			}, j)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("%v, want %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(cmd.Spec.Args, " "); got != c.args || cmd.Spec.Dir != c.dir || cmd.Spec.Path != j.Path {
				t.Errorf("%q in %s", got, cmd.Spec.Dir)
			}
			if !slices.Contains(cmd.Spec.Env, "A=b") || (len(told) > 0) != c.told {
				t.Errorf("environment %q, told %q", cmd.Spec.Env, told)
			}
		})
	}
}
