package qemu

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/drivers-exec/drivertest"
	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/host"
	"github.com/droverhq/drover/sdk/plugin"
)

func TestMain(m *testing.M) {
	drivertest.Main(m, Name, func() {
		plugin.Serve(Plugin(New(plugin.NewLogger(Name), nil), "0.1.0"))
	})
}

func newNode(t *testing.T, config map[string]any) *drivertest.Node {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	if config == nil {
		config = map[string]any{}
	}
	return drivertest.New(t, Name, config)
}

// machineTask makes a task with a small raw disk, local/disk.raw.
func machineTask(n *drivertest.Node, config map[string]any) *driver.TaskConfig {
	n.Helper()
	if config["image_path"] == nil {
		config["image_path"] = "local/disk.raw"
	}
	task := n.Task(config)
	task.Resources.MemoryMB = 160
	disk := make([]byte, 1<<20)
	copy(disk, "first")
	must(n.TB, os.WriteFile(filepath.Join(task.LocalDir(), "disk.raw"), disk, 0o644))
	return task
}

func qemuImg(t testing.TB, args ...string) {
	t.Helper()
	if out, err := exec.Command("qemu-img", args...).CombinedOutput(); err != nil {
		t.Fatalf("qemu-img %v: %v: %s", args, err, out)
	}
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// One machine with all there is: two disks, a seed, a forwarded port, the
// agent's channel. The plugin is killed under it and finds it again; it shuts
// down when it is asked to, and nothing is left.
func TestMachine(t *testing.T) {
	n := newNode(t, nil)
	g := build(t)
	port := freePort(t)
	task := machineTask(n, map[string]any{
		"drive_interface": "virtio", "graceful_shutdown": true, "guest_agent": true,
		"disk":     []any{map[string]any{"path": "alloc/data/second,disk.qcow2", "read_only": true}},
		"nocloud":  map[string]any{"user_data": "#cloud-config\nhostname: guest\n", "dir": "local/seed"},
		"port_map": []any{map[string]any{"http": 8080}},
		"args":     g.args("disks,seed,http,agent"),
	})
	task.Resources.Ports = []driver.Port{{Label: "http", Value: port, HostIP: "127.0.0.1"}}
	qemuImg(t, "create", "-q", "-f", "qcow2", filepath.Join(n.AllocDir, "alloc/data/second,disk.qcow2"), "8M")
	must(t, os.Mkdir(filepath.Join(task.LocalDir(), "seed"), 0o755))
	must(t, os.WriteFile(filepath.Join(task.LocalDir(), "seed", "meta-data"), []byte("instance-id: i-1\n"), 0o644))
	task.Env = map[string]string{"LD_PRELOAD": filepath.Join(n.AllocDir, "alloc/data/e.so"), "PATH": task.LocalDir()}
	screen := attach(n, task)
	h := n.Start(task)
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", n.PID(task)))
	must(t, err)
	if strings.Contains(string(environ), n.AllocDir+"/alloc") || strings.Contains(string(environ), "LD_PRELOAD") || !strings.Contains(string(environ), "PATH=") {
		t.Errorf("QEMU has the environment %q", environ)
	}
	out := screen.wait(t, "guest is up")
	for _, want := range []string{
		"disk vda: 2048 sectors, ro 0, begins with first",
		"disk vdb: 16384 sectors, ro 1, begins with",
		"seed /seed/user-data: #cloud-config hostname: guest",
		"seed /seed/meta-data: instance-id: i-1",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the guest does not say %q:\n%s", want, out)
		}
	}
	get := func() {
		t.Helper()
		resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", port))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if text, _ := io.ReadAll(resp.Body); string(text) != "from the guest\n" {
			t.Fatalf("got %q", text)
		}
	}
	get()
	agent, err := net.Dial("unix", filepath.Join(task.TaskDir(), agentSocket))
	must(t, err)
	fmt.Fprintln(agent, "hello")
	screen.wait(t, "agent was told: hello")
	agent.Close()

	pid := n.PID(task)
	n.Kill()
	get()
	n.Launch()
	must(t, n.Driver().RecoverTask(t.Context(), h))
	st, err := n.Driver().InspectTask(t.Context(), task.ID)
	must(t, err)
	if n.PID(task) != pid || st.Attributes["vm_status"] != "running" || st.Network == nil || st.Network.PortMap["http"] != 8080 {
		t.Fatalf("recovered as %+v, had pid %d", st, pid)
	}
	if _, err := n.Driver().ExecTask(t.Context(), task.ID, []string{"true"}, time.Second); err == nil {
		t.Error("ran a command in a machine")
	}
	if err := n.Driver().SignalTask(t.Context(), task.ID, "SIGHUP"); err == nil {
		t.Error("sent a signal to a machine")
	}

	must(t, n.Driver().StopTask(t.Context(), task.ID, time.Minute, ""))
	screen.wait(t, "guest shuts down")
	if exit := n.Wait(task); exit.ExitCode != 0 || exit.Signal != 0 {
		t.Errorf("exit %+v", exit)
	}
	must(t, n.Driver().DestroyTask(t.Context(), task.ID, true))
	for _, name := range []string{monitorSocket, agentSocket, seedFile} {
		if exists(filepath.Join(task.TaskDir(), name)) {
			t.Errorf("%s is left", name)
		}
	}
}

