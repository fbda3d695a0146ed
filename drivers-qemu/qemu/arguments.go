package qemu

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Bounds of a machine's memory in MiB.
const (
	minMemory = 128
	maxMemory = 4000000
)

// The sockets lie in the task's directory, which is also QEMU's working
// directory: they are named without it, because a socket's path may have 107
// bytes only.
const (
	monitorSocket = "qmp.sock"
	agentSocket   = "qa.sock"
)

// machine is everything that QEMU's command line is made from.
type machine struct {
	Type, Accelerator string
	Memory            int64 // MiB
	CPUs              int   // 0 leaves it to QEMU
	Drives            []drive
	Network           []string // options, see network
	GuestAgent        bool
	Args              []string // the job's own, last
}

// drive is one -drive.
type drive struct {
	ID        string
	Image     image
	Interface string
	ReadOnly  bool
	CDROM     bool
}

// arguments is the complete argument vector.
func (m *machine) arguments(program string) []string {
	args := []string{
		filepath.Base(program),
		"-machine", "type=" + m.Type + ",accel=" + m.Accelerator,
		"-name", escape(filepath.Base(m.Drives[0].Image.Path)),
		"-m", strconv.FormatInt(m.Memory, 10) + "M",
	}
	for _, d := range m.Drives {
		args = append(args, "-drive", d.option())
	}
	// The serial console goes to standard output, and so to the task's log.
	args = append(args, "-nographic")
	if hasMonitor {
		args = append(args, "-qmp", "unix:"+monitorSocket+",server=on,wait=off")
	}
	if m.GuestAgent {
		args = append(args,
			"-chardev", "socket,path="+agentSocket+",server=on,wait=off,id=qga0",
			"-device", "virtio-serial",
			"-device", "virtserialport,chardev=qga0,name=org.qemu.guest_agent.0")
	}
	if m.CPUs > 0 && !slices.Contains(m.Args, "-smp") && !slices.Contains(m.Args, "--smp") {
		args = append(args, "-smp", strconv.Itoa(m.CPUs))
	}
	args = append(args, m.Network...)
	return append(args, m.Args...)
}

func (d drive) option() string {
	var b strings.Builder
	fmt.Fprintf(&b, "file=%s,if=%s,format=%s,id=%s", escape(d.Image.Path), d.Interface, d.Image.Format, d.ID)
	if d.CDROM {
		b.WriteString(",media=cdrom")
	}
	if d.ReadOnly {
		b.WriteString(",readonly=on")
	}
	return b.String()
}

// escape doubles commas, which would begin another option.
func escape(text string) string { return strings.ReplaceAll(text, ",", ",,") }

// withoutKVM makes a job's args fit for software emulation.
func withoutKVM(args []string) []string {
	var list []string
	for i, a := range args {
		switch {
		case a == "-enable-kvm" || a == "--enable-kvm":
		case i > 0 && (args[i-1] == "-cpu" || args[i-1] == "--cpu") && (a == "host" || strings.HasPrefix(a, "host,")):
			list = append(list, "max"+strings.TrimPrefix(a, "host"))
		default:
			list = append(list, a)
		}
	}
	return list
}
