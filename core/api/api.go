package api

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/core/server"
	"github.com/droverhq/drover/core/state"
)

// Agent is what the API needs to know of the process it runs in.
type Agent interface {
	// Self is the answer of /v1/agent/self: configuration without secrets, member, statistics.
	Self() map[string]any
	// Name, Region and Datacenter of this agent.
	Identity() (name, region, datacenter string)
	// Version is what existing clients compare against.
	Version() string
	// NodeID of the node part, "" without one.
	NodeID() string
	// Health tells whether each part that runs is well; a nil pointer means the part does not run here.
	Health() (server, client *PartHealth)
	// Servers are the RPC addresses the node part uses.
	Servers() []string
	// Reload reads the configuration again. With a plugin's name only what concerns that is applied.
	Reload(plugin string) error
	// Metrics in the API's own form and in Prometheus' text form.
	Metrics() http.Handler
	// Monitor hands out log lines of at least level from the moment it returns, until stop is called.
	Monitor(level hclog.Level, json bool) (lines <-chan []byte, stop func())
}

// PartHealth is one part of /v1/agent/health.
type PartHealth struct {
	OK      bool   `json:"ok"`
	Message string `json:"message"`
}

// Config is what New needs.
type Config struct {
	Server      *server.Server // nil: this agent only runs a node, and passes on what is not about itself
	Agent       Agent
	Logger      hclog.Logger
	EnableDebug bool
	Headers     map[string]string // added to every answer
	Security    *rpc.Security     // of connections between agents; nil: plain text
}

// API answers HTTP.
type API struct {
	Config
	srv   *server.Server
	table *table
	log   hclog.Logger

	servers *http.Transport // to the API of servers
	turn    atomic.Int64    // which of them is next
	abroads regions         // to those of other regions
}

// New returns the handler of the HTTP API.
func New(c Config) *API {
	a := &API{Config: c, srv: c.Server, log: c.Logger.Named("http"), servers: newServers(c.Security)}
	a.table = newTable(a.routes())
	return a
}

// ServeHTTP finds the route, parses what all requests have in common, and sends what the handler answers.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler {
				panic(p)
			}
			a.log.Error("request handler failed; this is a defect", "method", r.Method, "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
			http.Error(w, "internal error: the agent's log has the details", http.StatusInternalServerError)
		}
		a.log.Debug("request", "method", r.Method, "path", r.URL.Path, "duration", time.Since(start))
	}()
	if fromForeignPage(r) {
		http.Error(w, "refused: a web page of another origin may not change anything here", http.StatusForbidden)
		return
	}
	if caller, _ := r.Context().Value(callerKey{}).(*tls.ConnectionState); !a.Security.IsServer(caller) {
		r.Header.Del(forwardedHeader)
	}
	if a.srv == nil && !aboutSelf(r.URL.Path) {
		a.withNode(r)
		a.forward(w, r, a.group(), a.anyServer())
		return
	}
	for k, v := range a.Headers {
		w.Header().Set(k, v)
	}
	if r.URL.Path == "/" {
		http.Redirect(w, r, "/ui/", http.StatusTemporaryRedirect)
		return
	}
	route, params, known := a.table.find(r.Method, r.URL.EscapedPath())
	if route == nil {
		if known {
			http.Error(w, "Invalid method", http.StatusMethodNotAllowed)
			return
		}
		w.WriteHeader(http.StatusNotFound)
		return
	}
	cors(w, r)
	rq, err := parseRequest(w, r, params)
	if err != nil {
		(&request{Request: r, w: w}).fail(err)
		return
	}
	if a.abroad(rq) {
		if err := a.toRegion(rq); err != nil {
			a.headers(rq)
			rq.fail(err)
		}
		return
	}
	if a.srv != nil {
		addr, err := a.elsewhere(rq)
		if err != nil {
			a.headers(rq)
			rq.fail(err)
			return
		}
		if addr != "" {
			a.forward(w, r, a.group(), a.leaderOf)
			return
		}
		keepBody(r)
	}
	v, err := route.handler(rq)
	if err != nil && a.forwardForNode(w, rewound(r), err) {
		return
	}
	if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
		return // the caller went away
	}
	if err != nil {
		if statusOf(err) >= 500 && !errors.Is(err, rpc.ErrNoLeader) {
			a.log.Debug("request failed", "method", r.Method, "path", r.URL.Path, "error", err)
		}
		a.headers(rq)
		rq.fail(err)
		return
	}
	if _, done := v.(written); done {
		return
	}
	a.headers(rq)
	rq.send(v)
}

func (a *API) headers(rq *request) {
	if a.srv == nil {
		return
	}
	rq.setMeta(a.srv.Leader() != "", max(0, a.srv.Contact().Milliseconds()))
}

// cors lets web pages of other origins read what the node serves of allocations.
func cors(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/v1/client/") || strings.HasPrefix(r.URL.Path, "/v1/var") {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Access-Control-Allow-Methods", "GET, HEAD")
		w.Header().Set("Access-Control-Allow-Headers", "X-Nomad-Token")
	}
}

// read runs fn on a snapshot, again on each change when the caller blocks on an index, and notes the index of the
// given tables as the answer's; fn may replace it by that of the one object it shows.
func (a *API) read(rq *request, tables []state.Table, fn func(*state.Snapshot) (any, error)) (any, error) {
	ctx, cancel := context.WithTimeout(rq.Context(), rq.jitteredWait())
	defer cancel()
	var out any
	err := a.srv.State().Blocking(ctx, rq.MinIndex, func(s *state.Snapshot) (uint64, error) {
		rq.meta.index = s.TableIndex(tables...)
		v, err := fn(s)
		if err != nil {
			return 0, err
		}
		out = v
		return rq.meta.index, nil
	})
	return out, err
}

// shows notes that the answer is one object, last changed at index: a caller that blocks on it is not woken by others.
func (rq *request) shows(index uint64) { rq.meta.index = index }

// wrote notes the index of a write.
func (rq *request) wrote(index uint64) { rq.meta.index = index }

// ServeForwarded answers what other agents pass on, on connections that are already known to carry HTTP.
func (a *API) ServeForwarded(ctx context.Context, ln net.Listener) error {
	return a.Serve(context.WithValue(ctx, forwardedKey{}, true), ln)
}

// Serve answers on ln until ctx ends, then lets running requests finish for a moment.
func (a *API) Serve(ctx context.Context, ln net.Listener) error {
	srv := &http.Server{
		Handler:           a,
		ReadHeaderTimeout: 10 * time.Second,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          a.log.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, callerKey{}, rpc.StateOf(c))
		},
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if srv.Shutdown(grace) != nil {
			srv.Close()
		}
	}()
	err := srv.Serve(ln)
	if errors.Is(err, http.ErrServerClosed) {
		<-done
		return nil
	}
	return err
}