// A machine in the network of its group: what comes to the port inside leads into the guest, and nothing of it is on the host.
func TestMachineInNetwork(t *testing.T) {
	n := newNode(t, nil)
	name := fmt.Sprintf("dr-q%d", os.Getpid())
	run := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("ip %v: %v: %s", args, err, out)
		}
	}
	run("netns", "add", name)
	t.Cleanup(func() { run("netns", "del", name) })
	run("-n", name, "link", "set", "lo", "up")
	run("-n", name, "addr", "add", "10.255.254.2/32", "dev", "lo")

	host := freePort(t)
	task := machineTask(n, map[string]any{"port_map": []any{map[string]any{"http": 8080}}, "args": build(t).args("http")})
	task.Network = &driver.NetworkIsolation{Mode: driver.NetworkGroup, Path: "/run/netns/" + name}
	task.Resources.Ports = []driver.Port{{Label: "http", Value: host, To: 8000, HostIP: "10.255.254.2"}}
	screen := attach(n, task)
	n.Start(task)
	screen.wait(t, "guest is up")
	for _, addr := range []string{"127.0.0.1", "10.255.254.2"} {
		const get = "import sys,urllib.request; sys.stdout.write(urllib.request.urlopen(sys.argv[1], timeout=20).read().decode())"
		out, err := exec.Command("ip", "netns", "exec", name, "python3", "-c", get, "http://"+addr+":8000/").CombinedOutput()
		if err != nil || string(out) != "from the guest\n" {
			t.Errorf("%s inside answers %q, %v", addr, out, err)
		}
	}
	if c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", host)); err == nil {
		c.Close()
		t.Errorf("the machine listens on the host's port %d", host)
	}
}

// By default the seed is a CD, which needs no drivers but those of any PC.
func TestSeedOnCD(t *testing.T) {
	n := newNode(t, nil)
	task := machineTask(n, map[string]any{"nocloud": map[string]any{"user_data": "#cloud-config\n"}, "args": build(t).args("seed")})
	screen := attach(n, task)
	n.Start(task)
	out := screen.wait(t, "guest is up")
	for _, want := range []string{"seed /seed/user-data: #cloud-config", "seed /seed/meta-data: instance-id: " + task.AllocID + " local-hostname: " + task.Name} {
		if !strings.Contains(out, want) {
			t.Errorf("the guest does not say %q:\n%s", want, out)
		}
	}
}

// rounds is how often the graceful stop is tried.
func rounds() int {
	if os.Getenv("DROVER_TIER") == "soak" {
		return 20
	}
	return 2
}

