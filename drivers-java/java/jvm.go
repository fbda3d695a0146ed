package java

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/droverhq/drover/drivers-exec/executor"
)

// jvm is a Java virtual machine that was found on the node.
type jvm struct {
	// Path is the launcher, with links resolved.
	Path string
	// Version is such as "17.0.15", Runtime and VM are the lines that the JVM
	// says about itself.
	Version, Runtime, VM string
	// MaxRAM is whether the JVM knows the option of that name.
	MaxRAM bool
}

// Bounds of asking a JVM for its version: a broken one is asked again, but not
// in each fingerprint.
const (
	askWithin  = 10 * time.Second
	askAgainIn = 5 * time.Minute
)

// detector finds the JVM and remembers what it said about itself for as long
// as its launcher is the same file.
type detector struct {
	find func() (string, error)
	ask  func(ctx context.Context, path string, options ...string) (string, error)

	mu    sync.Mutex
	path  string
	file  os.FileInfo
	found *jvm
	err   error
	asked time.Time
}

// detect returns the node's JVM, or why there is none.
func (d *detector) detect(ctx context.Context) (*jvm, error) {
	path, err := d.find()
	if err != nil {
		return nil, err
	}
	file, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("java: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	same := d.path == path && os.SameFile(d.file, file) && d.file.ModTime().Equal(file.ModTime()) && d.file.Size() == file.Size()
	if same && (d.err == nil || time.Since(d.asked) < askAgainIn) {
		return d.found, d.err
	}
	found, err := d.examine(ctx, path)
	if ctx.Err() != nil {
		return nil, ctx.Err() // nothing was learned
	}
	d.path, d.file, d.found, d.err, d.asked = path, file, found, err, time.Now()
	return found, err
}

func (d *detector) examine(ctx context.Context, path string) (*jvm, error) {
	// The version is asked for with the option that tasks get, so that one
	// start answers both.
	text, err := d.ask(ctx, path, "-XX:MaxRAM=64m")
	maxRAM := err == nil
	if err != nil {
		text, err = d.ask(ctx, path)
	}
	if err != nil {
		return nil, fmt.Errorf("%s -version: %w", path, err)
	}
	j, err := parseVersion(text)
	if err != nil {
		return nil, fmt.Errorf("%s -version: %w", path, err)
	}
	j.Path, j.MaxRAM = path, maxRAM
	return j, nil
}

// findJava returns the java launcher of the PATH, with links resolved.
func findJava() (string, error) {
	search := os.Getenv("PATH")
	if search == "" {
		search = executor.DefaultPath
	}
	for _, dir := range filepath.SplitList(search) {
		path, err := exec.LookPath(filepath.Join(dir, "java"))
		if err != nil || !filepath.IsAbs(path) {
			continue
		}
		if path, err = filepath.EvalSymlinks(path); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("no Java on this node: there is no program java in the agent's PATH %s", search)
}

// askVersion runs java -version. Variables that would make the JVM print more
// are kept from it.
func askVersion(ctx context.Context, path string, options ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, append(options, "-version")...)
	cmd.WaitDelay = time.Second
	for _, e := range os.Environ() {
		switch name, _, _ := strings.Cut(e, "="); name {
		case "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS":
		default:
			cmd.Env = append(cmd.Env, e)
		}
	}
	var text bytes.Buffer
	cmd.Stdout, cmd.Stderr = &text, &text
	err := cmd.Run()
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return "", fmt.Errorf("no answer within %s", askWithin)
	}
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, firstLine(text.String()))
	}
	return text.String(), nil
}

var versionLine = regexp.MustCompile(`version "([^"]+)"`)

// parseVersion reads what java -version prints: a line with the version, one
// about the runtime, one about the virtual machine.
func parseVersion(text string) (*jvm, error) {
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	for i, line := range lines {
		m := versionLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		j := &jvm{Version: m[1]}
		if i+2 < len(lines) {
			j.Runtime, j.VM = strings.TrimSpace(lines[i+1]), strings.TrimSpace(lines[i+2])
		}
		return j, nil
	}
	return nil, fmt.Errorf("no version in its answer %q", firstLine(text))
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}
