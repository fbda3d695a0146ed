//go:build unix

package discovery

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// dir makes a directory that is trusted whatever the umask is.
func dir(t *testing.T) string {
	t.Helper()
	d := filepath.Join(t.TempDir(), "plugins")
	if err := os.Mkdir(d, 0o700); err != nil {
		t.Fatal(err)
	}
	return d
}

func write(t *testing.T, path, text string, mode fs.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func TestScanSaysWhyAFileIsNotLoaded(t *testing.T) {
	const script = "#!/bin/sh\n"
	tests := map[string]struct {
		make func(t *testing.T, path string)
		want string // part of the refusal; empty = loaded
	}{
		"good":             {func(t *testing.T, p string) { write(t, p, script, 0o755) }, ""},
		"only owner":       {func(t *testing.T, p string) { write(t, p, script, 0o500) }, ""},
		"no x bit":         {func(t *testing.T, p string) { write(t, p, script, 0o644) }, "not executable"},
		"empty":            {func(t *testing.T, p string) { write(t, p, "", 0o755) }, "is empty"},
		"everybody writes": {func(t *testing.T, p string) { write(t, p, script, 0o757) }, "written by everybody"},
		"a link":           {func(t *testing.T, p string) { symlink(t, "/bin/sh", p) }, "symbolic link"},
		"somebody else's":  {func(t *testing.T, p string) { write(t, p, script, 0o755); chown(t, p, 12345, 0) }, "belongs to user 12345"},
		"group writes":     {func(t *testing.T, p string) { write(t, p, script, 0o775); chown(t, p, 0, 12345) }, "written by group 12345"},
		"huge": {func(t *testing.T, p string) {
			write(t, p, script, 0o755)
			if err := os.Truncate(p, MaxSize+1); err != nil { // sparse: takes no room
				t.Fatal(err)
			}
		}, "more than the limit of 1073741824"},
		"a directory": {func(t *testing.T, p string) {
			if err := os.Mkdir(p, 0o755); err != nil {
				t.Fatal(err)
			}
		}, "is a directory"},
		"a pipe":             {func(t *testing.T, p string) { mknod(t, p, syscall.S_IFIFO|0o755) }, "not a regular file but a named pipe"},
		"a device":           {func(t *testing.T, p string) { mknod(t, p, syscall.S_IFCHR|0o755) }, "not a regular file but a device"},
		"root's group write": {func(t *testing.T, p string) { write(t, p, script, 0o775); chown(t, p, 0, 0) }, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d := dir(t)
			tt.make(t, filepath.Join(d, "x"))
			entries, err := Scan(d)
			if err != nil || len(entries) != 1 {
				t.Fatalf("entries %v, error %v", entries, err)
			}
			e := entries[0]
			if (tt.want == "") != (e.Refusal == "") || !strings.Contains(e.Refusal, tt.want) {
				t.Errorf("refusal %q, want %q", e.Refusal, tt.want)
			}
			f, err := Open("plugin_dir", e.Path)
			if (err == nil) != (tt.want == "") {
				t.Errorf("open: %v", err)
			}
			if err == nil {
				f.Close()
			}
		})
	}
}

// Names go into the names of logs, into lists and messages.
func TestScanRefusesNames(t *testing.T) {
	for file, want := range map[string]string{
		strings.Repeat("x", maxName):   "",
		"größe":                        "",
		strings.Repeat("x", maxName+1): "more than the limit of 200",
		"two\nlines":                   "control characters",
		"red\x1b[31m":                  "control characters",
		"latin\xe9":                    "not UTF-8",
	} {
		d := dir(t)
		path := filepath.Join(d, file)
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Logf("%q: %v", file, err) // not every file system takes every name
			continue
		}
		entries, err := Scan(d)
		if err != nil || len(entries) != 1 {
			t.Fatalf("entries %v, error %v", entries, err)
		}
		if got := entries[0].Refusal; (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%q: refusal %q, want %q", file, got, want)
		}
	}
}

func TestOpenRefusesText(t *testing.T) {
	p := filepath.Join(dir(t), "notes")
	write(t, p, "shopping list\n", 0o755)
	if _, err := Open("plugin_dir", p); err == nil || !strings.Contains(err.Error(), "not a program") {
		t.Fatalf("got %v", err)
	}
}

