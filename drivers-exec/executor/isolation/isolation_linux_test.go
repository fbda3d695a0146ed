package isolation

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/droverhq/drover/drivers-exec/executor/launch"
	"github.com/droverhq/drover/sdk/driver"
)

func TestCapabilities(t *testing.T) {
	for name, c := range map[string]struct {
		allow, add, drop []string
		want             []string
		fail             string
	}{
		"default":          {DefaultCapabilities(), nil, nil, DefaultCapabilities(), ""},
		"drop":             {DefaultCapabilities(), nil, []string{"CAP_MKNOD", "setuid", "setgid", "chown", "dac_override", "fowner", "fsetid", "kill", "setfcap", "setpcap", "sys_chroot"}, []string{"audit_write", "net_bind_service"}, ""},
		"drop all, add":    {DefaultCapabilities(), []string{"NET_BIND_SERVICE"}, []string{"all"}, []string{"net_bind_service"}, ""},
		"beyond":           {DefaultCapabilities(), []string{"net_raw", "sys_admin"}, nil, nil, "net_raw, sys_admin"},
		"allowed by all":   {[]string{"all"}, []string{"net_raw"}, []string{"all"}, []string{"net_raw"}, ""},
		"operator narrows": {[]string{"chown"}, nil, nil, []string{"chown"}, ""},
		"unknown":          {DefaultCapabilities(), nil, []string{"flying"}, nil, "flying"},
	} {
		t.Run(name, func(t *testing.T) {
			set, err := Capabilities(c.allow, c.add, c.drop)
			if c.fail != "" {
				if err == nil || !strings.Contains(err.Error(), c.fail) {
					t.Fatalf("error %v, want %q", err, c.fail)
				}
				return
			}
			want, _ := parse("", c.want)
			if err != nil || set != want {
				t.Fatalf("got %v %v, want %v", list(set), err, c.want)
			}
		})
	}
}

func task(t *testing.T) *driver.TaskConfig {
	c := &driver.TaskConfig{Name: "web", AllocDir: t.TempDir()}
	for _, d := range []string{"alloc/logs", "web/local", "web/secrets", "web/tmp", "web/private", "web/app"} {
		if err := os.MkdirAll(filepath.Join(c.AllocDir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func targets(r *launch.Root, source string) (list []string) {
	for _, e := range r.Entries {
		if e.Kind == launch.Bind && e.Source == source {
			list = append(list, e.Target)
		}
	}
	return list
}

// replace puts a link to a directory of the host in the place of one of the allocation's, as another task can.
func replace(name string) func(*driver.TaskConfig) {
	return func(c *driver.TaskConfig) {
		path := filepath.Join(c.AllocDir, name)
		os.RemoveAll(path)
		os.Symlink(filepath.Dir(c.AllocDir), path)
	}
}

func TestRootRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		chroot map[string]string
		change func(*driver.TaskConfig)
		want   string
	}{
		"relative chroot":  {map[string]string{"etc": "/etc"}, nil, "chroot_env"},
		"root as target":   {map[string]string{"/usr": "/"}, nil, "chroot_env"},
		"volume over root": {nil, func(c *driver.TaskConfig) { c.Mounts = []driver.Mount{{HostPath: "/etc", TaskPath: "/../"}} }, "root"},
		"propagation": {nil, func(c *driver.TaskConfig) {
			c.Mounts = []driver.Mount{{HostPath: "/etc", TaskPath: "/x", Propagation: "up"}}
		}, "propagation"},
		"device":            {nil, func(c *driver.TaskConfig) { c.Devices = []driver.Device{{HostPath: "/dev/none"}} }, "/dev/none"},
		"local is a link":   {nil, replace("web/local"), "web/local is a link"},
		"secrets is a link": {nil, replace("web/secrets"), "web/secrets is a link"},
		"tmp is a link":     {nil, replace("web/tmp"), "web/tmp is a link"},
		"task is a link":    {nil, replace("web"), "is a link"},
		"alloc is a link":   {nil, replace("alloc"), "alloc is a link"},
		"local is a file": {nil, func(c *driver.TaskConfig) {
			os.RemoveAll(c.LocalDir())
			os.WriteFile(c.LocalDir(), nil, 0o644)
		}, "no directory"},
		"no directories": {nil, func(c *driver.TaskConfig) { c.Name = "other" }, "task directory"},
	} {
		t.Run(name, func(t *testing.T) {
			conf := task(t)
			if c.change != nil {
				c.change(conf)
			}
			_, err := Root(View{Chroot: c.chroot, Task: conf})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want %q", err, c.want)
			}
		})
	}
}

func TestRootEntries(t *testing.T) {
	conf := task(t)
	os.Symlink("/", filepath.Join(conf.TaskDir(), "link"))
	r, err := Root(View{Chroot: map[string]string{"/usr": "/usr", "/etc/ssl": "/etc/ssl", "/no/such": "/x"}, Task: conf})
	if err != nil {
		t.Fatal(err)
	}
	for source, want := range map[string][]string{
		"/usr":                                   {"/usr"},
		filepath.Join(conf.TaskDir(), "app"):     {"/app"},
		filepath.Join(conf.TaskDir(), "link"):    nil,
		filepath.Join(conf.TaskDir(), "private"): nil,
		conf.LocalDir():                          {"/local"},
		"/no/such":                               nil,
	} {
		if got := targets(r, source); !reflect.DeepEqual(got, want) {
			t.Errorf("%s is at %v, want %v", source, got, want)
		}
	}
}

func TestFindCommand(t *testing.T) {
	conf := task(t)
	write := func(path string, mode os.FileMode) {
		if err := os.WriteFile(filepath.Join(conf.TaskDir(), path), []byte("#!"), mode); err != nil {
			t.Fatal(err)
		}
	}
	write("local/tool", 0o644)
	write("app/run", 0o644)
	volume := t.TempDir()
	os.WriteFile(filepath.Join(volume, "vtool"), []byte("#!"), 0o755)
	conf.Mounts = []driver.Mount{{HostPath: volume, TaskPath: "/srv"}}
	r, err := Root(View{Chroot: DefaultChroot(), Task: conf})
	if err != nil {
		t.Fatal(err)
	}
	for command, want := range map[string]string{
		"tool": "/local/tool", "app/run": "/app/run", "/app/run": "/app/run", "vtool": "/srv/vtool",
		"sh": "/usr/bin/sh", "/bin/sh": "/bin/sh", "/etc/passwd": "", "/root/x": "", "none": "", "/": "", "local": "", "/proc/self/exe": "", "../../etc/passwd": "",
	} {
		got, err := FindCommand(command, r)
		if (err != nil) != (want == "") || got != want {
			t.Errorf("%s is %q %v, want %q", command, got, err, want)
		}
	}
	if st, _ := os.Stat(filepath.Join(conf.LocalDir(), "tool")); st.Mode()&0o111 == 0 {
		t.Error("the task's own program was not made executable")
	}
}
