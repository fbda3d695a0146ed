package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"time"

	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/core/server"
)

// Every agent answers every request: what needs the leader, or a node that is connected to another server, is passed on
// to that server's RPC port, on connections that begin with rpc.TagHTTP. An agent without a server passes everything on
// that is not about itself.

// ownRoutes are answered by the agent that was asked: they are about it, or every agent knows the answer.
var ownRoutes = []string{"/v1/agent/", "/v1/metrics", "/v1/status/", "/v1/regions", "/v1/jobs/parse", "/v1/operator/license"}

// aboutSelf tells whether a request is answered by an agent that runs no server.
func aboutSelf(path string) bool {
	switch path {
	case "/v1/agent/join", "/v1/agent/force-leave", "/v1/agent/members":
		return false
	}
	return strings.HasPrefix(path, "/v1/agent/") || path == "/v1/metrics" || path == "/v1/jobs/parse"
}

// needsLeader tells whether only the leader can answer a request: every write, and reads unless a stale answer is good
// enough. Requests about what runs on a node are answered by the server that the node is connected to.
func needsLeader(rq *request) bool {
	path := rq.URL.Path
	for _, own := range ownRoutes {
		if strings.HasPrefix(path, own) {
			return false
		}
	}
	if strings.HasPrefix(path, "/v1/client/") || path == "/v1/event/stream" {
		return false
	}
	return rq.Method != http.MethodGet && rq.Method != http.MethodHead || !rq.Stale
}

// forwardedKey marks connections of other agents.
type forwardedKey struct{}

// callerKey is where the state of the connection is.
type callerKey struct{}

// forwardedHeader marks, on such a connection, what another server passed on: it is not passed on again, so that servers
// that disagree about the leader do not do so for ever. What agents without a server pass on is not marked.
const forwardedHeader = "Drover-Forwarded"

// The marks: who passed a request on.
const (
	byGroup  = "1"      // a server of the same region
	byRegion = "region" // one of another, so that it may be passed on once more here
)

func isForwarded(r *http.Request) bool {
	mark := markOf(r)
	return mark != "" && mark != byRegion
}

// markOf is how another server marked a request, "" if none did.
func markOf(r *http.Request) string {
	if r.Context().Value(forwardedKey{}) == nil {
		return ""
	}
	return r.Header.Get(forwardedHeader)
}

// way is how requests reach other servers.
type way struct {
	transport http.RoundTripper
	mark      string // "" for an agent without a server
}

// group is the way to the servers of this region.
func (a *API) group() way {
	if a.srv == nil {
		return way{a.servers, ""}
	}
	return way{a.servers, byGroup}
}

// elsewhere is the server that must answer a request; "" is this one.
func (a *API) elsewhere(rq *request) (string, error) {
	if !needsLeader(rq) {
		return "", nil
	}
	addr, here, err := a.srv.AwaitLeader(rq.Context())
	switch {
	case err != nil:
		return "", err
	case here:
		if _, consistent := rq.query["consistent"]; consistent {
			return "", a.srv.Consistent(rq.Context())
		}
		return "", nil
	case isForwarded(rq.Request):
		return "", &rpc.Error{Class: rpc.ErrNoLeader, Text: rpc.ErrNoLeader.Error()}
	}
	return addr, nil
}

// maxReplay bounds how much of a body is kept so that a request can be sent again, in bytes.
const maxReplay = maxBody

// retryForward is how long a request is sent again when the server it was meant for cannot be reached.
const retryForward = 5 * time.Second

// forward passes a request on to the server that next names, asked again when that one cannot be reached.
func (a *API) forward(w http.ResponseWriter, r *http.Request, by way, next func(context.Context) (string, error)) {
	if r.URL.Path == "/v1/operator/snapshot" && r.Method != http.MethodGet { // too large to be kept, and sent once only
		a.stream(w, r, by, next)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxReplay))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		http.Error(w, fmt.Sprintf("request body is larger than the limit of %d bytes", tooLarge.Limit), http.StatusRequestEntityTooLarge)
		return
	case err != nil:
		return // the caller went away
	}
	until := time.Now().Add(retryForward)
	for {
		addr, err := next(r.Context())
		if err != nil {
			(&request{Request: r, w: w}).fail(err)
			return
		}
		again := a.send(w, r, by, addr, bytes.NewReader(body), int64(len(body)), time.Now().Before(until))
		if !again {
			return
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-r.Context().Done():
			return
		}
	}
}

// stream passes a request on once, its body as it comes.
func (a *API) stream(w http.ResponseWriter, r *http.Request, by way, next func(context.Context) (string, error)) {
	addr, err := next(r.Context())
	if err != nil {
		(&request{Request: r, w: w}).fail(err)
		return
	}
	a.send(w, r, by, addr, r.Body, r.ContentLength, false)
}

