package qemu

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kdomanski/iso9660"

	"github.com/droverhq/drover/sdk/driver"
)

// header is a small valid image of version 3.
func header() []byte {
	b := make([]byte, 4*65536)
	copy(b, "QFI\xfb")
	be := binary.BigEndian
	be.PutUint32(b[4:], 3)
	be.PutUint32(b[20:], 16)
	be.PutUint64(b[24:], 1<<20)
	be.PutUint32(b[36:], 1)
	be.PutUint64(b[40:], 65536)
	be.PutUint64(b[48:], 2*65536)
	be.PutUint32(b[56:], 1)
	be.PutUint32(b[100:], 104)
	return b
}

// declare writes the extension that names the backing file's format.
func declare(b []byte, at int, format string) {
	binary.BigEndian.PutUint32(b[at:], extBackingFormat)
	binary.BigEndian.PutUint32(b[at+4:], uint32(len(format)))
	copy(b[at+8:], format)
}

// vmdk is a sparse image's beginning with a descriptor.
func vmdk(capacity, at uint64, descriptor string) string {
	b := make([]byte, 64<<10)
	copy(b, "KDMV\x01")
	le := binary.LittleEndian
	le.PutUint64(b[vmdkCapacity:], capacity)
	le.PutUint64(b[vmdkDescriptor:], at)
	le.PutUint64(b[vmdkLength:], 20)
	copy(b[vmdkSector:], descriptor)
	return string(b)
}

func TestReadQcow2(t *testing.T) {
	be := binary.BigEndian
	backing := func(b []byte, name string) {
		copy(b[1024:], name)
		be.PutUint64(b[8:], 1024)
		be.PutUint32(b[16:], uint32(len(name)))
	}
	for name, c := range map[string]struct {
		change func([]byte) []byte
		want   string // of the error
		found  qcow2
	}{
		"fine":            {func(b []byte) []byte { return b }, "", qcow2{}},
		"version 2":       {func(b []byte) []byte { be.PutUint32(b[4:], 2); return b }, "", qcow2{}},
		"backing file":    {func(b []byte) []byte { backing(b, "base.img"); return b }, "", qcow2{Backing: "base.img"}},
		"declared format": {func(b []byte) []byte { backing(b, "base.img"); declare(b, 104, "raw"); return b }, "", qcow2{"base.img", "raw"}},
		"last format counts": {func(b []byte) []byte {
			backing(b, "base.img")
			declare(b, 104, "raw")
			declare(b, 120, "vmdk")
			return b
		}, "", qcow2{"base.img", "vmdk"}},
		"format behind the name": {func(b []byte) []byte {
			backing(b, "base.img")
			be.PutUint64(b[8:], 104) // QEMU reads no extension from here on
			declare(b, 104, "raw")
			be.PutUint32(b[16:], 4)
			return b
		}, "", qcow2{Backing: "\xe2\x79\x2a\xca"}},
		"format into the name": {func(b []byte) []byte {
			backing(b, "base.img")
			be.PutUint64(b[8:], 108)
			declare(b, 104, "raw")
			be.PutUint32(b[16:], 4)
			return b
		}, "cut short", qcow2{}},
		"name beyond the cluster": {func(b []byte) []byte { backing(b, "base.img"); be.PutUint64(b[8:], 2*65536); return b }, "backing file lies at", qcow2{}},
		"data file": {func(b []byte) []byte {
			be.PutUint32(b[104:], extDataFile)
			be.PutUint32(b[108:], 3)
			copy(b[112:], "raw")
			return b
		}, "external data file", qcow2{}},
		"data file by its feature": {func(b []byte) []byte { be.PutUint64(b[72:], qcow2DataFile); return b }, "external data file", qcow2{}},
		"cut short":                {func(b []byte) []byte { return b[:60] }, "cut short", qcow2{}},
		"version 3 cut short":      {func(b []byte) []byte { return b[:80] }, "cut short", qcow2{}},
		"version 1":                {func(b []byte) []byte { be.PutUint32(b[4:], 1); return b }, "qemu-img convert", qcow2{}},
		"version 9":                {func(b []byte) []byte { be.PutUint32(b[4:], 9); return b }, "version is 9", qcow2{}},
		"clusters":                 {func(b []byte) []byte { be.PutUint32(b[20:], 60); return b }, "2^60", qcow2{}},
		"no size":                  {func(b []byte) []byte { be.PutUint64(b[24:], 0); return b }, "size 0", qcow2{}},
		"table beyond the end":     {func(b []byte) []byte { be.PutUint64(b[40:], 1<<40); return b }, "cluster table", qcow2{}},
		"table too long":           {func(b []byte) []byte { be.PutUint32(b[36:], 1<<31); return b }, "cluster table", qcow2{}},
		"counts beyond the end":    {func(b []byte) []byte { return b[:2*65536] }, "reference counts", qcow2{}},
		"long name":                {func(b []byte) []byte { backing(b, "x"); be.PutUint32(b[16:], 1<<30); return b }, "backing file", qcow2{}},
		"extension too long":       {func(b []byte) []byte { be.PutUint32(b[104:], 5); be.PutUint32(b[108:], 1<<31); return b }, "extension", qcow2{}},
		"header too long":          {func(b []byte) []byte { be.PutUint32(b[100:], 1<<31); return b }, "header is", qcow2{}},
	} {
		t.Run(name, func(t *testing.T) {
			b := c.change(header())
			h, err := readQcow2(bytes.NewReader(b), int64(len(b)))
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Fatalf("got %+v %v, want %q", h, err, c.want)
				}
				return
			}
			if err != nil || *h != c.found {
				t.Fatalf("got %+v %v, want %+v", h, err, c.found)
			}
		})
	}
}

