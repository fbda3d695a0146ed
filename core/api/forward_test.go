package api

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
)

// nodeOnly is an agent that runs no server and knows one.
type nodeOnly struct {
	Agent
	server string
}

func (n nodeOnly) NodeID() string    { return "n1" }
func (n nodeOnly) Servers() []string { return []string{n.server} }

// What a caller says is not passed on as if this agent had said it: the server would not pass the request on any more.
func TestForwardedIsNotTakenFromOutside(t *testing.T) {
	got := make(chan *http.Request, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r }))
	defer server.Close()
	a := New(Config{Agent: nodeOnly{server: strings.TrimPrefix(server.URL, "http://")}, Logger: hclog.NewNullLogger()})
	a.servers = &http.Transport{}
	defer a.servers.CloseIdleConnections()

	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/client/stats", nil)
	r.Header.Set(forwardedHeader, "1")
	r.Header.Set("X-Nomad-Token", "kept")
	a.ServeHTTP(httptest.NewRecorder(), r)
	passed := <-got
	if v := passed.Header.Get(forwardedHeader); v != "" {
		t.Errorf("%s: %q was passed on", forwardedHeader, v)
	}
	if passed.Header.Get("X-Nomad-Token") != "kept" || passed.URL.Query().Get("node_id") != "n1" {
		t.Errorf("passed on as %s with %v", passed.URL, passed.Header)
	}
}
