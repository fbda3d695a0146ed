package conformance_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/droverhq/drover/sdk/network"
)

// paper is a network plugin whose networks exist as files only.
type paper struct{ dir string }

var _ network.WithInit = (*paper)(nil)

func (p *paper) Init(_ context.Context, n *network.Node) error {
	p.dir = n.StateDir
	return nil
}

func (p *paper) Offers(context.Context) (*network.Offers, error) {
	return &network.Offers{Modes: []network.Mode{{Name: "paper", Healthy: true}}}, nil
}

func (p *paper) file(id string) string { return filepath.Join(p.dir, id+".json") }

func (p *paper) Setup(ctx context.Context, a *network.Allocation) (*network.Status, error) {
	if mode := a.Networks[0].Mode; mode != "paper" {
		return nil, fmt.Errorf("mode %q is not offered here", mode)
	}
	if s, err := p.Status(ctx, a.ID); err == nil {
		return s, nil
	}
	s := &network.Status{AllocID: a.ID, NamespacePath: "/proc/self/ns/net", Healthy: true,
		Interfaces: []network.Interface{{Name: "eth0", Mode: "paper", Addresses: []string{"192.0.2.7/24"}}}}
	text, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	return s, os.WriteFile(p.file(a.ID), text, 0o600)
}

func (p *paper) Teardown(_ context.Context, r *network.TeardownRequest) error {
	if err := os.Remove(p.file(r.AllocID)); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func (p *paper) Status(_ context.Context, id string) (*network.Status, error) {
	text, err := os.ReadFile(p.file(id))
	if errors.Is(err, os.ErrNotExist) {
		return nil, network.ErrUnknown
	}
	s := new(network.Status)
	return s, errors.Join(err, json.Unmarshal(text, s))
}

func (p *paper) List(context.Context) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(p.dir, "*.json"))
	for i := range files {
		files[i] = strings.TrimSuffix(filepath.Base(files[i]), ".json")
	}
	return files, err
}