func FuzzReadQcow2(f *testing.F) {
	f.Add(header()[:4096])
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = readQcow2(bytes.NewReader(b), int64(len(b)))
	})
}

func TestSniff(t *testing.T) {
	vdi := make([]byte, 512)
	copy(vdi[64:], "\x7f\x10\xda\xbe")
	for name, c := range map[string]struct{ text, want string }{
		"qcow2":            {"QFI\xfb\x00", "qcow2"},
		"vmdk":             {vmdk(8, 1, "# Disk DescriptorFile\nRW 8 SPARSE \"x.vmdk\"\n"), "vmdk"},
		"vmdk streamed":    {vmdk(8, 0, ""), "vmdk"},
		"vmdk of a file":   {vmdk(8, 1, "RW 8 FLAT \"/etc/shadow\" 0\n"), "vmdk!"},
		"vmdk of two":      {vmdk(8, 1, "RW 8 SPARSE \"a\"\nRW 8 SPARSE \"b\"\n"), "vmdk!"},
		"vmdk of others":   {vmdk(0, 1, "RW 8 SPARSE \"a\"\n"), "vmdk!"},
		"vmdk elsewhere":   {vmdk(8, 1<<40, ""), "vmdk!"},
		"vmdk cut short":   {"KDMV\x01", "vmdk!"},
		"descriptor":       {"# Disk DescriptorFile\nRW 8 FLAT \"/etc/shadow\" 0\n", "raw"},
		"vhdx":             {"vhdxfile", "vhdx"},
		"vdi":              {string(vdi), "vdi"},
		"anything":         {"hello", "raw"},
		"vmdk with parent": {vmdk(8, 0, "parentFileNameHint=\"/etc/shadow\""), "vmdk!"},
		"qed":              {"QED\x00", ""},
		"luks":             {"LUKS\xba\xbe", ""},
	} {
		got, err := sniff(strings.NewReader(c.text))
		want, refused := strings.CutSuffix(c.want, "!")
		if got != want || (err != nil) != (refused || c.want == "") {
			t.Errorf("%s: %q %v, want %q", name, got, err, c.want)
		}
	}
}

// Images behind images are held to the same directories.
func TestBackingChain(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	write := func(path, backing, format string) string {
		b := header()
		if format != "" {
			declare(b, 104, format)
		}
		if backing != "" {
			copy(b[1024:], backing)
			binary.BigEndian.PutUint64(b[8:], 1024)
			binary.BigEndian.PutUint32(b[16:], uint32(len(backing)))
		}
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	write(in("base"), "", "")
	write(in("middle"), "base", "qcow2")
	write(in("itself"), "itself", "qcow2")
	write(filepath.Join(outside, "base"), "", "")
	for name, text := range map[string]string{
		"descriptor": "# Disk DescriptorFile\nRW 8 FLAT \"/host/secret.img\" 0\n",
		"sparse":     vmdk(8, 0, ""),
	} {
		if err := os.WriteFile(in(name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(outside, "base"), in("link")); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ backing, format, want string }{
		"none":                 {"", "qcow2", ""},
		"beside it":            {"base", "qcow2", ""},
		"two":                  {in("middle"), "qcow2", ""},
		"outside":              {filepath.Join(outside, "base"), "qcow2", "image_paths"},
		"outside by dots":      {"../" + filepath.Base(outside) + "/base", "qcow2", "image_paths"},
		"link":                 {"link", "qcow2", "image_paths"},
		"missing":              {"none", "qcow2", "no file"},
		"network":              {"nbd://192.0.2.1/x", "qcow2", "not a plain file"},
		"described in JSON":    {`json:{"driver":"file","filename":"/etc/shadow"}`, "qcow2", "not a plain file"},
		"device by its driver": {"host_device:/dev/sda", "qcow2", "not a plain file"},
		"round and round":      {"itself", "qcow2", "more than"},
		"descriptor of others": {"descriptor", "vmdk", "declared as \"vmdk\" and is raw"},
		"raw":                  {"descriptor", "raw", ""},
		"vmdk":                 {"sparse", "vmdk", "only raw and qcow2"},
		"another format":       {"base", "raw", "declared as \"raw\" and is qcow2"},
		"not declared":         {"base", "", "not declared"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := openImage(write(in("top"), c.backing, c.format), allow(dir, nil))
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Fatalf("%v, want %q", err, c.want)
			}
		})
	}
}

