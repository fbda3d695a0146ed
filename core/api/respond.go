package api

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/droverhq/drover/core/rpc"
)

// httpError is an error with a status of its own.
type httpError struct {
	code int
	text string
}

func (e *httpError) Error() string { return e.text }

// statusOf gives the status for an error's class. Anything without a class is 500 with its text, as clients expect of
// failed validations.
func statusOf(err error) int {
	var he *httpError
	switch {
	case errors.As(err, &he):
		return he.code
	case errors.Is(err, rpc.ErrNotFound), errors.Is(err, rpc.ErrNoPath):
		return http.StatusNotFound
	case errors.Is(err, rpc.ErrInvalid):
		return http.StatusBadRequest
	case errors.Is(err, rpc.ErrDenied):
		return http.StatusForbidden
	case errors.Is(err, rpc.ErrUnknown):
		return http.StatusNotImplemented
	}
	return http.StatusInternalServerError
}

func (rq *request) fail(err error) {
	h := rq.w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	rq.w.WriteHeader(statusOf(err))
	fmt.Fprint(rq.w, err.Error())
}

// setMeta writes the headers that clients use to follow changes.
func (rq *request) setMeta(leaderKnown bool, lastContact int64) {
	h := rq.w.Header()
	if rq.meta.index > 0 {
		h.Set("X-Nomad-Index", strconv.FormatUint(rq.meta.index, 10))
	}
	h.Set("X-Nomad-LastContact", strconv.FormatInt(lastContact, 10))
	h.Set("X-Nomad-KnownLeader", strconv.FormatBool(leaderKnown))
	if rq.meta.nextToken != "" {
		h.Set("X-Nomad-NextToken", rq.meta.nextToken)
	}
}

// withStatus is an answer whose status is not 200.
type withStatus struct {
	code  int
	value any
}

// send writes a value as JSON; nil is an empty body.
func (rq *request) send(v any) {
	code := http.StatusOK
	if s, ok := v.(withStatus); ok {
		code, v = s.code, s.value
	}
	if v == nil {
		rq.w.WriteHeader(http.StatusOK)
		return
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	pretty := false
	if p, ok := rq.query["pretty"]; ok && p[0] != "0" {
		pretty = true
		enc.SetIndent("", "    ")
	}
	if err := enc.Encode(v); err != nil {
		rq.fail(fmt.Errorf("encode the answer: %w", err))
		return
	}
	out := buf.Bytes()
	if !pretty {
		out = bytes.TrimSuffix(out, []byte("\n"))
	}
	h := rq.w.Header()
	h.Set("Content-Type", "application/json")
	if len(out) > 1024 && strings.Contains(rq.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		h.Add("Vary", "Accept-Encoding")
		rq.w.WriteHeader(code)
		gz := gzip.NewWriter(rq.w)
		gz.Write(out)
		gz.Close()
		return
	}
	rq.w.WriteHeader(code)
	rq.w.Write(out)
}
