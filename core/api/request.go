package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/core/server"
)

// Limits of a request.
const (
	maxBody     = 4 << 20 // bytes of a JSON body
	maxWait     = 5 * time.Minute
	defaultWait = 5 * time.Minute
)

// request is a parsed HTTP request.
type request struct {
	*http.Request
	w      http.ResponseWriter
	params map[string]string
	query  map[string][]string

	Region    string
	Namespace string // "*" asks for all
	Prefix    string
	MinIndex  uint64
	Wait      time.Duration
	Stale     bool
	Token     string

	meta meta
}

// meta is what the answer's headers say.
type meta struct {
	index     uint64
	nextToken string
}

func parseRequest(w http.ResponseWriter, r *http.Request, params map[string]string) (*request, error) {
	q := r.URL.Query()
	rq := &request{Request: r, w: w, params: params, query: q,
		Region: q.Get("region"), Namespace: q.Get("namespace"), Prefix: q.Get("prefix"), Token: token(r)}
	if rq.Namespace == "" {
		rq.Namespace = model.DefaultNamespace
	}
	if s := q.Get("index"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			return nil, rpc.Errorf(rpc.ErrInvalid, "Invalid index")
		}
		rq.MinIndex = n
	}
	rq.Wait = defaultWait
	if s := q.Get("wait"); s != "" {
		d, err := time.ParseDuration(s)
		if err != nil || d < 0 {
			return nil, rpc.Errorf(rpc.ErrInvalid, "Invalid wait time")
		}
		if d > 0 {
			rq.Wait = min(d, maxWait)
		}
	}
	if v, ok := q["stale"]; ok {
		switch v[0] {
		case "", "true":
			rq.Stale = true
		case "false":
		default:
			return nil, rpc.Errorf(rpc.ErrInvalid, "Invalid stale value %q: want true or false", v[0])
		}
	}
	return rq, nil
}

// jitteredWait is Wait plus up to a sixteenth, so that many watchers do not come back at once.
func (rq *request) jitteredWait() time.Duration {
	if rq.Wait < 16 {
		return rq.Wait
	}
	return rq.Wait + rand.N(rq.Wait/16)
}

func token(r *http.Request) string {
	if t := strings.TrimSpace(r.Header.Get("X-Nomad-Token")); t != "" {
		return t
	}
	if t, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return strings.TrimSpace(t)
	}
	return ""
}

// arg is a path parameter.
func (rq *request) arg(name string) string { return rq.params[name] }

// str is a query parameter.
func (rq *request) str(name string) string {
	if v := rq.query[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// flag is a boolean query parameter; present without a value means true.
func (rq *request) flag(name string, otherwise bool) (bool, error) {
	v, ok := rq.query[name]
	if !ok {
		return otherwise, nil
	}
	if v[0] == "" {
		return true, nil
	}
	b, err := strconv.ParseBool(v[0])
	if err != nil {
		return false, rpc.Errorf(rpc.ErrInvalid, "Failed to parse value of %q (%v) as a bool", name, v[0])
	}
	return b, nil
}

// number is an integer query parameter.
func (rq *request) number(name string, otherwise int64) (int64, error) {
	s := rq.str(name)
	if s == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, rpc.Errorf(rpc.ErrInvalid, "%s must be an integer, got %q", name, s)
	}
	return n, nil
}

// raw reads the body up to maxBody.
func (rq *request) raw() ([]byte, error) {
	b, err := io.ReadAll(http.MaxBytesReader(rq.w, rq.Body, maxBody))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return nil, &httpError{http.StatusRequestEntityTooLarge,
				fmt.Sprintf("request body is larger than the limit of %d bytes", tooLarge.Limit)}
		}
		return nil, rpc.Errorf(rpc.ErrInvalid, "read request body: %v", err)
	}
	return b, nil
}

// body decodes a JSON body. An empty one leaves v as it is when optional.
func (rq *request) body(v any, optional bool) error {
	b, err := rq.raw()
	if err != nil {
		return err
	}
	if len(strings.TrimSpace(string(b))) == 0 {
		if optional {
			return nil
		}
		return rpc.Errorf(rpc.ErrInvalid, "request has an empty body")
	}
	if err := json.Unmarshal(b, v); err != nil {
		return rpc.Errorf(rpc.ErrInvalid, "%s", jsonError(err))
	}
	return nil
}

// jsonError says which key was wrong.
func jsonError(err error) string {
	var te *json.UnmarshalTypeError
	if errors.As(err, &te) {
		return fmt.Sprintf("%s: expected %s, got %s", te.Field, te.Type, te.Value)
	}
	var se *json.SyntaxError
	if errors.As(err, &se) {
		return fmt.Sprintf("invalid JSON at byte %d: %v", se.Offset, se)
	}
	return err.Error()
}

// onlyIndex answers a write that has nothing to say but its index.
func (rq *request) onlyIndex(resp *server.IndexResponse, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	rq.wrote(resp.Index)
	return nil, nil
}
