package qemu

import (
	"strings"
	"testing"
)

func TestArguments(t *testing.T) {
	base := func() *machine {
		return &machine{
			Type: "pc", Accelerator: "tcg", Memory: 512,
			Drives: []drive{{ID: "image0", Image: image{"/a/linux.img", "qcow2"}, Interface: "ide"}},
		}
	}
	monitor := ""
	if hasMonitor {
		monitor = " -qmp unix:qmp.sock,server=on,wait=off"
	}
	begin := "qemu-system-x86_64 -machine type=pc,accel=tcg -name linux.img -m 512M -drive file=/a/linux.img,if=ide,format=qcow2,id=image0"
	for name, c := range map[string]struct {
		change func(*machine)
		want   string
	}{
		"least": {func(*machine) {}, begin + " -nographic" + monitor},
		"commas": {func(m *machine) { m.Drives[0].Image.Path = "/a/x,readonly=off,y.img" },
			"qemu-system-x86_64 -machine type=pc,accel=tcg -name x,,readonly=off,,y.img -m 512M -drive file=/a/x,,readonly=off,,y.img,if=ide,format=qcow2,id=image0 -nographic" + monitor},
		"disks": {func(m *machine) {
			m.Drives = append(m.Drives,
				drive{ID: "image1", Image: image{"/b", "raw"}, Interface: "virtio", ReadOnly: true},
				drive{ID: "seed", Image: image{"/s", "raw"}, Interface: "ide", ReadOnly: true, CDROM: true})
		}, begin + " -drive file=/b,if=virtio,format=raw,id=image1,readonly=on -drive file=/s,if=ide,format=raw,id=seed,media=cdrom,readonly=on -nographic" + monitor},
		"guest agent": {func(m *machine) { m.GuestAgent = true },
			begin + " -nographic" + monitor + " -chardev socket,path=qa.sock,server=on,wait=off,id=qga0 -device virtio-serial -device virtserialport,chardev=qga0,name=org.qemu.guest_agent.0"},
		"cores":           {func(m *machine) { m.CPUs = 3 }, begin + " -nographic" + monitor + " -smp 3"},
		"cores, job says": {func(m *machine) { m.CPUs, m.Args = 3, []string{"-smp", "2"} }, begin + " -nographic" + monitor + " -smp 2"},
		"network first":   {func(m *machine) { m.Network, m.Args = []string{"-netdev", "user"}, []string{"-snapshot"} }, begin + " -nographic" + monitor + " -netdev user -snapshot"},
	} {
		t.Run(name, func(t *testing.T) {
			m := base()
			c.change(m)
			if got := strings.Join(m.arguments("/usr/bin/qemu-system-x86_64"), " "); got != c.want {
				t.Fatalf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestWithoutKVM(t *testing.T) {
	for given, want := range map[string]string{
		"-enable-kvm -smp 2":         "-smp 2",
		"-cpu host -m 1":             "-cpu max -m 1",
		"-cpu host,+ssse3 -snapshot": "-cpu max,+ssse3 -snapshot",
		"-cpu EPYC -name host":       "-cpu EPYC -name host",
	} {
		if got := strings.Join(withoutKVM(strings.Fields(given)), " "); got != want {
			t.Errorf("%q becomes %q, want %q", given, got, want)
		}
	}
}

func TestCores(t *testing.T) {
	for given, want := range map[string]int{"": 0, "3": 1, "2,4-7": 5, "0-1, 8": 3, "x": 0} {
		if got := cores(given); got != want {
			t.Errorf("%q are %d cores, want %d", given, got, want)
		}
	}
}

func TestCheckArgs(t *testing.T) {
	allowed := []string{"-smp", "-cpu"}
	for name, c := range map[string]struct {
		args    []string
		allowed []string
		ok      bool
	}{
		"no list":                {[]string{"-drive", "x"}, nil, true},
		"allowed":                {[]string{"-smp", "2", "-cpu", "host"}, allowed, true},
		"not allowed":            {[]string{"-smp", "2", "-drive", "x"}, allowed, false},
		"two dashes":             {[]string{"--drive", "x"}, allowed, false},
		"allowed, two dashes":    {[]string{"--smp", "x"}, allowed, true},
		"value only":             {[]string{"x"}, allowed, false},
		"disk after a value":     {[]string{"-smp", "1", "/host/secret.img"}, allowed, false},
		"directory after values": {[]string{"-smp", "1", "-cpu", "host", "fat:rw:/dir"}, allowed, false},
		"disk after a switch":    {[]string{"-snapshot", "/host/secret.img"}, []string{"-snapshot"}, false},
		"value like an option":   {[]string{"-name", "-hda"}, []string{"-name"}, true},
		"option after a switch":  {[]string{"-snapshot", "-hda", "x"}, []string{"-snapshot"}, false},
		"joined":                 {[]string{"--smp=1"}, allowed, true},
		"joined, then a disk":    {[]string{"-smp=1", "/host/secret.img"}, allowed, false},
		"joined, not allowed":    {[]string{"-hda=/host/secret.img"}, allowed, false},
		"list without dashes":    {[]string{"-smp", "1"}, []string{"smp"}, true},
		"list of two dashes":     {[]string{"-smp", "1"}, []string{"--smp"}, true},
		"dashes alone":           {[]string{"--"}, allowed, false},
		"empty argument":         {[]string{""}, allowed, false},
		"empty list":             {[]string{"-smp", "1"}, []string{}, false},
		"empty list, nothing":    {nil, []string{}, true},
	} {
		if err := checkArgs(c.args, c.allowed); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestComplaint(t *testing.T) {
	for text, want := range map[string]string{
		"": "",
		"qemu: hint\nqemu-system-x86_64: bad\nUse -h\n":                 "bad",
		"qemu-system-x86_64: warning: w\nqemu-system-x86_64: -m 1: bad": "-m 1: bad",
		"killed": "killed",
	} {
		if got := complaint(text, "qemu-system-x86_64"); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
