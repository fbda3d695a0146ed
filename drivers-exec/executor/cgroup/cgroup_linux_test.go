package cgroup

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	for name, c := range map[string]struct {
		mounts  string
		want    Host
		version string
	}{
		"two": {
			"30 23 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n",
			Host{Unified: "/sys/fs/cgroup", V1: map[string]string{}}, "2",
		},
		"mixed": {
			"30 23 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n31 23 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n32 23 0:28 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n",
			Host{Unified: "/sys/fs/cgroup/unified", V1: map[string]string{"cpu": "/sys/fs/cgroup/cpu,cpuacct", "cpuacct": "/sys/fs/cgroup/cpu,cpuacct"}}, "1 and 2",
		},
		"one": {
			"31 23 0:27 / /cg/freezer rw - cgroup none rw,freezer\n",
			Host{V1: map[string]string{"freezer": "/cg/freezer"}}, "1",
		},
		"none": {"22 1 8:1 / / rw - ext4 /dev/sda1 rw\nnonsense\n", Host{V1: map[string]string{}}, "none"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parse(strings.NewReader(c.mounts))
			if err != nil || !reflect.DeepEqual(got, c.want) || got.Version() != c.version {
				t.Fatalf("got %+v %s %v, want %+v %s", got, got.Version(), err, c.want, c.version)
			}
		})
	}
}

// layouts are the hierarchies of this machine, as it is and as if it had no
// version 2.
func layouts(t *testing.T) map[string]Host {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	h, err := Detect()
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Usable(); err != nil {
		t.Fatal(err)
	}
	all := map[string]Host{"as it is": h}
	if h.V1["freezer"] != "" {
		all["version 1"] = Host{V1: h.V1}
	}
	return all
}

func TestCreateKillRemove(t *testing.T) {
	for name, h := range layouts(t) {
		t.Run(name, func(t *testing.T) {
			g, err := h.Create("test."+t.Name()[len("TestCreateKillRemove/"):], Limits{Memory: 64 << 20, CPUShares: 200, PIDs: 50}, "")
			if err != nil {
				t.Fatal(err)
			}
			born, join := g.Enter()
			if born != "" {
				join = append(join, born)
			}
			var enter strings.Builder
			for _, dir := range join {
				enter.WriteString("echo $$ >'" + dir + "/cgroup.procs' && ")
			}
			cmd := exec.Command("sh", "-c", enter.String()+"{ sleep 1000 & setsid sleep 1001 & echo up; wait; }")
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 3)
			if _, err := out.Read(buf); err != nil {
				t.Fatal(err)
			}
			pids, err := g.PIDs()
			if err != nil || len(pids) != 3 {
				t.Errorf("processes %v %v", pids, err)
			}
			if u := g.Usage(); !u.Memory.Known || u.Memory.Usage == 0 {
				t.Errorf("usage %+v", u)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			if err := g.Kill(ctx); err != nil {
				t.Fatal(err)
			}
			cmd.Wait()
			if pids, err := g.PIDs(); len(pids) != 0 {
				t.Errorf("processes left %v %v", pids, err)
			}
			for range 2 {
				if err := g.Remove(); err != nil {
					t.Fatal(err)
				}
			}
			for _, dir := range join {
				if _, err := os.Stat(dir); !os.IsNotExist(err) {
					t.Errorf("%s is left: %v", dir, err)
				}
			}
		})
	}
}

// A directory that the host made for the task is used and left to the host.
func TestGivenDirectory(t *testing.T) {
	for name, h := range layouts(t) {
		cpuset := h.V1["cpuset"]
		if cpuset == "" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			given := filepath.Join(cpuset, "drover-test-given")
			if err := os.Mkdir(given, 0o755); err != nil {
				t.Fatal(err)
			}
			defer os.Remove(given)
			g, err := h.Create("test.given", Limits{}, given)
			if err != nil {
				t.Fatal(err)
			}
			if _, join := g.Enter(); !reflect.DeepEqual(join[len(join)-1], given) {
				t.Errorf("joins %v", join)
			}
			if err := g.Remove(); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(given); err != nil {
				t.Fatalf("the host's directory was removed: %v", err)
			}
		})
	}
}

func TestLimitThatCannotBe(t *testing.T) {
	for name, h := range layouts(t) {
		t.Run(name, func(t *testing.T) {
			g, err := h.Create("test.impossible", Limits{CPUs: "9999"}, "")
			if err == nil {
				g.Remove()
				t.Fatal("core 9999 was given")
			}
			for _, dir := range g.dirs() {
				if _, err := os.Stat(dir); !os.IsNotExist(err) {
					t.Errorf("%s is left: %v", dir, err)
				}
			}
		})
	}
}

// Version 2 filters by a program attached to the group. Its tree needs no controller for that.
func TestDevices(t *testing.T) {
	all := layouts(t)
	if h := all["as it is"]; h.Unified != "" {
		all["version 2"] = Host{Unified: h.Unified, V1: map[string]string{"pids": h.V1["pids"]}}
	}
	for name, h := range all {
		t.Run(name, func(t *testing.T) {
			if h.V1["devices"] == "" && h.Unified == "" {
				t.Skip("nothing limits devices here")
			}
			g, err := h.Create("test.devices."+strings.ReplaceAll(name, " ", ""), Limits{Devices: []Device{
				{Major: 1, Minor: 3, Access: "rw"}, {Major: 1, Minor: 5, Access: "r"},
			}}, "")
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := g.Remove(); err != nil {
					t.Error(err)
				}
			}()
			born, join := g.Enter()
			if born != "" {
				join = append(join, born)
			}
			enter := ""
			for _, dir := range join {
				enter += "echo $$ >'" + dir + "/cgroup.procs' && "
			}
			out, err := exec.Command("sh", "-c", "exec 2>&1; "+enter+`
				echo x >/dev/null && echo null
				head -c 1 /dev/zero | wc -c
				(echo x >/dev/zero) || true
				(: </dev/full) || true`).Output()
			text := string(out)
			if err != nil || !strings.HasPrefix(text, "null\n1\n") || strings.Count(text, "Operation not permitted") != 2 {
				t.Errorf("%v:\n%s", err, text)
			}
		})
	}
}

// The operator's parent is known by the directory that the host prepared below it.
func TestParent(t *testing.T) {
	v1 := Host{V1: map[string]string{"cpuset": "/c/cpuset", "freezer": "/c/freezer"}}
	v2 := Host{Unified: "/c"}
	for name, c := range map[string]struct {
		host        Host
		given, want string
	}{
		"nothing given": {v1, "", Parent},
		"shared":        {v1, "/c/cpuset/own.slice/share", "own.slice"},
		"reserved":      {v1, "/c/cpuset/own.slice/reserve/a1.web", "own.slice"},
		"nested":        {v1, "/c/cpuset/top/own.slice/reserve/a1.web", "top/own.slice"},
		"task's name":   {v1, "/c/cpuset/own.slice/reserve/share", "own.slice"},
		"unified":       {v2, "/c/own.slice/share.slice/a1.web.scope", "own.slice"},
		"elsewhere":     {v1, "/srv/share", Parent},
		"other layout":  {v1, "/c/cpuset/x/y", Parent},
	} {
		if got := c.host.parent(c.given); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestListed(t *testing.T) {
	for text, want := range map[string]bool{
		"0::/own.slice/a1.web\n":                   true,
		"3:freezer:/x\n0::/own.slice/a1.web/sub\n": true,
		"0::/own.slice/a1.web2\n":                  false,
		"0::/own.slice\n":                          false,
	} {
		if got := listed(text, "a1.web"); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}
