package network

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/node/statedb"
	"github.com/droverhq/drover/core/node/taskrunner"
	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/network"
)

// plugins is a network plugin that does what it is told.
type plugins struct{ torn []string }

func (p *plugins) Network(context.Context, string) (Plugin, error)       { return p, nil }
func (p *plugins) NetworkPlugin(context.Context, string) (Plugin, error) { return p, nil }
func (p *plugins) Networks() []Plugin                                    { return []Plugin{p} }
func (p *plugins) Name() string                                          { return "test" }
func (p *plugins) Pid() int                                              { return 1 }

func (p *plugins) Setup(_ context.Context, a *network.Allocation, _ uint64) (*network.Status, error) {
	return &network.Status{AllocID: a.ID, NamespacePath: a.NamespacePath}, nil
}

func (p *plugins) Teardown(_ context.Context, r *network.TeardownRequest, _ uint64) error {
	p.torn = append(p.torn, r.AllocID)
	return nil
}

func (p *plugins) Reconcile(context.Context, []*network.Allocation, uint64) ([]network.Outcome, error) {
	return nil, nil
}

// engine is a driver that makes namespaces and fails to remove them a number of times.
type engine struct {
	taskrunner.Driver
	failures int
	dropped  chan time.Time // one per removal that went well
}

func (e *engine) CreateNetwork(context.Context, *driver.CreateNetworkRequest) (*driver.CreateNetworkResponse, error) {
	return nil, errors.New("nobody asks for it here")
}

func (e *engine) DestroyNetwork(context.Context, *driver.DestroyNetworkRequest) error {
	if e.failures > 0 {
		e.failures--
		return errors.New("the engine is away")
	}
	e.dropped <- time.Now()
	return nil
}

// drivers finds it.
type drivers struct {
	taskrunner.Drivers
	engine *engine
}

func (d drivers) Driver(context.Context, string) (taskrunner.Driver, error) { return d.engine, nil }

// TestNamespaceIsDroppedInTheEnd: a driver that could not remove its namespace is asked again until it could, and no more.
func TestNamespaceIsDroppedInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &engine{failures: 3, dropped: make(chan time.Time, 10)}
		p := &plugins{}
		m := New(Config{Plugins: p, Drivers: drivers{engine: e}, Now: time.Now, Logger: hclog.NewNullLogger(), Event: func(*model.NodeEvent) {}})
		m.Restore("a", &statedb.Network{Plugin: "test", Driver: "engine", Wanted: &network.Allocation{ID: "a", NamespacePath: "/ns"}})
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan struct{})
		go func() {
			defer close(over)
			m.Run(ctx)
		}()
		if err := m.Teardown(ctx, "a"); err == nil || len(p.torn) != 1 {
			t.Errorf("the first attempt: %v, torn down %v", err, p.torn)
		}
		begin := time.Now()
		if took := (<-e.dropped).Sub(begin); took > 3*dropInterval {
			t.Errorf("it was gone after %s", took)
		}
		time.Sleep(5 * dropInterval)
		if n := len(e.dropped); n > 0 {
			t.Errorf("it was removed %d times more", n)
		}
		cancel()
		<-over
	})
}
