package docker

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/droverhq/drover/drivers-docker/spec"
	"github.com/droverhq/drover/sdk/driver"
)

func TestRefusals(t *testing.T) {
	r := newRig(t, nil).launch()
	for name, test := range map[string]struct {
		config map[string]any
		want   string
	}{
		"privileged":          {map[string]any{"privileged": true}, "allow_privileged"},
		"capability":          {map[string]any{"cap_add": []any{"SYS_ADMIN"}}, "SYS_ADMIN is not allowed"},
		"host path":           {map[string]any{"volumes": []any{"/etc:/host"}}, "outside the allocation's directory"},
		"climbing path":       {map[string]any{"volumes": []any{"../../../etc:/host"}}, "outside the allocation's directory"},
		"volume driver":       {map[string]any{"volume_driver": "nfs"}, "volumes.enabled"},
		"pid mode":            {map[string]any{"pid_mode": "host"}, "allowed_modes.pid"},
		"runtime":             {map[string]any{"runtime": "kata"}, "allow_runtimes"},
		"unknown port":        {map[string]any{"ports": []any{"http"}}, "no ports"},
		"isolation":           {map[string]any{"isolation": "hyperv"}, "Windows only"},
		"mount type":          {map[string]any{"mount": []any{map[string]any{"type": "nfs", "target": "/x"}}}, "none of volume, bind and tmpfs"},
		"seccomp profile":     {map[string]any{"security_opt": []any{"seccomp=/absent"}}, "seccomp profile"},
		"device":              {map[string]any{"devices": []any{map[string]any{"host_path": "/dev/absent"}}}, "/dev/absent"},
		"bind source":         {map[string]any{"mount": []any{map[string]any{"type": "bind", "source": "local/absent", "target": "/x"}}}, "local/absent"},
		"network":             {map[string]any{"network_mode": "absent"}, "absent"},
		"work dir":            {map[string]any{"work_dir": "relative"}, "relative"},
		"own directory":       {map[string]any{"volumes": []any{".:/x"}}, "is not the task's own"},
		"all allocation":      {map[string]any{"mount": []any{map[string]any{"type": "bind", "source": "..", "target": "/x"}}}, "is not the task's own"},
		"other's secrets":     {map[string]any{"volumes": []any{"../other/secrets:/x"}}, "is not the task's own"},
		"profile outside":     {map[string]any{"security_opt": []any{"seccomp=/etc/shadow"}}, "neither in the task's directory"},
		"profile that climbs": {map[string]any{"security_opt": []any{"seccomp=../../../../etc/shadow"}}, "escapes"},
		"no such network":     {map[string]any{"network_mode": "container:absent"}, "look at container absent"},
		"oom score":           {map[string]any{"oom_score_adj": 1001}, "between -1000 and 1000"},
		"no program":          {map[string]any{"command": "/absent", "args": []any{}}, "/absent"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := r.refused(r.task("true", test.config)); !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v\nwant %q", err, test.want)
			}
			if left := r.containers(); len(left) > 0 {
				t.Errorf("left: %v", left[0].Names)
			}
		})
	}
}

func TestLinkOutOfTheAllocation(t *testing.T) {
	r := newRig(t, nil).launch()
	task := r.task("true", map[string]any{"volumes": []any{"local/out/passwd:/x"}})
	if err := os.Symlink("/etc", filepath.Join(task.LocalDir(), "out")); err != nil {
		t.Fatal(err)
	}
	if err := r.refused(task); !strings.Contains(err.Error(), "symbolic link") {
		t.Errorf("got %v", err)
	}
}