func TestGracefulEveryTime(t *testing.T) {
	n := newNode(t, nil)
	g := build(t)
	var slowest time.Duration
	for i := range rounds() {
		task := machineTask(n, map[string]any{"graceful_shutdown": true, "args": g.args("")})
		screen := attach(n, task)
		n.Start(task)
		screen.wait(t, "guest is up")
		began := time.Now()
		must(t, n.Driver().StopTask(t.Context(), task.ID, time.Minute, ""))
		slowest = max(slowest, time.Since(began))
		if exit := n.Wait(task); exit.ExitCode != 0 {
			t.Errorf("round %d: exit %+v", i, exit)
		}
		screen.wait(t, "guest shuts down")
		must(t, n.Driver().DestroyTask(t.Context(), task.ID, true))
	}
	t.Logf("%d of %d; slowest stop %s", rounds(), rounds(), slowest)
}

// A guest that does not listen has its time and is then ended, and one that
// is not asked is ended at once.
func TestForcedStop(t *testing.T) {
	n := newNode(t, nil)
	g := build(t)
	for name, c := range map[string]struct {
		graceful bool
		timeout  time.Duration
		least    time.Duration
	}{
		"deaf guest":    {true, 2 * time.Second, 2 * time.Second},
		"not asked":     {false, 20 * time.Second, 0},
		"no time given": {true, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			task := machineTask(n, map[string]any{"graceful_shutdown": c.graceful, "args": g.args("deaf")})
			screen := attach(n, task)
			n.Start(task)
			screen.wait(t, "guest is up")
			began := time.Now()
			must(t, n.Driver().StopTask(t.Context(), task.ID, c.timeout, ""))
			if took := time.Since(began); took < c.least || took > c.least+10*time.Second {
				t.Errorf("stop took %s", took)
			}
			n.Wait(task)
			must(t, n.Driver().DestroyTask(t.Context(), task.ID, true))
		})
	}
}

// Where kvm works it is used, and where it does not the machine runs all the
// same and its user is told.
func TestAccelerator(t *testing.T) {
	n := newNode(t, nil)
	g := build(t)
	task := machineTask(n, map[string]any{"accelerator": "kvm", "args": g.args("", "-cpu", "host")})
	screen := attach(n, task)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	told := make(chan string, 16)
	go n.Driver().TaskEvents(ctx, func(e driver.TaskEvent) error {
		told <- e.Message
		return nil
	})
	var attributes string
	seen := errors.New("seen")
	err := n.Driver().Fingerprint(t.Context(), func(f driver.Fingerprint) error {
		if f.Health != driver.Healthy || f.Attributes["driver.qemu.version"].Format() == "" ||
			!strings.Contains(f.Attributes["driver.qemu.emulators"].Format(), "x86_64") {
			t.Errorf("%+v", f)
		}
		if strings.Contains(f.Description, errProbing.Error()) {
			return nil // the next one knows
		}
		attributes = f.Attributes["driver.qemu.accelerators"].Format()
		t.Log(f.Description)
		return seen
	})
	if err != seen {
		t.Fatal(err)
	}
	n.Start(task)
	screen.wait(t, "guest is up")
	args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", n.PID(task)))
	must(t, err)
	uses := strings.Contains(string(args), "accel=kvm")
	if uses != (attributes == "kvm,tcg") {
		t.Fatalf("accelerators %q, started with %q", attributes, args)
	}
	if !uses {
		select {
		case message := <-told:
			if !strings.Contains(message, "kvm cannot be used") {
				t.Errorf("told %q", message)
			}
		case <-time.After(10 * time.Second):
			t.Error("nobody was told that kvm is not used")
		}
	}
}

