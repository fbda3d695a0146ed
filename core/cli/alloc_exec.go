package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// execHeartbeat keeps proxies from closing an idle session.
const execHeartbeat = 10 * time.Second

func allocExec(a *app) *cobra.Command {
	var f chosen
	var flags sessionFlags
	c := &cobra.Command{Use: "exec <alloc> <command> [args...]", Short: "Run a command in a task", Args: cobra.MinimumNArgs(2),
		Annotations: map[string]string{passthrough: "yes"}}
	f.add(c, true)
	flags.add(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, err := a.api()
		if err != nil {
			return err
		}
		al, err := f.alloc(cmd.Context(), cl, args[0])
		if err != nil {
			return err
		}
		task, err := f.pickTask(al, "")
		if err != nil {
			return err
		}
		command, err := json.Marshal(args[1:])
		if err != nil {
			return err
		}
		return flags.run(cmd.Context(), &execSession{app: a, client: cl, path: "/v1/client/allocation/" + seg(al.ID) + "/exec",
			query: query{"task": task, "command": string(command)}})
	}
	return c
}

// sessionFlags say how a session with a command in a task is held.
type sessionFlags struct {
	interactive bool
	tty, escape string
}

func (f *sessionFlags) add(c *cobra.Command) {
	c.Flags().BoolVar(&f.interactive, "i", true, "pass standard input")
	c.Flags().StringVar(&f.tty, "t", "", "give the command a terminal (default: when standard input is one)")
	c.Flags().Lookup("t").NoOptDefVal = "true"
	c.Flags().StringVar(&f.escape, "e", "~", "escape character: at the start of a line, followed by a dot, ends the session")
}

// run holds the session; a command that ends with another exit code than 0 gives that code.
func (f *sessionFlags) run(ctx context.Context, s *execSession) (err error) {
	in, isTerm := s.app.terminal()
	s.tty, s.escape = isTerm && f.interactive, f.escape
	if f.tty != "" {
		if s.tty, err = strconv.ParseBool(f.tty); err != nil {
			return fmt.Errorf("-t must be true or false, got %q", f.tty)
		}
	}
	if f.interactive {
		s.stdin = s.Stdin
	}
	if s.tty && isTerm {
		old, err := term.MakeRaw(in)
		if err != nil {
			return fmt.Errorf("terminal: %w", err)
		}
		defer term.Restore(in, old)
		s.terminal = &in
	}
	code, err := s.run(ctx)
	if err != nil {
		return err
	}
	if code != 0 {
		return &exitError{code: code}
	}
	return nil
}

func (a *app) terminal() (fd int, is bool) {
	f, ok := a.Stdin.(*os.File)
	if !ok {
		return 0, false
	}
	fd = int(f.Fd())
	return fd, term.IsTerminal(fd)
}

// execSession is a session with a command that runs in a task.
type execSession struct {
	*app
	client   *client
	path     string // of the route that opens it
	query    query
	tty      bool
	escape   string
	stdin    io.Reader
	terminal *int

	mu sync.Mutex // writes to the socket
	ws *websocket.Conn
}

func (s *execSession) send(v any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ws.WriteJSON(v)
}

// run returns the command's exit code.
func (s *execSession) run(ctx context.Context) (int, error) {
	s.query["tty"] = strconv.FormatBool(s.tty)
	u := s.client.url(s.path, s.query)
	u.Scheme = map[string]string{"http": "ws", "https": "wss"}[u.Scheme]
	tr := s.client.http.Transport.(*http.Transport)
	d := websocket.Dialer{NetDialContext: tr.DialContext, TLSClientConfig: tr.TLSClientConfig, HandshakeTimeout: 30 * time.Second}
	h := http.Header{}
	s.client.authorize(h)
	ws, resp, err := d.DialContext(ctx, u.String(), h)
	if err != nil {
		if resp != nil {
			text, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
			return 0, &apiError{resp.StatusCode, string(text)}
		}
		return 0, fmt.Errorf("open the session: %w", err)
	}
	defer ws.Close()
	s.ws = ws
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		<-ctx.Done()
		ws.Close()
	}()
	go s.beat(ctx)
	if s.terminal != nil {
		go s.sizes(ctx, *s.terminal)
	}
	if s.stdin != nil {
		go s.input(cancel)
	} else if err := s.send(map[string]any{"stdin": map[string]any{"close": true}}); err != nil {
		return 0, err
	}
	for {
		var out struct {
			Stdout *struct{ Data []byte }
			Stderr *struct{ Data []byte }
			Exited bool
			Result *struct {
				ExitCode int `json:"exit_code"`
			}
		}
		if err := ws.ReadJSON(&out); err != nil {
			var ce *websocket.CloseError
			if errors.As(err, &ce) && ce.Text != "" {
				return 0, errors.New(ce.Text)
			}
			if ctx.Err() != nil {
				return 0, errors.New("session ended")
			}
			return 0, fmt.Errorf("the session broke off: %w", err)
		}
		if out.Stdout != nil {
			s.Stdout.Write(out.Stdout.Data)
		}
		if out.Stderr != nil {
			s.Stderr.Write(out.Stderr.Data)
		}
		if out.Exited {
			if out.Result == nil {
				return 0, nil
			}
			return out.Result.ExitCode, nil
		}
	}
}

func (s *execSession) beat(ctx context.Context) {
	t := time.NewTicker(execHeartbeat)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			if s.send(struct{}{}) != nil {
				return
			}
		}
	}
}

// sizes tells the command how large the terminal is. Asking twice a second works on every platform.
func (s *execSession) sizes(ctx context.Context, fd int) {
	t := time.NewTicker(500 * time.Millisecond)
	defer t.Stop()
	var lastW, lastH int
	for {
		if w, h, err := term.GetSize(fd); err == nil && (w != lastW || h != lastH) {
			lastW, lastH = w, h
			if s.send(map[string]any{"tty_size": map[string]int{"height": h, "width": w}}) != nil {
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

func (s *execSession) input(end func()) {
	esc := escaper{char: s.escape, lineStart: true}
	buf := make([]byte, 4096)
	for {
		n, err := s.stdin.Read(buf)
		if n > 0 {
			data := buf[:n]
			if s.terminal != nil {
				var quit bool
				if data, quit = esc.filter(data); quit {
					end()
					return
				}
			}
			if len(data) > 0 && s.send(map[string]any{"stdin": map[string]any{"data": data}}) != nil {
				return
			}
		}
		if err != nil {
			s.send(map[string]any{"stdin": map[string]any{"close": true}})
			return
		}
	}
}

// escaper looks for the escape character followed by a dot at the start of a line.
type escaper struct {
	char      string
	lineStart bool
	held      bool
}

func (e *escaper) filter(in []byte) (out []byte, quit bool) {
	if len(e.char) != 1 {
		return in, false
	}
	for _, b := range in {
		if e.held {
			e.held = false
			if b == '.' {
				return out, true
			}
			if b != e.char[0] {
				out = append(out, e.char[0])
			}
		} else if e.lineStart && b == e.char[0] {
			e.held = true
			continue
		}
		out = append(out, b)
		e.lineStart = b == '\r' || b == '\n'
	}
	return out, false
}
