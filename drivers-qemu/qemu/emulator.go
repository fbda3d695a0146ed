package qemu

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/droverhq/drover/drivers-exec/executor"
)

// programPrefix begins the names of QEMU's system emulators.
const programPrefix = "qemu-system-"

// askWithin bounds asking an emulator for its version.
const askWithin = 10 * time.Second

// emulator is one of QEMU's programs.
type emulator struct {
	Name string // x86_64
	Path string
}

// findEmulators lists the emulators of the first directory of the PATH that
// has any.
func findEmulators() []emulator {
	search := os.Getenv("PATH")
	if search == "" {
		search = executor.DefaultPath
	}
	for _, dir := range filepath.SplitList(search) {
		if !filepath.IsAbs(dir) {
			continue
		}
		names, _ := filepath.Glob(filepath.Join(dir, programPrefix+"*"))
		var list []emulator
		for _, path := range names {
			if _, err := exec.LookPath(path); err != nil {
				continue
			}
			name := strings.TrimPrefix(filepath.Base(path), programPrefix)
			list = append(list, emulator{Name: strings.TrimSuffix(name, ".exe"), Path: path})
		}
		if len(list) > 0 {
			sort.Slice(list, func(i, j int) bool { return list[i].Name < list[j].Name })
			return list
		}
	}
	return nil
}

// permitted leaves those that the operator allows.
func permitted(list []emulator, allowed []string) []emulator {
	var left []emulator
	for _, e := range list {
		if checkEmulator(e.Name, allowed) == nil {
			left = append(left, e)
		}
	}
	return left
}

// pick finds an emulator by the name a job gives it.
func pick(list []emulator, name string) (emulator, error) {
	var names []string
	for _, e := range list {
		if e.Name == name {
			return e, nil
		}
		names = append(names, e.Name)
	}
	if len(list) == 0 {
		return emulator{}, errNoQEMU
	}
	return emulator{}, fmt.Errorf("emulator %s%s is not installed on this node, it has %s", programPrefix, name, strings.Join(names, ", "))
}

var errNoQEMU = fmt.Errorf("no QEMU on this node: there is no program %s* in the agent's PATH", programPrefix)

// versions remembers what emulators said, for as long as they are the same
// files.
type versions struct {
	ask func(ctx context.Context, path string) (string, error)

	mu    sync.Mutex
	known map[string]answer
}

type answer struct {
	file    os.FileInfo
	version string
}

// of returns an emulator's version.
func (v *versions) of(ctx context.Context, e emulator) (string, error) {
	file, err := os.Stat(e.Path)
	if err != nil {
		return "", err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if a, ok := v.known[e.Path]; ok && sameFile(a.file, file) {
		return a.version, nil
	}
	text, err := v.ask(ctx, e.Path)
	if err != nil {
		return "", fmt.Errorf("%s --version: %w", e.Path, err)
	}
	m := versionText.FindStringSubmatch(text)
	if m == nil {
		line, _, _ := strings.Cut(text, "\n")
		return "", fmt.Errorf("%s --version: no version in its answer %q", e.Path, line)
	}
	if v.known == nil {
		v.known = map[string]answer{}
	}
	v.known[e.Path] = answer{file, m[1]}
	return m[1], nil
}

var versionText = regexp.MustCompile(`version (\d+(?:\.\d+)+)`)

func sameFile(a, b os.FileInfo) bool {
	return a != nil && os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

func askVersion(ctx context.Context, path string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	var text bytes.Buffer
	cmd := exec.CommandContext(ctx, path, "--version")
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &text, &text, time.Second
	if err := cmd.Run(); err != nil {
		return "", err
	}
	return text.String(), nil
}

// hostEmulator is the emulator of the machine's own kind, the only one that
// hardware can help.
func hostEmulator() string {
	switch runtime.GOARCH {
	case "amd64":
		return "x86_64"
	case "arm64":
		return "aarch64"
	}
	return runtime.GOARCH
}
