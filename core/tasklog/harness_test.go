//go:build linux

package tasklog

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"
)

// Environment of the collector that the test binary becomes.
const (
	testStallEnv = "TASKLOG_TEST_STALL"
)

// TestMain turns the test binary into the processes that the tests need: "collect" is a collector with failpoints,
// "write" a task that writes numbered lines.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 {
		switch os.Args[1] {
		case "collect":
			os.Exit(collectProcess(os.Args[2:]))
		case "write":
			os.Exit(writeProcess(os.Args[2:]))
		}
	}
	os.Exit(m.Run())
}

func collectProcess(args []string) int {
	o, err := parseArgs(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	o.fail = parseFailpoint(os.Getenv(failpointEnv), func() { syscall.Kill(os.Getpid(), syscall.SIGKILL) })
	if d, err := time.ParseDuration(os.Getenv(testStallEnv)); err == nil {
		o.stallLimit = d
	}
	return serveProcess(context.Background(), o)
}

// writeProcess writes the lines [0, n) of testLine to the FIFO and then waits for its stdin to end, holding the FIFO.
func writeProcess(args []string) int {
	n, _ := strconv.Atoi(args[1])
	f, err := os.OpenFile(args[0], os.O_RDWR, 0)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	size, _ := strconv.Atoi(args[2])
	w := bufio.NewWriterSize(f, max(size, 16))
	for i := range n {
		w.Write(testLine(i))
		if size == 0 {
			w.Flush()
		}
	}
	w.Flush()
	fmt.Println("written")
	io.Copy(io.Discard, os.Stdin)
	return 0
}

// testLine is the i-th line: numbered, of a length between 10 and about 200 bytes, now and then some thousands.
func testLine(i int) []byte {
	pad := i * 7919 % 190
	if i%97 == 0 {
		pad = i * 31 % 9000
	}
	return append(append(fmt.Appendf(nil, "%09d ", i), bytes.Repeat([]byte{'a' + byte(i%26)}, pad)...), '\n')
}

// node is a state directory, a socket and a directory for logs.
type node struct {
	t    testing.TB
	dir  string
	logs string
	cfg  Config
}

func newNode(t testing.TB, env ...string) *node {
	dir, err := os.MkdirTemp("", "tl")
	if err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, dir: dir, logs: filepath.Join(dir, "logs")}
	if err := os.Mkdir(n.logs, 0o755); err != nil {
		t.Fatal(err)
	}
	n.cfg = Config{
		SocketPath: filepath.Join(dir, "run", "logs.sock"),
		StateDir:   filepath.Join(dir, "state"),
		Executable: os.Args[0],
		Args:       []string{"collect"},
		Env:        env,
		Logger:     hclog.NewNullLogger(),
	}
	t.Cleanup(func() {
		n.nothingLeft()
		if t.Failed() {
			if own, err := os.ReadFile(filepath.Join(n.cfg.StateDir, "collector.log")); err == nil {
				t.Logf("collector.log:\n%s", own)
			}
		}
		os.RemoveAll(dir)
	})
	return n
}

// nothingLeft checks that no collector runs any more on this node and that it left neither socket nor record.
func (n *node) nothingLeft() {
	n.t.Helper()
	lock, err := os.OpenFile(filepath.Join(n.cfg.StateDir, "lock"), os.O_RDWR, 0)
	if err != nil {
		return // none ever ran
	}
	defer lock.Close()
	waitFor(n.t, "the collector to end", func() bool { return unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil })
	if _, err := os.Lstat(n.cfg.SocketPath); err == nil {
		n.t.Errorf("socket %s was left", n.cfg.SocketPath)
	}
	left, _ := os.ReadDir(n.cfg.StateDir)
	for _, e := range left {
		if name := e.Name(); name != "lock" && name != "streams" && name != "collector.log" {
			n.t.Errorf("state file %s was left", name)
		}
	}
	if st, err := os.Stat(filepath.Join(n.cfg.StateDir, "streams")); err == nil && st.Size() > 0 {
		n.t.Errorf("registry of %d bytes was left", st.Size())
	}
}

func (n *node) client() *Client {
	n.t.Helper()
	c, err := Ensure(testContext(n.t), n.cfg)
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if all, err := c.List(ctx); err == nil {
			for _, s := range all {
				c.CloseStream(ctx, s.ID)
			}
		}
		c.Close()
	})
	return c
}

func (n *node) stream(name string) Stream {
	return Stream{
		ID:          name,
		FIFO:        filepath.Join(n.logs, "."+name+".fifo"),
		Dir:         n.logs,
		Prefix:      name,
		MaxFiles:    10_000,
		MaxFileSize: 1 << 20,
	}
}

// content is all files of a stream, oldest first.
func (n *node) content(prefix string) []byte {
	n.t.Helper()
	var all []byte
	for _, f := range n.files(prefix) {
		all = append(all, f...)
	}
	return all
}

func (n *node) files(prefix string) [][]byte {
	n.t.Helper()
	found, err := NewReader(n.logs, prefix).Files()
	if err != nil {
		n.t.Fatal(err)
	}
	var all [][]byte
	for _, f := range found {
		data, err := os.ReadFile(filepath.Join(n.logs, f.Name))
		if err != nil {
			n.t.Fatal(err)
		}
		all = append(all, data)
	}
	return all
}

// writer is a process that writes lines and then holds the FIFO.
type writer struct {
	t     testing.TB
	cmd   *exec.Cmd
	stdin io.Closer
	out   *bufio.Reader
}

// write starts a process that writes n lines through a buffer of the given size; 0 writes every line by itself.
func (n *node) write(fifo string, lines, buffer int) *writer {
	n.t.Helper()
	cmd := exec.Command(os.Args[0], "write", fifo, strconv.Itoa(lines), strconv.Itoa(buffer))
	stdin, err := cmd.StdinPipe()
	if err != nil {
		n.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		n.t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	w := &writer{t: n.t, cmd: cmd, stdin: stdin, out: bufio.NewReader(out)}
	n.t.Cleanup(func() { w.cmd.Process.Kill(); w.cmd.Wait() })
	return w
}

// written waits until all lines are in the pipe, or in the file.
func (w *writer) written() {
	w.t.Helper()
	if line, err := w.out.ReadString('\n'); err != nil || line != "written\n" {
		w.t.Fatalf("writer said %q, %v", line, err)
	}
}

func (w *writer) end() {
	w.stdin.Close()
	w.cmd.Wait()
}

func testLines(n int) []byte {
	var all []byte
	for i := range n {
		all = append(all, testLine(i)...)
	}
	return all
}

// sameLog fails with the first difference.
func sameLog(t testing.TB, got, want []byte) {
	t.Helper()
	if bytes.Equal(got, want) {
		return
	}
	i := 0
	for i < len(got) && i < len(want) && got[i] == want[i] {
		i++
	}
	t.Fatalf("log differs at byte %d: got %d bytes, want %d\n got %.120q\nwant %.120q", i, len(got), len(want), got[i:], want[i:])
}

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
