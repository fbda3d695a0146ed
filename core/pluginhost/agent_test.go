//go:build linux

package pluginhost

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/droverhq/drover/core/tasklog"
)

func listenUnix(path string) (net.Listener, error) { return net.Listen("unix", path) }

// beAgent is the part of an agent that matters here: a host and the client of the log collector. It says when the plugin
// is ready and then waits to be killed.
func beAgent() {
	dir := os.Getenv("T_ROOM")
	fail := func(err error) {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	config := roomConfig(dir)
	config.Environ = []string{"PATH=" + os.Getenv("PATH")}
	collector, err := tasklog.Ensure(context.Background(), collectorConfig(dir))
	if err != nil {
		fail(err)
	}
	config.Collector = collector
	h, err := New(config)
	if err != nil {
		fail(err)
	}
	if err := h.Start(context.Background()); err != nil {
		fail(err)
	}
	d, err := h.Driver(context.Background(), "test")
	if err != nil {
		fail(err)
	}
	fmt.Println("ready", d.Pid(), collector.PID())
	select {}
}

func collectorConfig(dir string) tasklog.Config {
	return tasklog.Config{
		SocketPath: filepath.Join(dir, "run", "logs"), StateDir: filepath.Join(dir, "data", "client", "logs"),
		Executable: os.Args[0], Args: []string{}, Env: []string{"T_ROLE=collector"}, Idle: time.Second,
	}
}

// A plugin that was not built on our SDK and logs every 10 ms outlives kill -9 of the agent and of the collector, is
// found again by the next agent, and not a line of its log is lost or doubled.
func TestPluginOutlivesItsAgent(t *testing.T) {
	r := newRoom(t)
	r.plugin("test", "T_WAIL=line")
	agent := exec.Command(os.Args[0])
	agent.Env = append(os.Environ(), "T_ROLE=agent", "T_ROOM="+r.dir)
	out, err := agent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var pid, collectorPid int
	if _, err := fmt.Sscanf(line, "ready %d %d", &pid, &collectorPid); err != nil {
		t.Fatalf("the agent said %q", line)
	}
	r.t.Cleanup(func() { syscall.Kill(pid, syscall.SIGKILL) })
	waitLine(t, r, 50)
	agent.Process.Kill()
	agent.Wait()
	syscall.Kill(collectorPid, syscall.SIGKILL)

	// Nobody reads now; the plugin must not mind. Then another agent comes.
	time.Sleep(200 * time.Millisecond)
	if err := syscall.Kill(pid, 0); err != nil {
		t.Fatal("the plugin died with its agent")
	}
	before := lastLine(t, r)
	ctx := context.Background()
	collector, err := tasklog.Ensure(ctx, collectorConfig(r.dir))
	if err != nil {
		t.Fatal(err)
	}
	defer collector.Close()
	r.config.Collector = collector
	h := r.start()
	d := r.ready(h, "test")
	if d.Pid() != pid {
		t.Fatalf("pid %d, was %d", d.Pid(), pid)
	}
	waitLine(t, r, before+50)
	r.stop(h, true)
	numbers := wailed(t, r)
	for i, n := range numbers {
		if n != i {
			t.Fatalf("line %d has number %d: lost or doubled", i, n)
		}
	}
	t.Logf("%d lines, all there", len(numbers))
}

// wailed returns the numbers of the plugin's log lines.
func wailed(t *testing.T, r *room) []int {
	t.Helper()
	var numbers []int
	reader := tasklog.NewReader(filepath.Join(r.config.DataDir, "plugin-logs"), "test.stderr")
	err := reader.FollowLines(t.Context(), tasklog.ReadOptions{}, func(l tasklog.Line) error {
		fields := bytes.Fields(l.Text)
		if len(fields) == 4 && string(fields[0]) == "[INFO]" {
			n, err := strconv.Atoi(string(fields[3]))
			if err == nil {
				numbers = append(numbers, n)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return numbers
}

func lastLine(t *testing.T, r *room) int {
	numbers := wailed(t, r)
	if len(numbers) == 0 {
		return -1
	}
	return numbers[len(numbers)-1]
}

// waitLine waits until the plugin's log has come to line n.
func waitLine(t *testing.T, r *room, n int) {
	t.Helper()
	late := time.Now().Add(20 * time.Second)
	for lastLine(t, r) < n {
		if time.Now().After(late) {
			files, _ := filepath.Glob(filepath.Join(r.config.DataDir, "plugin-logs", "*"))
			t.Fatalf("line %d never came; files %s", n, strings.Join(files, " "))
		}
		time.Sleep(20 * time.Millisecond)
	}
}
