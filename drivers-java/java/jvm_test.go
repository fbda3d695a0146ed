package java

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/droverhq/drover/sdk/driver"
)

func TestParseVersion(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want jvm
	}{
		"openjdk 17": {
			"openjdk version \"17.0.15\" 2025-04-15\nOpenJDK Runtime Environment (build 17.0.15+6)\nOpenJDK 64-Bit Server VM (build 17.0.15+6, mixed mode, sharing)\n",
			jvm{Version: "17.0.15", Runtime: "OpenJDK Runtime Environment (build 17.0.15+6)", VM: "OpenJDK 64-Bit Server VM (build 17.0.15+6, mixed mode, sharing)"},
		},
		"java 8 on Windows": {
			"java version \"1.8.0_202\"\r\nJava(TM) SE Runtime Environment (build 1.8.0_202-b08)\r\nJava HotSpot(TM) 64-Bit Server VM (build 25.202-b08, mixed mode)\r\n",
			jvm{Version: "1.8.0_202", Runtime: "Java(TM) SE Runtime Environment (build 1.8.0_202-b08)", VM: "Java HotSpot(TM) 64-Bit Server VM (build 25.202-b08, mixed mode)"},
		},
		"a warning comes first": {
			"Picked up JAVA_OPTIONS: -Dx\nopenjdk version \"21\" 2023-09-19\n  Runtime\n  VM\n",
			jvm{Version: "21", Runtime: "Runtime", VM: "VM"},
		},
		"version alone": {"openjdk version \"9\"", jvm{Version: "9"}},
	} {
		t.Run(name, func(t *testing.T) {
			j, err := parseVersion(c.text)
			if err != nil || *j != c.want {
				t.Fatalf("got %+v %v, want %+v", j, err, c.want)
			}
		})
	}
	if _, err := parseVersion("Unable to locate a Java Runtime\n"); err == nil {
		t.Fatal("found a version where there is none")
	}
}

// The JVM is started when it is met and when it was replaced, not in between.
func TestDetectOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "java")
	write := func(text string) {
		next := path + ".next"
		if err := os.WriteFile(next, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, path); err != nil {
			t.Fatal(err)
		}
	}
	write("one")
	asked, refuses := 0, false
	d := detector{
		find: func() (string, error) { return path, nil },
		ask: func(_ context.Context, at string, options ...string) (string, error) {
			asked++
			text, _ := os.ReadFile(at)
			if refuses && len(options) > 0 {
				return "", errors.New("exit status 1: unrecognised option")
			}
			if string(text) == "broken" {
				return "", errors.New("exit status 1: no")
			}
			return `openjdk version "` + string(text) + `"`, nil
		},
	}
	expect := func(version string, maxRAM bool, total int) {
		t.Helper()
		for range 3 {
			j, err := d.detect(t.Context())
			if version == "" {
				if err == nil || !strings.Contains(err.Error(), path) {
					t.Fatalf("got %+v %v", j, err)
				}
				continue
			}
			if err != nil || j.Version != version || j.MaxRAM != maxRAM || j.Path != path {
				t.Fatalf("got %+v %v", j, err)
			}
		}
		if asked != total {
			t.Fatalf("asked %d times, want %d", asked, total)
		}
	}
	expect("one", true, 1)
	write("two")
	expect("two", true, 2)
	refuses = true
	write("old")
	expect("old", false, 4)
	write("broken")
	expect("", false, 6)
	os.Remove(path)
	if _, err := d.detect(t.Context()); err == nil {
		t.Fatal("found what was removed")
	}
}

func TestNoJava(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	d := New(nil, nil)
	f, err := d.Fingerprint(t.Context())
	if err != nil || f.Health != driver.Undetected || !strings.Contains(f.Description, dir) {
		t.Fatalf("%+v %v", f, err)
	}
	_, err = d.Start(t.Context(), &driver.StartRequest[taskConfig]{Task: &driver.TaskConfig{}, Config: taskConfig{JarPath: "x.jar"}})
	if err == nil || !strings.Contains(err.Error(), "no Java on this node") {
		t.Fatalf("start: %v", err)
	}
}

func TestArguments(t *testing.T) {
	for name, c := range map[string]struct {
		config taskConfig
		want   string
	}{
		"jar":        {taskConfig{JarPath: "local/a.jar", JVMOptions: []string{"-Xmx64m", "-Da=b"}, Args: []string{"1", "2"}}, "java -Xmx64m -Da=b -jar local/a.jar 1 2"},
		"class":      {taskConfig{Class: "org.x.Main", ClassPath: "a.jar:b"}, "java -cp a.jar:b org.x.Main"},
		"everything": {taskConfig{JarPath: "a.jar", Class: "Main", ClassPath: "cp", JVMOptions: []string{"-Xint"}, Args: []string{"x"}}, "java -Xint -cp cp -jar a.jar Main x"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := strings.Join(arguments(nil, &c.config), " "); got != c.want {
				t.Fatalf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestMemoryOptions(t *testing.T) {
	for name, c := range map[string]struct {
		maxRAM      bool
		memory, max int64
		want        []string
	}{
		"memory":         {true, 256, 0, []string{"-XX:MaxRAM=256m"}},
		"memory_max":     {true, 256, 512, []string{"-XX:MaxRAM=512m"}},
		"unlimited":      {true, 256, -1, nil},
		"not known":      {false, 256, 0, nil},
		"no reservation": {true, 0, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got := memoryOptions(&jvm{MaxRAM: c.maxRAM}, &driver.Resources{MemoryMB: c.memory, MemoryMaxMB: c.max})
			if !reflect.DeepEqual(got, c.want) {
				t.Fatalf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestCheckConfig(t *testing.T) {
	for name, c := range map[string]struct {
		config taskConfig
		want   string
	}{
		"fine":       {taskConfig{Class: "Main"}, ""},
		"no program": {taskConfig{}, "jar_path"},
		"pid mode":   {taskConfig{Class: "Main", PIDMode: "shared"}, "pid_mode"},
		"capability": {taskConfig{Class: "Main", CapAdd: []string{"fly"}}, "cap_add"},
	} {
		t.Run(name, func(t *testing.T) {
			found := New(nil, nil).CheckConfig(t.Context(), c.config)
			if c.want == "" && len(found) == 0 {
				return
			}
			if len(found) != 1 || found[0].Path != c.want {
				t.Fatalf("found %v, want %q", found, c.want)
			}
		})
	}
}

func TestPluginConfig(t *testing.T) {
	for name, p := range map[string]pluginConfig{
		"pid mode":   {DefaultPIDMode: "x"},
		"ipc mode":   {DefaultIPCMode: "x"},
		"capability": {AllowCaps: []string{"fly"}},
	} {
		if _, err := check(p); err == nil {
			t.Errorf("%s: accepted %+v", name, p)
		}
	}
}