func TestScanLeavesOut(t *testing.T) {
	d := dir(t)
	write(t, filepath.Join(d, ".half-copied"), "#!", 0o755)
	write(t, filepath.Join(d, "x.sig"), "signature", 0o644)
	entries, err := Scan(d)
	if err != nil || len(entries) != 0 {
		t.Fatalf("entries %v, error %v", entries, err)
	}
}

func TestDirectoriesAreChecked(t *testing.T) {
	tests := map[string]struct {
		spoil func(t *testing.T, parent, dir string)
		want  string
	}{
		"everybody writes it":   {func(t *testing.T, _, d string) { chmod(t, d, 0o777) }, "written by everybody"},
		"sticky is not enough":  {func(t *testing.T, _, d string) { chmod(t, d, 0o777|fs.ModeSticky) }, "written by everybody"},
		"its parent is open":    {func(t *testing.T, p, _ string) { chmod(t, p, 0o777) }, "written by everybody"},
		"sticky parent is good": {func(t *testing.T, p, _ string) { chmod(t, p, 0o777|fs.ModeSticky) }, ""},
		"somebody else's":       {func(t *testing.T, _, d string) { chown(t, d, 12345, 0) }, "belongs to user 12345"},
		"parent somebody's":     {func(t *testing.T, p, _ string) { chown(t, p, 12345, 0) }, "belongs to user 12345"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d := dir(t)
			parent := filepath.Dir(d)
			chmod(t, parent, 0o700)
			tt.spoil(t, parent, d)
			_, err := Scan(d)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	t.Run("missing", func(t *testing.T) {
		if _, err := Scan(filepath.Join(dir(t), "none")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("link to an open directory", func(t *testing.T) {
		d := dir(t)
		open := filepath.Join(filepath.Dir(d), "open")
		if err := os.Mkdir(open, 0o755); err != nil {
			t.Fatal(err)
		}
		chmod(t, open, 0o777)
		symlink(t, open, filepath.Join(d, "link"))
		if _, err := Scan(filepath.Join(d, "link")); err == nil || !strings.Contains(err.Error(), "written by everybody") {
			t.Errorf("got %v", err)
		}
	})
}

func TestSignatureFiles(t *testing.T) {
	p := filepath.Join(dir(t), "x")
	write(t, p, "#!/bin/sh\n", 0o755)
	before, err := Scan(filepath.Dir(p))
	if err != nil {
		t.Fatal(err)
	}
	if data, err := ReadSignature(p); data != nil || err != nil {
		t.Errorf("none: %q, %v", data, err)
	}
	write(t, p+".sig", "text", 0o644)
	after, err := Scan(filepath.Dir(p))
	if err != nil || len(after) != 1 || after[0].Same(before[0]) {
		t.Errorf("a signature that came later is no change: %v, %v", after, err)
	}
	if data, err := ReadSignature(p); string(data) != "text" || err != nil {
		t.Errorf("%q, %v", data, err)
	}
	for name, spoil := range map[string]func(path string){
		"link": func(path string) { symlink(t, "/etc/passwd", path) },
		"pipe": func(path string) { mknod(t, path, syscall.S_IFIFO|0o644) },
		"huge": func(path string) { write(t, path, strings.Repeat("x", 64<<10+1), 0o644) },
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.Remove(p + ".sig"); err != nil {
				t.Fatal(err)
			}
			spoil(p + ".sig")
			if data, err := ReadSignature(p); err == nil {
				t.Errorf("read %d bytes", len(data))
			}
		})
	}
}

// mknod of devices needs root.
func mknod(t *testing.T, path string, mode uint32) {
	t.Helper()
	const null = 1<<8 | 3
	err := syscall.Mknod(path, mode, null)
	if errors.Is(err, fs.ErrPermission) {
		t.Skip("needs root")
	}
	if err != nil {
		t.Fatal(err)
	}
	chmod(t, path, fs.FileMode(mode&0o777))
}

func chmod(t *testing.T, path string, mode fs.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// chown needs root; the rule it tests is the same for everybody.
func chown(t *testing.T, path string, uid, gid int) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	if err := os.Chown(path, uid, gid); err != nil {
		t.Fatal(err)
	}
}

func symlink(t *testing.T, to, at string) {
	t.Helper()
	if err := os.Symlink(to, at); err != nil {
		t.Fatal(err)
	}
}
