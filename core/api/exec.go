package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"

	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/core/server"
)

// Messages of an exec session on its websocket.
type execIn struct {
	Stdin   *execData `json:"stdin"`
	TTYSize *struct {
		Height int32 `json:"height"`
		Width  int32 `json:"width"`
	} `json:"tty_size"`
}

type execData struct {
	Data  []byte `json:"data,omitempty"`
	Close bool   `json:"close,omitempty"`
}

type execOut struct {
	Stdout *execData   `json:"stdout,omitempty"`
	Stderr *execData   `json:"stderr,omitempty"`
	Exited bool        `json:"exited,omitempty"`
	Result *execResult `json:"result,omitempty"`
}

type execResult struct {
	ExitCode int `json:"exit_code"`
}

// maxExecMessage bounds one websocket message, in bytes.
const maxExecMessage = 1 << 20

func (a *API) clientAllocExec(rq *request) (any, error) {
	setup := &rpc.ExecSetup{AllocID: rq.arg("id"), Task: rq.str("task")}
	if setup.Task == "" {
		return nil, rpc.Errorf(rpc.ErrInvalid, "must provide task name")
	}
	if err := json.Unmarshal([]byte(rq.str("command")), &setup.Command); err != nil || len(setup.Command) == 0 {
		return nil, rpc.Errorf(rpc.ErrInvalid, "command must be a JSON array with at least one element, got %q", rq.str("command"))
	}
	return a.session(rq, setup)
}

// session runs a command in a task for a caller at the other end of a websocket.
func (a *API) session(rq *request, setup *rpc.ExecSetup) (any, error) {
	var err error
	if setup.TTY, err = rq.flag("tty", false); err != nil {
		return nil, err
	}
	handshake, err := rq.flag("ws_handshake", false)
	if err != nil {
		return nil, err
	}
	if _, err := a.nodeOf(rq.Context(), setup.AllocID); errors.As(err, new(*server.NodeElsewhere)) {
		return nil, err // before anything is answered: that server will
	}
	up := websocket.Upgrader{ReadBufferSize: 4096, WriteBufferSize: 4096, CheckOrigin: sameOrigin,
		Error: func(w http.ResponseWriter, _ *http.Request, status int, reason error) {
			http.Error(w, reason.Error(), status)
		}}
	ws, err := up.Upgrade(rq.w, rq.Request, nil)
	if err != nil {
		return written{}, nil // the upgrader has answered
	}
	defer ws.Close()
	ws.SetReadLimit(maxExecMessage)
	if handshake {
		if err := readHandshake(ws, rq.Token); err != nil {
			closeSocket(ws, websocket.ClosePolicyViolation, err.Error())
			return written{}, nil
		}
	}
	ctx, cancel := context.WithCancel(rq.Context())
	defer cancel()
	node, err := a.nodeOf(rq.Context(), setup.AllocID)
	if err == nil {
		err = relay(ctx, cancel, ws, node, setup)
	}
	if err != nil {
		code := websocket.ClosePolicyViolation
		if statusOf(err) == http.StatusInternalServerError {
			code = websocket.CloseInternalServerErr
		}
		closeSocket(ws, code, err.Error())
		return written{}, nil
	}
	closeSocket(ws, websocket.CloseNormalClosure, "")
	return written{}, nil
}

// sameOrigin keeps web pages of other sites from opening a session with the rights of whoever looks at them.
func sameOrigin(r *http.Request) bool {
	o := r.Header.Get("Origin")
	return o == "" || o == "http://"+r.Host || o == "https://"+r.Host
}

func readHandshake(ws *websocket.Conn, header string) error {
	ws.SetReadDeadline(time.Now().Add(10 * time.Second))
	defer ws.SetReadDeadline(time.Time{})
	var hs struct {
		Version   int    `json:"version"`
		AuthToken string `json:"auth_token"`
	}
	if err := ws.ReadJSON(&hs); err != nil {
		return errors.New("failed to read the handshake message")
	}
	if hs.Version != 1 {
		return errors.New("unsupported websocket protocol version")
	}
	if header != "" && hs.AuthToken != "" && header != hs.AuthToken {
		return errors.New("tokens in header and handshake do not match")
	}
	return nil
}

func closeSocket(ws *websocket.Conn, code int, text string) {
	ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, closeText(text)), time.Now().Add(time.Second))
}

// closeText makes an error fit into a control frame, which has room for 123 bytes of text. The end is kept: that is where
// wrapped errors say what went wrong.
func closeText(text string) string {
	const room, mark = 123, "..."
	if len(text) <= room {
		return strings.ToValidUTF8(text, "?")
	}
	tail := text[len(text)-room+len(mark):]
	for len(tail) > 0 && !utf8.RuneStart(tail[0]) {
		tail = tail[1:]
	}
	return mark + strings.ToValidUTF8(tail, "?")
}

// relay carries a session between the websocket and the node until the command ends.
func relay(ctx context.Context, cancel context.CancelFunc, ws *websocket.Conn, node clientConn, setup *rpc.ExecSetup) error {
	stream, err := rpc.AllocExec.Call(ctx, node)
	if err != nil {
		return err
	}
	if err := stream.Send(&rpc.ExecInput{Setup: setup}); err != nil {
		return err
	}
	var reader sync.WaitGroup
	defer reader.Wait()
	defer ws.SetReadDeadline(time.Now()) // wakes the reader
	reader.Go(func() {
		defer stream.CloseSend()
		for {
			var in execIn
			if err := ws.ReadJSON(&in); err != nil {
				if !errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
					cancel() // the person at the other end is gone
				}
				return
			}
			msg := rpc.ExecInput{}
			if in.Stdin != nil {
				msg.Stdin, msg.CloseStdin = in.Stdin.Data, in.Stdin.Close
			}
			if in.TTYSize != nil {
				msg.TTYSize = &rpc.TTYSize{Height: in.TTYSize.Height, Width: in.TTYSize.Width}
			}
			if in.Stdin == nil && in.TTYSize == nil {
				continue // heartbeat
			}
			if stream.Send(&msg) != nil {
				return
			}
		}
	})
	for {
		out, err := stream.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		for _, msg := range messages(out) {
			if err := ws.WriteJSON(msg); err != nil {
				return nil
			}
		}
		if out.Exited {
			return nil
		}
	}
}

func messages(out *rpc.ExecOutput) []execOut {
	var msgs []execOut
	if len(out.Stdout) > 0 {
		msgs = append(msgs, execOut{Stdout: &execData{Data: out.Stdout}})
	}
	if out.StdoutClose {
		msgs = append(msgs, execOut{Stdout: &execData{Close: true}})
	}
	if len(out.Stderr) > 0 {
		msgs = append(msgs, execOut{Stderr: &execData{Data: out.Stderr}})
	}
	if out.StderrClose {
		msgs = append(msgs, execOut{Stderr: &execData{Close: true}})
	}
	if out.Exited {
		msgs = append(msgs, execOut{Exited: true, Result: &execResult{out.ExitCode}})
	}
	return msgs
}
