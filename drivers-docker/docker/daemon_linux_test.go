package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"github.com/droverhq/drover/sdk/plugin"
)

// pluginVerb makes the test binary serve the driver.
const pluginVerb = "plugin"

// busybox is the tests' image, made of the busybox on this machine.
const busybox = "busybox:test"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == pluginVerb {
		d := New(plugin.NewLogger("docker"))
		d.times.leastStall = time.Millisecond
		d.times.reconnect = 100 * time.Millisecond
		d.times.engineBack = 3 * time.Second
		d.times.pauseGrace = 0
		plugin.Serve(Plugin(d, "0.1.0"))
		os.Exit(0)
	}
	code := m.Run()
	testDaemon.shutdown()
	os.Exit(code)
}

// testDaemon is started by the first test that needs it.
var testDaemon daemon

// daemon is a dockerd of the tests' own: its files, its socket, its bridge, no firewall rules.
type daemon struct {
	once sync.Once
	err  error // why there is none

	dir, bridge string
	live        bool
	cmd         *exec.Cmd
	log         *os.File
	client      *client.Client
}

func docker(t *testing.T) *daemon {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root for a dockerd of its own")
	}
	testDaemon.once.Do(func() { testDaemon.err = testDaemon.setup() })
	if testDaemon.err != nil {
		t.Fatal(testDaemon.err)
	}
	return &testDaemon
}

func (d *daemon) setup() error {
	for _, program := range []string{"dockerd", "busybox", "ip"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%w (.ci/deps installs it)", err)
		}
	}
	dir, err := os.MkdirTemp("", "dkr")
	if err != nil {
		return err
	}
	d.dir, d.live = dir, true
	d.bridge = fmt.Sprintf("dkr%d", os.Getpid()%100000)
	for _, args := range [][]string{
		{"link", "add", d.bridge, "type", "bridge"},
		{"addr", "add", fmt.Sprintf("172.31.%d.1/24", os.Getpid()%250), "dev", d.bridge},
		{"link", "set", d.bridge, "up"},
	} {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %v: %w: %s", args, err, out)
		}
	}
	if d.log, err = os.Create(filepath.Join(dir, "log")); err != nil {
		return err
	}
	if d.client, err = client.New(client.WithHost(d.endpoint())); err != nil {
		return err
	}
	if err := d.start(); err != nil {
		return err
	}
	if err := d.makeImage(busybox); err != nil {
		return err
	}
	return nil
}

func (d *daemon) endpoint() string { return "unix://" + filepath.Join(d.dir, "d.sock") }

func (d *daemon) start() error {
	args := []string{
		"--data-root", filepath.Join(d.dir, "data"), "--exec-root", filepath.Join(d.dir, "exec"), "--pidfile", filepath.Join(d.dir, "pid"),
		"-H", d.endpoint(), "--bridge", d.bridge, "--iptables=false", "--ip-forward=false", "--ip-masq=false", "--shutdown-timeout", "3",
		"--config-file", filepath.Join(d.dir, "none.json"),
	}
	if err := os.WriteFile(filepath.Join(d.dir, "none.json"), []byte("{}"), 0o600); err != nil {
		return err
	}
	if d.live {
		args = append(args, "--live-restore")
	}
	d.cmd = exec.Command("dockerd", args...)
	d.cmd.Stdout, d.cmd.Stderr = d.log, d.log
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := d.cmd.Start(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	for {
		if _, err := d.client.Info(ctx, client.InfoOptions{}); err == nil {
			return nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			text, _ := os.ReadFile(d.log.Name())
			return fmt.Errorf("dockerd does not answer: %s", text)
		}
	}
}

func (d *daemon) stop(signal os.Signal) {
	if d.cmd == nil || d.cmd.Process == nil {
		return
	}
	_ = d.cmd.Process.Signal(signal)
	_ = d.cmd.Wait()
	d.cmd = nil
}

// shutdown removes everything that the tests' daemon left.
func (d *daemon) shutdown() {
	if d.dir == "" {
		return
	}
	if d.client != nil && d.cmd != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		if list, err := d.client.ContainerList(ctx, client.ContainerListOptions{All: true}); err == nil {
			for _, c := range list.Items {
				_ = removeContainer(ctx, d.client, c.ID)
			}
		}
		cancel()
	}
	pid := filepath.Join(d.dir, "exec", "containerd", "containerd.pid")
	d.stop(syscall.SIGTERM)
	// With live-restore the daemon leaves its containerd running; it is ours, and named by its own pid file.
	if text, err := os.ReadFile(pid); err == nil {
		var n int
		if _, err := fmt.Sscan(string(text), &n); err == nil && n > 1 {
			if line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", n)); err == nil && bytes.Contains(line, []byte(d.dir)) {
				_ = syscall.Kill(n, syscall.SIGKILL)
			}
		}
	}
	_ = exec.Command("ip", "link", "del", d.bridge).Run()
	mounts, _ := os.ReadFile("/proc/self/mounts")
	for _, line := range strings.Split(string(mounts), "\n") {
		if f := strings.Fields(line); len(f) > 1 && strings.HasPrefix(f[1], d.dir) {
			_ = syscall.Unmount(f[1], syscall.MNT_DETACH)
		}
	}
	_ = os.RemoveAll(d.dir)
}

// makeImage imports the machine's busybox with links for all its commands.
func (d *daemon) makeImage(name string) error {
	archive, err := busyboxTar()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	answer, err := d.client.ImageImport(ctx, client.ImageImportSource{Source: bytes.NewReader(archive), SourceName: "-"}, name, client.ImageImportOptions{})
	if err != nil {
		return err
	}
	defer answer.Close()
	return messages(answer)
}

func busyboxTar() ([]byte, error) {
	path, err := exec.LookPath("busybox")
	if err != nil {
		return nil, err
	}
	program, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	applets, err := exec.Command(path, "--list").Output()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	add := func(h *tar.Header, data []byte) {
		h.Size = int64(len(data))
		_ = w.WriteHeader(h)
		_, _ = w.Write(data)
	}
	add(&tar.Header{Name: "bin/busybox", Mode: 0o755}, program)
	for _, applet := range strings.Fields(string(applets)) {
		if applet != "busybox" {
			add(&tar.Header{Name: "bin/" + applet, Typeflag: tar.TypeSymlink, Linkname: "busybox"}, nil)
		}
	}
	add(&tar.Header{Name: "etc/passwd", Mode: 0o644}, []byte("root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n"))
	add(&tar.Header{Name: "tmp/", Mode: 0o1777, Typeflag: tar.TypeDir}, nil)
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// save is the archive of an image, as docker save writes it.
func (d *daemon) save(t *testing.T, name string) []byte {
	t.Helper()
	r, err := d.client.ImageSave(t.Context(), []string{name})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// freshTar is a layer that no engine has: random bytes that do not compress.
func freshTar(to io.Writer) error {
	data := make([]byte, 2<<20)
	if _, err := rand.Read(data); err != nil {
		return err
	}
	w := tar.NewWriter(to)
	if err := w.WriteHeader(&tar.Header{Name: "data", Mode: 0o644, Size: int64(len(data))}); err != nil {
		return err
	}
	if _, err := w.Write(data); err != nil {
		return err
	}
	return w.Close()
}
