package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/droverhq/drover/core/rpc"
)

// A request with ?region= of another region is passed on to any server of that region, which passes it on to its leader
// if need be. All regions gossip in one pool, so every server knows every other one.

// regions keeps one transport for each other region, because the name expected in a server's certificate is part of it.
type regions struct {
	mu sync.Mutex
	to map[string]*http.Transport
}

// transport is only asked for regions that gossip knows, which bounds how many there are.
func (r *regions) transport(region string, security *rpc.Security) *http.Transport {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.to == nil {
		r.to = map[string]*http.Transport{}
	}
	if r.to[region] == nil {
		r.to[region] = newServers(security.InRegion(region))
	}
	return r.to[region]
}

// abroad tells whether a request is for another region. What is about the agent that is asked, and what every agent
// knows, has no region.
func (a *API) abroad(rq *request) bool {
	if rq.Region == "" || strings.HasPrefix(rq.URL.Path, "/v1/agent/") || aboutSelf(rq.URL.Path) || rq.URL.Path == "/v1/regions" {
		return false
	}
	_, own, _ := a.Agent.Identity()
	return rq.Region != own
}

// toRegion passes a request on to a server of its region. An error says that nothing was answered yet.
func (a *API) toRegion(rq *request) error {
	if markOf(rq.Request) != "" {
		_, own, _ := a.Agent.Identity()
		return fmt.Errorf("No path to region %q: the server that was asked for it is of region %q", rq.Region, own)
	}
	addrs, err := a.srv.RegionServers(rq.Region)
	if err != nil {
		return err
	}
	turn := 0 // one after the other: the first may be gone by now
	a.forward(rq.w, rq.Request, way{a.abroads.transport(rq.Region, a.Security), byRegion}, func(context.Context) (string, error) {
		turn++
		return addrs[turn%len(addrs)], nil
	})
	return nil
}