func TestVolumesAndMounts(t *testing.T) {
	r := newRig(t, nil).launch()
	task := r.task("cat /in/file /ro/file; touch /ro/x 2>/dev/null || echo ro; touch /tmpfs/x && echo tmpfs; cat /vol/file; touch /vol/x 2>/dev/null || echo ro", map[string]any{
		"volumes": []any{"local/data:/in"},
		"mount": []any{
			map[string]any{"type": "bind", "source": "local/data", "target": "/ro", "readonly": true},
			map[string]any{"type": "tmpfs", "target": "/tmpfs", "tmpfs_options": []any{map[string]any{"size": 100000}}},
		},
	})
	dir := filepath.Join(task.LocalDir(), "data")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("content\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	task.Mounts = []driver.Mount{{HostPath: dir, TaskPath: "/vol", Readonly: true, Propagation: "private"}}
	r.start(task)
	r.wait(task)
	if got, want := r.out(task), "content\ncontent\nro\ntmpfs\ncontent\nro\n"; got != want {
		t.Errorf("got %q, want %q; %s", got, want, r.err(task))
	}
}

func TestAllowedModes(t *testing.T) {
	r := newRig(t, map[string]any{"allowed_modes": []any{map[string]any{"uts": []any{"host"}, "pid": []any{"container:*"}}}, "allow_caps": []any{"all"}}).launch()
	task := r.task("hostname; grep CapEff /proc/self/status; sleep 1000", map[string]any{"uts_mode": "host", "cap_drop": []any{"all"}, "cap_add": []any{"chown", "NET_RAW"}})
	r.start(task)
	name, _ := os.Hostname()
	r.until("the output", func() bool { return strings.Count(r.out(task), "\n") == 2 })
	if got, want := r.out(task), name+"\nCapEff:\t0000000000002001\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	joined := r.task("ps | grep -c 1000", map[string]any{"pid_mode": "container:" + spec.Name(task)})
	r.start(joined)
	r.wait(joined)
	if r.out(joined) == "0\n" {
		t.Error("the other task's process is not seen")
	}
	if err := r.refused(r.task("true", map[string]any{"pid_mode": "host"})); !strings.Contains(err.Error(), "container:* are") {
		t.Errorf("got %v", err)
	}
}

func TestPublishedPort(t *testing.T) {
	r := newRig(t, nil).launch()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	task := r.task("echo $NOMAD_PORT_http; while :; do echo hello | nc -l -p 80; done", map[string]any{"ports": []any{"http"}})
	task.Env["NOMAD_PORT_http"] = fmt.Sprint(port)
	task.Resources.Ports = []driver.Port{{Label: "http", Value: port, To: 80, HostIP: "127.0.0.1"}}
	started := r.start(task)
	if started.Network == nil || !strings.HasPrefix(started.Network.Addr, "172.31.") {
		t.Errorf("network %+v", started.Network)
	}
	r.until("the port answers", func() bool {
		c, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
		if err != nil {
			return false
		}
		defer c.Close()
		buf := make([]byte, 5)
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
		n, _ := c.Read(buf)
		return string(buf[:n]) == "hello"
	})
	r.until("the port is in the environment", func() bool { return r.out(task) == "80\n" })
	taken := r.task("true", map[string]any{"ports": []any{"http"}})
	taken.Resources.Ports = task.Resources.Ports
	if err := r.refused(taken); !strings.Contains(err.Error(), fmt.Sprint(port)) {
		t.Errorf("a port that is taken: %v", err)
	}
}

// Two tasks of one allocation share the namespace that the driver made, with an image that no registry knows.
func TestSharedNamespace(t *testing.T) {
	r := newRig(t, nil).launch()
	r.start(r.task("true", nil)) // from here the driver knows its node
	made, err := r.driver.CreateNetwork(t.Context(), &driver.CreateNetworkRequest{AllocID: r.nodeID, Hostname: "shared"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		for range 2 {
			if err := r.driver.DestroyNetwork(context.Background(), &driver.DestroyNetworkRequest{AllocID: r.nodeID, Network: made.Network}); err != nil {
				t.Error(err)
			}
		}
	}()
	if _, err := os.Stat(made.Network.Path); err != nil || !made.Created || made.Network.Mode != driver.NetworkGroup {
		t.Errorf("got %+v, %v", made, err)
	}
	again, err := r.driver.CreateNetwork(t.Context(), &driver.CreateNetworkRequest{AllocID: r.nodeID, Hostname: "shared"})
	if err != nil || again.Created || again.Network.Path != made.Network.Path {
		t.Errorf("the second time: %+v, %v", again, err)
	}
	made.Network.Hosts = &driver.HostsConfig{Hostname: "shared", Address: "10.9.8.7"}
	server, reader := r.task("echo from the other | nc -l -p 8080", nil), r.task("while ! nc 127.0.0.1 8080; do sleep 0.05; done; grep shared /etc/hosts; cat /etc/resolv.conf", nil)
	server.Network, reader.Network = made.Network, made.Network
	reader.DNS = &driver.DNS{Servers: []string{"10.0.0.53"}, Searches: []string{"example.net"}}
	r.start(server)
	r.start(reader)
	r.wait(reader)
	if got, want := r.out(reader), "from the other\n10.9.8.7 shared\nsearch example.net\nnameserver 10.0.0.53\n"; got != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
	r.destroy(server)
	r.destroy(reader)
}

// Two agents on one engine: each removes its own leftovers and leaves the other's containers alone, and what is nobody's.
func TestLeftovers(t *testing.T) {
	config := map[string]any{"gc": []any{map[string]any{"dangling_containers": []any{map[string]any{"period": "300ms", "creation_grace": "1s"}}}}}
	mine, other := newRig(t, config), newRig(t, config)
	other.nodeID += "-other"
	mine.launch()
	other.launch()
	known, theirs := mine.task("sleep 1000", nil), other.task("sleep 1000", nil)
	mine.start(known)
	other.start(theirs)
	leave := func(name string, labels map[string]string) {
		made, err := mine.daemon.client.ContainerCreate(t.Context(), client.ContainerCreateOptions{
			Name: name, Config: &container.Config{Image: busybox, Cmd: []string{"sleep", "1000"}, Labels: labels},
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := mine.daemon.client.ContainerStart(t.Context(), made.ID, client.ContainerStartOptions{}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = removeContainer(context.Background(), mine.daemon.client, made.ID) })
	}
	exists := func(name string) bool {
		_, err := mine.daemon.client.ContainerInspect(t.Context(), name, client.ContainerInspectOptions{})
		return err == nil
	}
	leave("leftover", map[string]string{spec.LabelNode: mine.nodeID, spec.LabelKind: spec.KindTask, spec.LabelAlloc: "old"})
	leave("pause", map[string]string{spec.LabelNode: mine.nodeID, spec.LabelKind: spec.KindPause, spec.LabelAlloc: "older"})
	leave("somebodys", map[string]string{"com.hashicorp.nomad.alloc_id": "x"})
	leave("elsewhere", map[string]string{spec.LabelNode: "another", spec.LabelKind: spec.KindTask, spec.LabelAlloc: "old"})
	mine.until("the leftovers are gone", func() bool { return !exists("leftover") && !exists("pause") })
	for _, name := range []string{"somebodys", "elsewhere", spec.Name(known), spec.Name(theirs)} {
		if !exists(name) {
			t.Errorf("%s was removed", name)
		}
	}
	// A second generation of the plugin does not know the first one's task, and leaves it alone.
	second := newRig(t, config)
	second.nodeID = mine.nodeID
	second.next = 10 // another task of the same allocation
	second.launch()
	second.start(second.plainTask(map[string]any{"image": busybox, "command": "sleep", "args": []any{"1000"}, "labels": []any{map[string]any{"generation": "2"}}}))
	leave("again", map[string]string{spec.LabelNode: mine.nodeID, spec.LabelKind: spec.KindTask, spec.LabelAlloc: "old"})
	second.until("the leftover is gone", func() bool { return !exists("again") })
	for _, name := range []string{spec.Name(known), spec.Name(theirs)} {
		if !exists(name) {
			t.Errorf("%s was removed", name)
		}
	}
	mine.destroy(known) // the second rig's audit counts the whole allocation
}

func TestNameIsTaken(t *testing.T) {
	r := newRig(t, nil).launch()
	task := r.task("echo mine", nil)
	made, err := r.daemon.client.ContainerCreate(t.Context(), client.ContainerCreateOptions{Name: spec.Name(task), Config: &container.Config{Image: busybox, Cmd: []string{"true"}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.refused(task); !strings.Contains(err.Error(), "is not this node's") {
		t.Errorf("got %v", err)
	}
	if err := removeContainer(t.Context(), r.daemon.client, made.ID); err != nil {
		t.Fatal(err)
	}
	r.start(task)
	r.wait(task)
}

func TestKeptContainer(t *testing.T) {
	r := newRig(t, map[string]any{"gc": []any{map[string]any{"container": false}}}).launch()
	task := r.task("sleep 1000", nil)
	r.start(task)
	r.destroy(task)
	if c := r.inspect(task); c.State.Running {
		t.Error("the container still runs")
	}
	if err := removeContainer(t.Context(), r.daemon.client, spec.Name(task)); err != nil {
		t.Fatal(err)
	}
}
