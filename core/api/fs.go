package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/droverhq/drover/core/rpc"
)

// frame is one piece of a streamed file.
type frame struct {
	Offset    int64  `json:",omitempty"`
	Data      []byte `json:",omitempty"`
	File      string `json:",omitempty"`
	FileEvent string `json:",omitempty"`
}

// heartbeat is how often an empty frame shows that the stream lives.
const heartbeat = time.Second

func (a *API) fsList(rq *request) (any, error) {
	node, err := a.nodeOf(rq.Context(), rq.arg("id"))
	if err != nil {
		return nil, err
	}
	path := rq.str("path")
	if path == "" {
		path = "/"
	}
	resp, err := rpc.FSList.Call(rq.Context(), node, &rpc.FSRequest{AllocID: rq.arg("id"), Path: path})
	if err != nil {
		return nil, err
	}
	return orEmpty(resp.Files), nil
}

func (a *API) fsStat(rq *request) (any, error) {
	path, err := rq.path()
	if err != nil {
		return nil, err
	}
	node, err := a.nodeOf(rq.Context(), rq.arg("id"))
	if err != nil {
		return nil, err
	}
	return rpc.FSStat.Call(rq.Context(), node, &rpc.FSRequest{AllocID: rq.arg("id"), Path: path})
}

func (rq *request) path() (string, error) {
	if p := rq.str("path"); p != "" {
		return p, nil
	}
	return "", rpc.Errorf(rpc.ErrInvalid, "must provide a file path")
}

func (a *API) fsCat(rq *request) (any, error) {
	path, err := rq.path()
	if err != nil {
		return nil, err
	}
	return a.plainFile(rq, &rpc.FSReadRequest{AllocID: rq.arg("id"), Path: path, Origin: "start"})
}

func (a *API) fsReadAt(rq *request) (any, error) {
	path, err := rq.path()
	if err != nil {
		return nil, err
	}
	if rq.str("offset") == "" {
		return nil, rpc.Errorf(rpc.ErrInvalid, "must provide the offset")
	}
	offset, err := rq.number("offset", 0)
	if err != nil {
		return nil, err
	}
	limit, err := rq.number("limit", 0)
	if err != nil {
		return nil, err
	}
	return a.plainFile(rq, &rpc.FSReadRequest{AllocID: rq.arg("id"), Path: path, Origin: "start", Offset: offset, Limit: limit})
}

func (a *API) plainFile(rq *request, q *rpc.FSReadRequest) (any, error) {
	node, err := a.nodeOf(rq.Context(), q.AllocID)
	if err != nil {
		return nil, err
	}
	next, err := rpc.FSRead.Call(rq.Context(), node, q)
	if err != nil {
		return nil, err
	}
	return rq.plain(next)
}

// plain sends chunks as raw text. Browsers must not render what a task wrote.
func (rq *request) plain(next func() (*rpc.FSChunk, error)) (any, error) {
	first, err := next()
	if err != nil && err != io.EOF {
		return nil, err
	}
	h := rq.w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "sandbox")
	rq.w.WriteHeader(http.StatusOK)
	flush := flusher(rq.w)
	flush()
	for c := first; err == nil; c, err = next() {
		if len(c.Data) == 0 {
			continue
		}
		if _, werr := rq.w.Write(c.Data); werr != nil {
			return written{}, nil
		}
		flush()
	}
	if err != io.EOF {
		return written{}, streamError(err)
	}
	return written{}, nil
}

// streamError ends a response that has begun: the connection is cut so that the client does not take half a stream
// for the whole.
func streamError(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	panic(http.ErrAbortHandler)
}

func flusher(w http.ResponseWriter) func() {
	rc := http.NewResponseController(w)
	return func() { rc.Flush() }
}

func (a *API) fsStream(rq *request) (any, error) {
	path, err := rq.path()
	if err != nil {
		return nil, err
	}
	q := &rpc.FSReadRequest{AllocID: rq.arg("id"), Path: path}
	if q.Offset, q.Origin, err = rq.position(); err != nil {
		return nil, err
	}
	if q.Follow, err = rq.flag("follow", true); err != nil {
		return nil, err
	}
	node, err := a.nodeOf(rq.Context(), q.AllocID)
	if err != nil {
		return nil, err
	}
	next, err := rpc.FSRead.Call(rq.Context(), node, q)
	if err != nil {
		return nil, err
	}
	return rq.frames(next)
}

