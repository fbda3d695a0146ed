//go:build linux

package tasklog

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestStreamLife(t *testing.T) {
	n := newNode(t)
	c := n.client()
	ctx := testContext(t)
	s := n.stream("web.stdout")
	s.Owner = &Owner{UID: os.Getuid(), GID: os.Getgid()}
	must(t, c.OpenStream(ctx, s))
	must(t, c.OpenStream(ctx, s))
	st, err := os.Lstat(s.FIFO)
	must(t, err)
	if st.Mode() != os.ModeNamedPipe|0o600 {
		t.Errorf("fifo has mode %v", st.Mode())
	}
	put(t, s.FIFO, "no newline yet")
	began := time.Now()
	waitFor(t, "a partial line", func() bool { return string(n.content(s.Prefix)) == "no newline yet" })
	if took := time.Since(began); took > 100*time.Millisecond {
		t.Logf("a partial line took %s", took) // a loaded machine may be late, so this is no failure
	}
	all, err := c.List(ctx)
	must(t, err)
	if len(all) != 1 || all[0].ID != s.ID || all[0].File != "web.stdout.0" || all[0].Size != 14 || all[0].Written != 14 {
		t.Errorf("list: %+v", all)
	}
	must(t, c.CloseStream(ctx, s.ID))
	must(t, c.CloseStream(ctx, s.ID))
	if _, err := os.Lstat(s.FIFO); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("fifo after close: %v", err)
	}
	must(t, c.OpenStream(ctx, s))
	put(t, s.FIFO, ", and on\n")
	must(t, c.CloseStream(ctx, s.ID))
	if got := string(n.content(s.Prefix)); got != "no newline yet, and on\n" {
		t.Errorf("log after reopening: %q", got)
	}
}

func TestRefusals(t *testing.T) {
	n := newNode(t)
	c := n.client()
	ctx := testContext(t)
	good := n.stream("web.stdout")
	must(t, c.OpenStream(ctx, good))
	plain := filepath.Join(n.logs, "plain")
	must(t, os.WriteFile(plain, nil, 0o600))
	link := filepath.Join(n.logs, "link")
	must(t, os.Symlink(good.FIFO, link))
	for name, c1 := range map[string]struct {
		change func(*Stream)
		want   error
		text   string
	}{
		"same id, other fifo":       {func(s *Stream) { s.ID = good.ID }, ErrConflict, "stream is open with other paths"},
		"same files":                {func(s *Stream) { s.Prefix = good.Prefix }, ErrConflict, "stream web.stdout uses these paths"},
		"no id":                     {func(s *Stream) { s.ID = "" }, ErrInvalid, "id"},
		"relative directory":        {func(s *Stream) { s.Dir = "logs" }, ErrInvalid, "absolute"},
		"prefix with slash":         {func(s *Stream) { s.Prefix = "../x" }, ErrInvalid, "file name"},
		"negative limit":            {func(s *Stream) { s.MaxFileSize = -1 }, ErrInvalid, "max_file_size"},
		"fifo is a plain file":      {func(s *Stream) { s.FIFO = plain }, ErrInvalid, "not a fifo"},
		"fifo is a link":            {func(s *Stream) { s.FIFO = link }, nil, "link"},
		"directory does not exist":  {func(s *Stream) { s.Dir += "/none" }, nil, "none"},
		"fifo's directory is a lie": {func(s *Stream) { s.FIFO = n.dir + "/none/x" }, nil, "none"},
	} {
		t.Run(name, func(t *testing.T) {
			s := n.stream("other")
			c1.change(&s)
			err := c.OpenStream(ctx, s)
			if err == nil || c1.want != nil && !errors.Is(err, c1.want) || !strings.Contains(err.Error(), c1.text) {
				t.Errorf("got %v, want %v with %q", err, c1.want, c1.text)
			}
		})
	}
	if err := c.Update(ctx, "nobody", Limits{}); !errors.Is(err, ErrNotFound) {
		t.Errorf("update of an unknown stream: %v", err)
	}
	if _, err := c.Cursor(ctx, "nobody"); !errors.Is(err, ErrNotFound) {
		t.Errorf("cursor of an unknown stream: %v", err)
	}
	if all, err := c.List(ctx); err != nil || len(all) != 1 {
		t.Errorf("refused streams are held: %+v, %v", all, err)
	}
}

