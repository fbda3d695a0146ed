package qemu

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/droverhq/drover/drivers-exec/drivertest"
	"github.com/droverhq/drover/sdk/driver"
)

// guest is a Linux that boots from files of the host: its kernel, and an
// initial ramdisk with busybox and a few of the kernel's modules.
type guest struct{ kernel, ramdisk string }

// kernelPattern is where Debian's package linux-image-cloud-amd64 puts it.
const kernelPattern = "/boot/vmlinuz-*-cloud-amd64"

// build makes the guest's ramdisk.
func build(t testing.TB) guest {
	t.Helper()
	kernels, _ := filepath.Glob(kernelPattern)
	if len(kernels) == 0 {
		t.Fatalf("no kernel %s: install the packages of .ci/deps", kernelPattern)
	}
	g := guest{kernel: kernels[len(kernels)-1]}
	release := strings.TrimPrefix(filepath.Base(g.kernel), "vmlinuz-")
	dir := t.TempDir()
	root := filepath.Join(dir, "root")
	for _, d := range []string{"bin", "dev", "proc", "sys"} {
		must(t, os.MkdirAll(filepath.Join(root, d), 0o755))
	}
	copyFile(t, "/bin/busybox", filepath.Join(root, "bin/busybox"), 0o755)
	copyFile(t, "testdata/init", filepath.Join(root, "init"), 0o755)
	lib := "/lib/modules/" + release
	deps, err := os.ReadFile(filepath.Join(lib, "modules.dep"))
	must(t, err)
	wanted := map[string]bool{}
	for _, name := range []string{
		"button", "evdev", "virtio_pci", "virtio_blk", "virtio_net", "virtio_console", "ata_piix", "sd_mod", "sr_mod", "isofs",
	} {
		wanted[name] = true
	}
	var kept bytes.Buffer
	files := map[string]bool{}
	for line := range strings.Lines(string(deps)) {
		file, needs, _ := strings.Cut(strings.TrimSpace(line), ":")
		name, _, _ := strings.Cut(filepath.Base(file), ".")
		if wanted[strings.ReplaceAll(name, "-", "_")] {
			for _, f := range append(strings.Fields(needs), file) {
				files[f] = true
			}
		}
	}
	for line := range strings.Lines(string(deps)) {
		file, _, _ := strings.Cut(line, ":")
		if files[file] {
			kept.WriteString(line)
			to := filepath.Join(root, lib, file)
			must(t, os.MkdirAll(filepath.Dir(to), 0o755))
			copyFile(t, filepath.Join(lib, file), to, 0o644)
		}
	}
	must(t, os.WriteFile(filepath.Join(root, lib, "modules.dep"), kept.Bytes(), 0o644))
	g.ramdisk = filepath.Join(dir, "ramdisk")
	cmd := exec.Command("sh", "-c", "find . | cpio -o -H newc --quiet | gzip -1 >"+g.ramdisk)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make the guest's ramdisk: %v: %s", err, out)
	}
	return g
}

// args boot the guest and have it do things.
func (g guest) args(todo string, more ...any) []any {
	return append([]any{"-kernel", g.kernel, "-initrd", g.ramdisk, "-append", "console=ttyS0 quiet panic=-1 do=" + todo, "-no-reboot"}, more...)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func copyFile(t testing.TB, from, to string, mode os.FileMode) {
	t.Helper()
	data, err := os.ReadFile(from)
	must(t, err)
	must(t, os.WriteFile(to, data, mode))
}

// console is what a machine prints on its serial line.
type console struct {
	fifo *os.File
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{} // holds one token when there is more
}

// attach puts a console in the place of the task's standard output: booting
// without hardware takes longer than drivertest waits.
func attach(n *drivertest.Node, task *driver.TaskConfig) *console {
	n.Helper()
	path := filepath.Join(n.AllocDir, "alloc", "logs", "."+task.Name+".console.fifo")
	must(n.TB, syscall.Mkfifo(path, 0o600))
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must(n.TB, err)
	n.Cleanup(func() { f.Close() })
	task.StdoutPath = path
	c := &console{fifo: f, more: make(chan struct{}, 1)}
	go func() {
		buf := make([]byte, 64<<10)
		for {
			k, err := f.Read(buf)
			if err != nil {
				return
			}
			c.mu.Lock()
			c.text.Write(buf[:k])
			c.mu.Unlock()
			select {
			case c.more <- struct{}{}:
			default:
			}
		}
	}()
	return c
}

// wait waits for a text and returns all that was printed.
func (c *console) wait(t testing.TB, want string) string {
	t.Helper()
	deadline := time.After(time.Minute)
	for {
		c.mu.Lock()
		text := c.text.String()
		c.mu.Unlock()
		if strings.Contains(text, want) {
			return text
		}
		select {
		case <-c.more:
		case <-deadline:
			t.Fatalf("the console lacks %q:\n%s", want, text)
		}
	}
}
