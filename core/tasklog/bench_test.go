//go:build linux

package tasklog

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// usage returns the collector's proportional and private memory in KiB, from the kernel's accounting.
func usage(t testing.TB, pid int) (pss, private int) {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	must(t, err)
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		if len(f) != 3 {
			continue
		}
		n, _ := strconv.Atoi(f[1])
		switch f[0] {
		case "Pss:":
			pss = n
		case "Private_Clean:", "Private_Dirty:":
			private += n
		}
	}
	return pss, private
}

// cpuTicks is the user and system time that a process has used, in ticks of 10 ms.
func cpuTicks(t testing.TB, pid int) (ticks int) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	must(t, err)
	f := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+2:]))
	for _, s := range f[11:13] {
		n, _ := strconv.Atoi(s)
		ticks += n
	}
	return ticks
}

// A node with 400 open streams that all have printed costs one small process.
func TestMemoryOf400Streams(t *testing.T) {
	const streams, limitKiB = 400, 8 << 10
	n := newNode(t)
	c := n.client()
	ctx := testContext(t)
	idle, idlePrivate := usage(t, c.PID())
	line := testLines(100)
	for i := range streams {
		s := n.stream(fmt.Sprintf("task%d.stdout", i))
		must(t, c.OpenStream(ctx, s))
		put(t, s.FIFO, string(line))
	}
	all, err := c.List(ctx)
	must(t, err)
	var pss, private int
	waitFor(t, fmt.Sprintf("a PSS of at most %d KiB", limitKiB), func() bool { // once at rest, garbage is given back
		pss, private = usage(t, c.PID())
		return pss <= limitKiB || raceDetector
	})
	t.Logf("collector without streams: PSS %d KiB (private %d); with %d: PSS %d KiB (private %d)", idle, idlePrivate, len(all), pss, private)
	for _, s := range all {
		must(t, c.CloseStream(ctx, s.ID))
		if got := n.content(s.Prefix); !bytes.Equal(got, line) {
			t.Fatalf("%s has %d bytes, want %d", s.ID, len(got), len(line))
		}
	}
}

// BenchmarkThroughput moves lines of 100 bytes, written 32 KiB at a time, into files of 10 MB, beside the bare system
// call: cat's copying of the same bytes from a pipe to a file.
func BenchmarkThroughput(b *testing.B) {
	block := bytes.Repeat([]byte(strings.Repeat("x", 99)+"\n"), 320)
	b.Run("collector", func(b *testing.B) {
		n := newNode(b)
		c := n.client()
		ctx := testContext(b)
		s := n.stream("web.stdout")
		s.MaxFiles, s.MaxFileSize = 3, 10_000_000
		must(b, c.OpenStream(ctx, s))
		f, err := os.OpenFile(s.FIFO, os.O_RDWR, 0)
		must(b, err)
		defer f.Close()
		b.SetBytes(int64(len(block)))
		b.ResetTimer()
		before := cpuTicks(b, c.PID())
		for range b.N {
			f.Write(block)
		}
		must(b, c.CloseStream(ctx, s.ID))
		b.ReportMetric(float64(cpuTicks(b, c.PID())-before)*10e6/float64(b.N), "collector-cpu-ns/op")
	})
	b.Run("copy", func(b *testing.B) {
		r, w, err := os.Pipe()
		must(b, err)
		out, err := os.Create(filepath.Join(b.TempDir(), "out"))
		must(b, err)
		defer out.Close()
		done := make(chan struct{})
		go func() { defer close(done); io.Copy(struct{ io.Writer }{out}, struct{ io.Reader }{r}) }()
		b.SetBytes(int64(len(block)))
		b.ResetTimer()
		for i := range b.N {
			if i%300 == 0 {
				out.Truncate(0)
				out.Seek(0, io.SeekStart)
			}
			w.Write(block)
		}
		w.Close()
		<-done
	})
}

// BenchmarkLines writes one line per system call, the usual way of programs that log.
func BenchmarkLines(b *testing.B) {
	n := newNode(b)
	c := n.client()
	ctx := testContext(b)
	s := n.stream("web.stdout")
	s.MaxFiles, s.MaxFileSize = 3, 10_000_000
	must(b, c.OpenStream(ctx, s))
	f, err := os.OpenFile(s.FIFO, os.O_RDWR, 0)
	must(b, err)
	defer f.Close()
	line := []byte(strings.Repeat("x", 99) + "\n")
	b.SetBytes(int64(len(line)))
	b.ResetTimer()
	before := cpuTicks(b, c.PID())
	for range b.N {
		f.Write(line)
	}
	must(b, c.CloseStream(ctx, s.ID))
	b.ReportMetric(float64(cpuTicks(b, c.PID())-before)*10e6/float64(b.N), "collector-cpu-ns/op")
}

// BenchmarkManyTasks is a busy node: 50 streams, each with 100 lines a second, one system call per line. An operation is
// one line.
func BenchmarkManyTasks(b *testing.B) {
	n := newNode(b)
	c := n.client()
	ctx := testContext(b)
	var fifos []*os.File
	for i := range 50 {
		s := n.stream(fmt.Sprint("t", i))
		must(b, c.OpenStream(ctx, s))
		f, err := os.OpenFile(s.FIFO, os.O_RDWR, 0)
		must(b, err)
		defer f.Close()
		fifos = append(fifos, f)
	}
	line := []byte(strings.Repeat("x", 99) + "\n")
	b.ResetTimer()
	before := cpuTicks(b, c.PID())
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for i := range b.N {
		if i%5 == 0 {
			<-tick.C
		}
		fifos[i%len(fifos)].Write(line)
	}
	b.ReportMetric(float64(cpuTicks(b, c.PID())-before)*10e6/float64(b.N), "collector-cpu-ns/op")
}

// BenchmarkOpenClose is what starting and ending a task costs.
func BenchmarkOpenClose(b *testing.B) {
	n := newNode(b)
	c := n.client()
	ctx := testContext(b)
	for i := range b.N {
		s := n.stream(fmt.Sprint("t", i%500))
		must(b, c.OpenStream(ctx, s))
		must(b, c.CloseStream(ctx, s.ID))
	}
}