// The collector outlives its client; the next client finds it, its streams and what was written meanwhile.
func TestClientReconnects(t *testing.T) {
	n := newNode(t)
	ctx := testContext(t)
	first, err := Ensure(ctx, n.cfg)
	must(t, err)
	s := n.stream("web.stdout")
	must(t, first.OpenStream(ctx, s))
	pid := first.PID()
	w := n.write(s.FIFO, 0, 0)
	w.written()
	must(t, first.Close())
	put(t, s.FIFO, "while nobody looks\n")
	waitFor(t, "the line", func() bool { return string(n.content(s.Prefix)) == "while nobody looks\n" })
	second := n.client()
	if second.PID() != pid || second.launches.Load() != 0 {
		t.Errorf("second client has collector %d, first had %d", second.PID(), pid)
	}
	all, err := second.List(ctx)
	if err != nil || len(all) != 1 || all[0].ID != s.ID {
		t.Errorf("list: %+v, %v", all, err)
	}
	if err := first.OpenStream(ctx, s); !errors.Is(err, ErrClosed) {
		t.Errorf("closed client: %v", err)
	}
	must(t, second.CloseStream(ctx, s.ID))
}

// A killed collector is replaced in less than a second and goes on with the same streams.
func TestRelaunch(t *testing.T) {
	n := newNode(t)
	c := n.client()
	ctx := testContext(t)
	s := n.stream("web.stdout")
	must(t, c.OpenStream(ctx, s))
	pid := c.PID()
	must(t, syscall.Kill(pid, syscall.SIGKILL))
	put(t, s.FIFO, "to nobody\n")
	e := <-c.Events()
	if e.Kind != EventRelaunched || c.PID() == pid {
		t.Fatalf("event %+v, collector %d", e, c.PID())
	}
	t.Log(e.Message)
	waitFor(t, "the line", func() bool { return string(n.content(s.Prefix)) == "to nobody\n" })
	must(t, c.CloseStream(ctx, s.ID))
}

// Two agents' clients that start at once share one collector.
func TestOneCollector(t *testing.T) {
	n := newNode(t)
	clients := make(chan *Client, 4)
	for range cap(clients) {
		go func() {
			c, err := Ensure(context.Background(), n.cfg)
			if err != nil {
				t.Error(err)
			}
			clients <- c
		}()
	}
	pids := map[int]bool{}
	for range cap(clients) {
		if c := <-clients; c != nil {
			pids[c.PID()] = true
			defer c.Close()
		}
	}
	if len(pids) != 1 {
		t.Errorf("collectors: %v", pids)
	}
}

// Without streams and clients the collector ends by itself, even if nobody said farewell.
func TestIdleCollectorEnds(t *testing.T) {
	n := newNode(t)
	n.cfg.Idle = time.Millisecond
	probe := &Client{cfg: n.cfg, log: n.cfg.Logger}
	must(t, probe.launch(testContext(t)))
}

func TestLaunchFails(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config)
		text   string
	}{
		"no such program":      {func(c *Config) { c.Executable = "/nonexistent/drover" }, "/nonexistent/drover"},
		"unknown verb":         {func(c *Config) { c.Args = []string{"collect", "-x"} }, "-x"},
		"socket path too long": {func(c *Config) { c.SocketPath = "/" + strings.Repeat("x", 107) }, "limit 107"},
		"open socket directory": {func(c *Config) {
			os.MkdirAll(filepath.Dir(c.SocketPath), 0o755)
		}, "must be 0700"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			c.change(&n.cfg)
			_, err := Ensure(testContext(t), n.cfg)
			if err == nil || !strings.Contains(err.Error(), c.text) {
				t.Errorf("got %v, want an error with %q", err, c.text)
			}
		})
	}
}

// A collector of another version makes room; its streams are carried on.
func TestRetire(t *testing.T) {
	n := newNode(t)
	c := n.client()
	ctx := testContext(t)
	s := n.stream("web.stdout")
	must(t, c.OpenStream(ctx, s))
	pid := c.PID()
	must(t, c.retire(ctx))
	if e := <-c.Events(); e.Kind != EventRelaunched {
		t.Fatalf("event %+v", e)
	}
	if c.PID() == pid {
		t.Error("the collector did not retire")
	}
	put(t, s.FIFO, "on\n")
	must(t, c.CloseStream(ctx, s.ID))
	if got := string(n.content(s.Prefix)); got != "on\n" {
		t.Errorf("log: %q", got)
	}
}

// Garbage on the socket costs the sender its connection and nobody else anything.
func TestGarbage(t *testing.T) {
	n := newNode(t)
	c := n.client()
	pid := c.PID()
	for name, bytes := range map[string]string{
		"too large":   "\xff\xff\xff\xff\x00\x00\x00\x00",
		"not JSON":    "\x00\x00\x00\x02\x00\x00\x00\x00xx",
		"half a head": "\x00\x00",
	} {
		conn, err := net.Dial("unix", n.cfg.SocketPath)
		must(t, err)
		conn.Write([]byte(bytes))
		conn.(*net.UnixConn).CloseWrite()
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Errorf("%s: got an answer", name)
		}
		conn.Close()
	}
	if _, err := c.List(testContext(t)); err != nil || c.PID() != pid {
		t.Errorf("after garbage: %v, collector %d, was %d", err, c.PID(), pid)
	}
}