func (rq *request) position() (offset int64, origin string, err error) {
	if offset, err = rq.number("offset", 0); err != nil {
		return 0, "", err
	}
	if offset < 0 {
		return 0, "", rpc.Errorf(rpc.ErrInvalid, "offset must not be negative, got %d", offset)
	}
	switch origin = rq.str("origin"); origin {
	case "":
		origin = "start"
	case "start", "end":
	default:
		return 0, "", rpc.Errorf(rpc.ErrInvalid, "origin must be \"start\" or \"end\", got %q", origin)
	}
	return offset, origin, nil
}

func (a *API) fsLogs(rq *request) (any, error) {
	q := &rpc.TaskLogsRequest{AllocID: rq.arg("id"), Task: rq.str("task"), Type: rq.str("type")}
	if q.Task == "" {
		return nil, rpc.Errorf(rpc.ErrInvalid, "must provide task name")
	}
	switch q.Type {
	case "stdout", "stderr":
	case "":
		return nil, rpc.Errorf(rpc.ErrInvalid, "must provide log type (stdout/stderr)")
	default:
		return nil, rpc.Errorf(rpc.ErrInvalid, "log type must be stdout or stderr, got %q", q.Type)
	}
	var err error
	if q.Offset, q.Origin, err = rq.position(); err != nil {
		return nil, err
	}
	if q.Follow, err = rq.flag("follow", false); err != nil {
		return nil, err
	}
	plain, err := rq.flag("plain", false)
	if err != nil {
		return nil, err
	}
	node, err := a.nodeOf(rq.Context(), q.AllocID)
	if err != nil {
		return nil, err
	}
	next, err := rpc.TaskLogs.Call(rq.Context(), node, q)
	if err != nil {
		return nil, err
	}
	if plain {
		return rq.plain(next)
	}
	return rq.frames(next)
}

func (a *API) clientPluginLogs(rq *request) (any, error) {
	node, err := a.namedNode(rq, "")
	if err != nil {
		return nil, err
	}
	q := &rpc.PluginLogsRequest{Plugin: rq.arg("name")}
	if q.Offset, q.Origin, err = rq.position(); err != nil {
		return nil, err
	}
	if q.Follow, err = rq.flag("follow", false); err != nil {
		return nil, err
	}
	next, err := rpc.PluginLogs.Call(rq.Context(), node, q)
	if err != nil {
		return nil, err
	}
	return rq.plain(next)
}

// frames sends chunks as concatenated JSON objects with an empty one every second.
func (rq *request) frames(next func() (*rpc.FSChunk, error)) (any, error) {
	first, err := next()
	if err != nil && err != io.EOF {
		return nil, err
	}
	rq.w.Header().Set("Content-Type", "application/json")
	rq.w.WriteHeader(http.StatusOK)
	flush := flusher(rq.w)
	flush()

	var mu sync.Mutex // the heartbeat and the chunks share the response
	enc := json.NewEncoder(rq.w)
	send := func(f frame) error {
		mu.Lock()
		defer mu.Unlock()
		if err := enc.Encode(f); err != nil {
			return err
		}
		flush()
		return nil
	}
	stop := make(chan struct{})
	var beat sync.WaitGroup
	beat.Go(func() {
		t := time.NewTicker(heartbeat)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				if send(frame{}) != nil {
					return
				}
			case <-stop:
				return
			}
		}
	})
	defer beat.Wait()
	defer close(stop)
	for c := first; err == nil; c, err = next() {
		if len(c.Data) == 0 && c.FileEvent == "" {
			continue
		}
		if serr := send(frame{c.Offset, c.Data, c.File, c.FileEvent}); serr != nil {
			return written{}, nil
		}
	}
	if err != io.EOF {
		return written{}, streamError(err)
	}
	return written{}, nil
}