func TestFind(t *testing.T) {
	alloc := t.TempDir()
	task := filepath.Join(alloc, "web")
	for _, d := range []string{"web/local", "alloc/data"} {
		if err := os.MkdirAll(filepath.Join(alloc, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []string{"web/local/a", "alloc/data/b"} {
		if err := os.WriteFile(filepath.Join(alloc, f), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	a := allow(alloc, []string{"/no/such/directory"})
	for given, want := range map[string]string{"local/a": "web/local/a", "alloc/data/b": "alloc/data/b", filepath.Join(alloc, "web/local/a"): "web/local/a"} {
		got, err := a.find(given, task, alloc)
		real, _ := filepath.EvalSymlinks(filepath.Join(alloc, want))
		if err != nil || got != real {
			t.Errorf("%s: %q %v, want %q", given, got, err, real)
		}
	}
}

func TestSeedFiles(t *testing.T) {
	alloc := t.TempDir()
	task := &driver.TaskConfig{Name: "web", AllocID: "a1", AllocDir: alloc}
	dir := filepath.Join(task.LocalDir(), "seed")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"user-data": "from file", "network-config": "version: 2"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		config noCloudConfig
		want   map[string]string
	}{
		"text":           {noCloudConfig{UserData: "u", MetaData: "m", NetworkConfig: "n", VendorData: "v"}, map[string]string{"user-data": "u", "meta-data": "m", "network-config": "n", "vendor-data": "v"}},
		"completed":      {noCloudConfig{UserData: "u"}, map[string]string{"user-data": "u", "meta-data": "instance-id: a1\nlocal-hostname: web\n"}},
		"directory":      {noCloudConfig{Dir: "local/seed", MetaData: "m"}, map[string]string{"user-data": "from file", "meta-data": "m", "network-config": "version: 2"}},
		"text wins":      {noCloudConfig{Dir: dir, UserData: "u", MetaData: "m"}, map[string]string{"user-data": "u", "meta-data": "m", "network-config": "version: 2"}},
		"no user's data": {noCloudConfig{MetaData: "m"}, map[string]string{"user-data": "#cloud-config\n{}\n", "meta-data": "m"}},
	} {
		t.Run(name, func(t *testing.T) {
			files, err := seedFiles(&c.config, task)
			if err != nil || len(files) != len(c.want) {
				t.Fatalf("%q %v", files, err)
			}
			for name, text := range c.want {
				if string(files[name]) != text {
					t.Errorf("%s: %q, want %q", name, files[name], text)
				}
			}
		})
	}
}

func TestSeedDisk(t *testing.T) {
	disk, err := seedDisk(map[string][]byte{"user-data": []byte("u"), "meta-data": []byte("m")})
	if err != nil {
		t.Fatal(err)
	}
	img, err := iso9660.OpenImage(bytes.NewReader(disk))
	if err != nil {
		t.Fatal(err)
	}
	if label, err := img.Label(); err != nil || label != seedLabel {
		t.Errorf("label %q %v", label, err)
	}
	root, err := img.RootDir()
	if err != nil {
		t.Fatal(err)
	}
	children, err := root.GetChildren()
	if err != nil || len(children) != 2 {
		t.Fatalf("%v %v", children, err)
	}
	for _, f := range children {
		if name := f.Name(); name != "user-data" && name != "meta-data" {
			t.Errorf("a file %q", name)
		}
	}
}