func TestRefusals(t *testing.T) {
	outside := t.TempDir()
	must(t, os.WriteFile(filepath.Join(outside, "secret.raw"), []byte("secret"), 0o644))
	shared := t.TempDir()
	must(t, os.WriteFile(filepath.Join(shared, "base.raw"), make([]byte, 1<<20), 0o644))
	n := newNode(t, map[string]any{
		"image_paths": []any{shared}, "args_allowlist": []any{"-smp", "-device"}, "emulators_allowlist": []any{"x86_64", "aarch64"},
	})
	taken, err := net.Listen("tcp", "0.0.0.0:0")
	must(t, err)
	defer taken.Close()
	for name, c := range map[string]struct {
		config map[string]any
		change func(*driver.TaskConfig)
		want   string
	}{
		"missing image":  {map[string]any{"image_path": "local/none.qcow2"}, nil, "there is no file"},
		"outside":        {map[string]any{"image_path": filepath.Join(outside, "secret.raw")}, nil, "image_paths"},
		"parent":         {map[string]any{"image_path": "../../../../../../../../../../etc/passwd"}, nil, "image_paths"},
		"link leads out": {map[string]any{"image_path": "local/link.raw"}, nil, "links lead to " + outside},
		"directory":      {map[string]any{"image_path": "local"}, nil, "neither a file nor a device"},
		"FIFO":           {map[string]any{"image_path": "local/fifo"}, nil, "neither a file nor a device"},
		"empty image":    {map[string]any{"image_path": "local/empty.raw"}, nil, "empty"},
		"cut short":      {map[string]any{"image_path": "local/short.qcow2"}, nil, "corrupt qcow2"},
		"corrupt":        {map[string]any{"image_path": "local/corrupt.qcow2"}, nil, "corrupt qcow2"},
		"corrupt inside": {map[string]any{"image_path": "local/inside.qcow2"}, nil, "QEMU did not start: "},
		"backed by secret": {map[string]any{"image_path": "local/overlay.qcow2"}, nil,
			"its backing file \"" + outside + "/secret.raw\""},
		"second disk":     {map[string]any{"disk": []any{map[string]any{"path": filepath.Join(outside, "secret.raw")}}}, nil, "image_paths"},
		"option":          {map[string]any{"args": []any{"-smp", "1", "-drive", "file=/etc/passwd"}}, nil, "option -drive is not in the plugin's args_allowlist"},
		"disk as a value": {map[string]any{"args": []any{"-smp", "1", filepath.Join(outside, "secret.raw")}}, nil, "no option and no option's value"},
		"declared vmdk":   {map[string]any{"image_path": "local/descriptor.qcow2"}, nil, "declared as \"vmdk\" and is raw"},
		"data file":       {map[string]any{"image_path": "local/data.qcow2"}, nil, "external data file"},
		"emulator":        {map[string]any{"emulator": "i386"}, nil, "emulators_allowlist"},
		"not installed":   {map[string]any{"emulator": "qemu-system-aarch64"}, nil, "not installed"},
		"emulator path":   {map[string]any{"emulator": "../bin/sh"}, nil, "emulator"},
		"interface":       {map[string]any{"drive_interface": "sata"}, nil, "drive_interface"},
		"machine option":  {map[string]any{"machine_type": "pc,x=y"}, nil, "machine_type"},
		"machine":         {map[string]any{"machine_type": "pdp11"}, nil, "QEMU did not start: "},
		"little memory":   {map[string]any{}, func(c *driver.TaskConfig) { c.Resources.MemoryMB = 127 }, "128"},
		"unknown label":   {map[string]any{"port_map": []any{map[string]any{"x": 1}}}, nil, "no port with the label \"x\""},
		"port taken": {map[string]any{"port_map": []any{map[string]any{"x": 1}}}, func(c *driver.TaskConfig) {
			c.Resources.Ports = []driver.Port{{Label: "x", Value: taken.Addr().(*net.TCPAddr).Port}}
		}, "QEMU did not start: "},
		"empty seed":   {map[string]any{"nocloud": map[string]any{}}, nil, "nocloud"},
		"seed outside": {map[string]any{"nocloud": map[string]any{"dir": "../../../etc"}}, nil, "nocloud"},
		"user":         {map[string]any{}, func(c *driver.TaskConfig) { c.User = "nobody-knows" }, "does not exist"},
	} {
		t.Run(name, func(t *testing.T) {
			task := machineTask(n, c.config)
			local := task.LocalDir()
			must(t, os.Symlink(filepath.Join(outside, "secret.raw"), filepath.Join(local, "link.raw")))
			must(t, os.WriteFile(filepath.Join(local, "empty.raw"), nil, 0o644))
			must(t, os.WriteFile(filepath.Join(local, "short.qcow2"), []byte("QFI\xfb\x00\x00\x00\x03"), 0o644))
			must(t, os.WriteFile(filepath.Join(local, "corrupt.qcow2"), append([]byte("QFI\xfb\x00\x00\x00\x03"), make([]byte, 4096)...), 0o644))
			must(t, exec.Command("mkfifo", filepath.Join(local, "fifo")).Run())
			qemuImg(t, "create", "-q", "-f", "qcow2", filepath.Join(local, "inside.qcow2"), "8M")
			damage(t, filepath.Join(local, "inside.qcow2"))
			must(t, os.WriteFile(filepath.Join(local, "text.vmdk"), []byte("# Disk DescriptorFile\nversion=1\ncreateType=\"monolithicFlat\"\nRW 16 FLAT \""+outside+"/secret.raw\" 0\n"), 0o644))
			qemuImg(t, "create", "-q", "-u", "-f", "qcow2", "-F", "vmdk", "-b", "text.vmdk", filepath.Join(local, "descriptor.qcow2"), "8M")
			qemuImg(t, "create", "-q", "-f", "qcow2", "-o", "data_file="+filepath.Join(local, "data.raw"), filepath.Join(local, "data.qcow2"), "8M")
			qemuImg(t, "create", "-q", "-f", "qcow2", "-F", "raw", "-b", filepath.Join(outside, "secret.raw"), filepath.Join(local, "overlay.qcow2"), "8M")
			if c.change != nil {
				c.change(task)
			}
			_, err := n.Driver().StartTask(t.Context(), task)
			if err == nil {
				n.Driver().DestroyTask(t.Context(), task.ID, true)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("start: %v, want %q", err, c.want)
			}
			t.Log(err)
			if err := n.Driver().DestroyTask(t.Context(), task.ID, true); !errors.Is(err, host.ErrTaskNotFound) {
				t.Errorf("the driver still knows the task: %v", err)
			}
			for _, name := range []string{monitorSocket, seedFile} {
				if exists(filepath.Join(task.TaskDir(), name)) {
					t.Errorf("%s is left", name)
				}
			}
		})
	}
	t.Run("allowed", func(t *testing.T) {
		task := machineTask(n, map[string]any{"image_path": filepath.Join(shared, "base.raw"), "args": []any{"-smp", "1"}})
		n.Start(task)
	})
}

// damage makes QEMU, but not a look at the header's numbers, refuse an image:
// it claims a feature that no QEMU knows.
func damage(t testing.TB, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	must(t, err)
	defer f.Close()
	_, err = f.WriteAt([]byte{0x40}, 72)
	must(t, err)
}

// Without root's rights QEMU still gets its sockets and its seed.
func TestOtherUser(t *testing.T) {
	n := newNode(t, nil)
	g := build(t)
	for dir := filepath.Dir(g.ramdisk); dir != os.TempDir(); dir = filepath.Dir(dir) {
		must(t, os.Chmod(dir, 0o755))
	}
	task := machineTask(n, map[string]any{"nocloud": map[string]any{"meta_data": "x: y"}, "args": g.args("")})
	task.User = "nobody"
	must(t, os.Chmod(task.TaskDir(), 0o777))
	must(t, os.Chmod(filepath.Join(task.LocalDir(), "disk.raw"), 0o666))
	h := n.Start(task)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.PID(task)))
	must(t, err)
	if !strings.Contains(string(status), "Uid:\t65534") {
		t.Fatalf("runs as somebody else: %s %+v", status, h.State)
	}
}