// send passes a request on to one server. again says that it was not reached, and nothing was answered yet.
func (a *API) send(w http.ResponseWriter, r *http.Request, by way, addr string, body io.Reader, size int64, mayRetry bool) (again bool) {
	in := r.Clone(r.Context())
	in.Body, in.ContentLength = io.NopCloser(body), size
	proxy := httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host, p.Out.Host = "http", addr, p.In.Host
			p.SetXForwarded()
			p.Out.Header.Del(forwardedHeader) // only we say so, never who asked us
			if by.mark != "" {
				p.Out.Header.Set(forwardedHeader, by.mark)
			}
		},
		Transport:     by.transport,
		FlushInterval: -1,
		ErrorLog:      a.log.StandardLogger(nil),
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() != nil {
				return
			}
			unsent := errors.Is(err, errUnreachable)
			if mayRetry && (unsent || r.Method == http.MethodGet) {
				again = true
				return
			}
			a.log.Warn("request could not be passed on", "server", addr, "method", r.Method, "path", r.URL.Path, "error", err)
			if unsent {
				http.Error(w, "server "+addr+" cannot be reached: "+err.Error(), http.StatusInternalServerError)
				return
			}
			http.Error(w, "server "+addr+" did not answer; whether it did what was asked is not known: "+err.Error(), http.StatusInternalServerError)
		},
	}
	for name := range w.Header() {
		w.Header().Del(name)
	}
	proxy.ServeHTTP(w, in)
	return again
}

// errUnreachable says that no byte of a request was sent.
var errUnreachable = errors.New("not connected")

// newServers carries requests to other servers.
func newServers(security *rpc.Security) *http.Transport {
	return &http.Transport{
		DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
			defer cancel()
			conn, err := security.Dial(ctx, addr, rpc.TagHTTP)
			if err != nil {
				return nil, errors.Join(errUnreachable, err)
			}
			return conn, nil
		},
		MaxIdleConnsPerHost: 32,
		IdleConnTimeout:     30 * time.Second,
		DisableCompression:  true, // answers go on as they are
	}
}

// leaderOf asks for the leader's address until that is another server's.
func (a *API) leaderOf(ctx context.Context) (string, error) {
	addr, _, err := a.srv.AwaitLeader(ctx)
	return addr, err
}

// anyServer takes the servers that the node part knows in turn.
func (a *API) anyServer() func(context.Context) (string, error) {
	i := int(a.turn.Add(1))
	return func(context.Context) (string, error) {
		list := a.Agent.Servers()
		if len(list) == 0 {
			return "", rpc.Errorf(rpc.ErrNoPath, "this agent runs no server and knows none: set client.servers")
		}
		i++
		return list[i%len(list)], nil
	}
}

// forwardForNode passes a request on to the server that a node is connected to. It tells whether err asks for that.
func (a *API) forwardForNode(w http.ResponseWriter, r *http.Request, err error) bool {
	var at *server.NodeElsewhere
	if !errors.As(err, &at) || isForwarded(r) {
		return false
	}
	a.forward(w, r, a.group(), func(context.Context) (string, error) { return at.Addr, nil })
	return true
}

// withNode names this agent's own node in requests that are about a node and name none.
func (a *API) withNode(r *http.Request) {
	switch r.URL.Path {
	case "/v1/client/stats", "/v1/client/gc", "/v1/client/metadata", "/v1/client/plugins":
	default:
		return
	}
	q := r.URL.Query()
	if region := q.Get("region"); region != "" {
		if _, own, _ := a.Agent.Identity(); region != own {
			return
		}
	}
	if id := a.Agent.NodeID(); id != "" && q.Get("node_id") == "" {
		q.Set("node_id", id)
		r.URL.RawQuery = q.Encode()
	}
}

// keptBody gives a small body back after it was read, for requests that turn out to belong to another server.
type keptBody struct {
	io.ReadCloser
	read bytes.Buffer
}

func (k *keptBody) Read(p []byte) (int, error) {
	n, err := k.ReadCloser.Read(p)
	k.read.Write(p[:n])
	return n, err
}

// keepBody remembers what is read of the body of a request about a node.
func keepBody(r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/v1/client/") && r.Body != nil && r.Body != http.NoBody && !isForwarded(r) {
		r.Body = &keptBody{ReadCloser: r.Body}
	}
}

// rewound is the request as it was before its body was read.
func rewound(r *http.Request) *http.Request {
	if k, ok := r.Body.(*keptBody); ok {
		r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(k.read.Bytes()), k.ReadCloser))
	}
	return r
}
