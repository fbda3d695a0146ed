package harness

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Dockerd is a Docker engine of the tests' own: its files, its socket, its bridge, no firewall rules.
type Dockerd struct {
	dir, bridge string
	cmd         *exec.Cmd
	log         *os.File
}

// StartDockerd starts an engine with live-restore on. Call Close at the end, also if it returned an error.
func StartDockerd() (*Dockerd, error) {
	dir, err := os.MkdirTemp("", "dkd")
	if err != nil {
		return &Dockerd{}, err
	}
	d := &Dockerd{dir: dir, bridge: fmt.Sprintf("dkd%d", os.Getpid()%100000)}
	for _, args := range [][]string{
		{"link", "add", d.bridge, "type", "bridge"},
		{"addr", "add", fmt.Sprintf("172.30.%d.1/24", os.Getpid()%250), "dev", d.bridge},
		{"link", "set", d.bridge, "up"},
	} {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			return d, fmt.Errorf("ip %v: %s", args, out)
		}
	}
	if d.log, err = os.Create(filepath.Join(dir, "log")); err != nil {
		return d, err
	}
	if err := os.WriteFile(filepath.Join(dir, "none.json"), []byte("{}"), 0o600); err != nil {
		return d, err
	}
	return d, d.Start(true)
}

// Endpoint is where it listens.
func (d *Dockerd) Endpoint() string { return "unix://" + filepath.Join(d.dir, "d.sock") }

// Start runs it again after Stop.
func (d *Dockerd) Start(liveRestore bool) error {
	// One that was killed leaves its pid files. Its pid may be another's by now, and dockerd takes a containerd that died
	// with it and was not waited for by anybody for a living one.
	_ = os.Remove(filepath.Join(d.dir, "pid"))
	if d.containerd() == 0 {
		_ = os.Remove(d.containerdPID())
	}
	args := []string{
		"--data-root", filepath.Join(d.dir, "data"), "--exec-root", filepath.Join(d.dir, "exec"), "--pidfile", filepath.Join(d.dir, "pid"),
		"-H", d.Endpoint(), "--bridge", d.bridge, "--iptables=false", "--ip-forward=false", "--ip-masq=false", "--shutdown-timeout", "3",
		"--config-file", filepath.Join(d.dir, "none.json"),
	}
	if liveRestore {
		args = append(args, "--live-restore")
	}
	d.cmd = exec.Command("dockerd", args...)
	d.cmd.Stdout, d.cmd.Stderr = d.log, d.log
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := d.cmd.Start(); err != nil {
		d.cmd = nil
		return err
	}
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		_, err := d.Docker(nil, "info")
		if err == nil {
			return nil
		}
		if time.Now().After(end) {
			text, _ := os.ReadFile(d.log.Name())
			return fmt.Errorf("dockerd does not answer: %w\n...%s", err, text[max(0, len(text)-3000):])
		}
	}
}

// Stop ends the engine; with live-restore its containers run on.
func (d *Dockerd) Stop(signal syscall.Signal) {
	if d.cmd == nil {
		return
	}
	_ = d.cmd.Process.Signal(signal)
	_ = d.cmd.Wait()
	d.cmd = nil
}

// Docker runs a command of the docker program and returns what it printed.
func (d *Dockerd) Docker(stdin []byte, args ...string) (string, error) {
	cmd := exec.Command("docker", append([]string{"-H", d.Endpoint()}, args...)...)
	cmd.Env = append(os.Environ(), "DOCKER_CONFIG="+d.dir)
	cmd.Stdin = bytes.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("docker %s: %w: %s", strings.Join(args, " "), err, errs.String())
	}
	return strings.TrimSpace(out.String()), nil
}

// Must is Docker for commands that must succeed.
func (d *Dockerd) Must(t testing.TB, args ...string) string {
	t.Helper()
	out, err := d.Docker(nil, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Containers are the ids of all containers, whatever their state.
func (d *Dockerd) Containers(t testing.TB) []string {
	t.Helper()
	return strings.Fields(d.Must(t, "ps", "-aq", "--no-trunc"))
}

// Import makes an image of files: path in the image to file of this machine. The libraries that programs need come along.
func (d *Dockerd) Import(name string, files map[string]string, changes ...string) error {
	root, err := os.MkdirTemp("", "img")
	if err != nil {
		return err
	}
	defer os.RemoveAll(root)
	for inside, outside := range files {
		if err := install(root, inside, outside); err != nil {
			return err
		}
		libraries, _ := exec.Command("ldd", outside).Output() // fails for static programs
		for _, word := range strings.Fields(string(libraries)) {
			if strings.HasPrefix(word, "/") {
				if err := install(root, word, word); err != nil {
					return err
				}
			}
		}
	}
	for _, dir := range []string{"tmp", "data"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o777); err != nil {
			return err
		}
	}
	archive, err := exec.Command("tar", "-C", root, "-c", ".").Output()
	if err != nil {
		return fmt.Errorf("tar: %w", err)
	}
	args := []string{"import"}
	for _, c := range changes {
		args = append(args, "-c", c)
	}
	_, err = d.Docker(archive, append(args, "-", name)...)
	return err
}

func install(root, inside, outside string) error {
	b, err := os.ReadFile(outside)
	if err != nil {
		return err
	}
	to := filepath.Join(root, inside)
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o755)
}

// Close ends the engine and removes everything it left.
func (d *Dockerd) Close() {
	if d.dir == "" {
		return
	}
	if d.cmd != nil {
		if ids, err := d.Docker(nil, "ps", "-aq"); err == nil && ids != "" {
			_, _ = d.Docker(nil, append([]string{"rm", "-f"}, strings.Fields(ids)...)...)
		}
	}
	d.Stop(syscall.SIGTERM)
	// With live-restore the engine leaves its containerd running; it is ours, and named by its own pid file.
	if pid := d.containerd(); pid != 0 {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	_ = exec.Command("ip", "link", "del", d.bridge).Run()
	mounts, _ := os.ReadFile("/proc/self/mounts")
	for _, line := range strings.Split(string(mounts), "\n") {
		if f := strings.Fields(line); len(f) > 1 && strings.HasPrefix(f[1], d.dir) {
			_ = syscall.Unmount(f[1], syscall.MNT_DETACH)
		}
	}
	if d.log != nil {
		_ = d.log.Close()
	}
	_ = os.RemoveAll(d.dir)
}

func (d *Dockerd) containerdPID() string {
	return filepath.Join(d.dir, "exec", "containerd", "containerd.pid")
}

// containerd is the pid of the engine's containerd, 0 if it does not run.
func (d *Dockerd) containerd() int {
	text, err := os.ReadFile(d.containerdPID())
	if err != nil {
		return 0
	}
	var pid int
	if _, err := fmt.Sscan(string(text), &pid); err != nil || pid <= 1 {
		return 0
	}
	if line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err != nil || !bytes.Contains(line, []byte(d.dir)) {
		return 0
	}
	return pid
}
