// Package network is what an author of a network plugin implements: it offers network modes and gives allocations their
// networks.
//
//	func main() {
//		plugin.Serve(network.New(network.Info{Name: "fabric", Version: "0.1.0"}, &fabric{}))
//	}
package network

import (
	"context"
	"time"

	"github.com/droverhq/drover/sdk/plugin"
)

// Network offers modes and sets up networks.
//
// # Vocabulary
//
//   - A mode is what a job writes into network { mode = "..." }: "bridge", "none", "cni/<name>". "host" is nobody's: such
//     tasks use the node's own network.
//   - An allocation's network is one network namespace that its tasks share, with an interface per network block in it.
//   - A port is a pair of numbers: what the scheduler chose on the host, and where it leads inside.
//   - Wanted is what the host says should exist; strays are what exists beyond that: an interface, a rule, a lease, a
//     namespace that belongs to an allocation of this owner that is not wanted.
//
// # Life
//
//	Init                   where to keep state, whose allocations these are
//	Offers                 these modes can be had; again and again
//	Setup(alloc)           before its tasks start; again after restarts of the agent, the plugin, the machine
//	Teardown(alloc)        after its tasks ended; again if it failed
//	List, Audit            at the agent's start and every minute, to find what is broken or left over
//
// A network plugin may be killed at any moment and is launched again; running tasks must not notice. So whatever an
// allocation's network consists of outlives the process, and what Teardown needs is written to Init's StateDir before the
// first thing is made.
//
// # What the SDK promises the author
//
// Setup, Teardown and Status of one allocation never overlap; those of different ones do. List and Audit are about all
// allocations and may come while any of them is being worked on: what they then see in part, the SDK leaves to whoever works
// on it, by the order of requests. An order that a later one has overtaken (a
// reconciliation that began before an allocation was torn down) is not carried out. Setup's Status is checked.
type Network interface {
	// Offers lists the modes that can be had on this node. It is called as soon as a host listens, then every 5 s (see
	// WithOffersInterval), and must be cheap. Modes that do not work at present stay listed, as not healthy and with the
	// reason: jobs that ask for them are not placed here, and operators see why. An error ends the stream.
	Offers(ctx context.Context) (*Offers, error)

	// Setup gives an allocation its network and returns how it came out. It must be repeatable: what is there and in order
	// stays untouched, so that open connections live on; what is missing or broken is made anew. An empty NamespacePath
	// means that the plugin makes the namespace, too; otherwise a driver made it. If it fails nothing may be left behind,
	// and the error says what a person has to do: it is shown as the reason why the allocation failed.
	Setup(ctx context.Context, a *Allocation) (*Status, error)

	// Teardown removes everything that belongs to the allocation's network: interfaces, rules, leases, and the namespace
	// if the plugin made it. It must be repeatable, must tolerate allocations that it has never heard of and namespaces
	// that are gone, and must go on after a part has failed. On error it is asked again.
	Teardown(ctx context.Context, r *TeardownRequest) error

	// Status returns how the allocation's network is; ErrUnknown if there is none.
	Status(ctx context.Context, allocID string) (*Status, error)

	// List returns the allocations of this owner of which anything exists, be it a single rule.
	List(ctx context.Context) ([]string, error)
}

// Info is what is known about a network plugin before it runs.
type Info struct {
	Name    string
	Version string // semantic version of the plugin
}

// Offers are the modes of a node. Attributes become attributes of the node.
type Offers struct {
	Modes      []Mode
	Attributes map[string]string
}

// Mode is one kind of network.
type Mode struct {
	Name        string // as jobs write it
	Healthy     bool
	Description string // why it is not healthy, or what it is
}

// Node is where the plugin finds itself.
type Node struct {
	StateDir string            // the plugin's own directory; it survives the plugin, the agent and the machine
	Owner    string            // the node's id: several nodes may share a machine
	Settings map[string]string // the node's network settings, by the names of the agent's configuration
}

// Allocation is what is wanted for one allocation.
type Allocation struct {
	ID            string
	NamespacePath string // "" = the plugin makes the namespace
	Networks      []Attachment
	Ports         []Port
}

// Attachment is one interface in the allocation's namespace.
type Attachment struct {
	Mode      string
	Interface string            // "" = the plugin chooses
	Args      map[string]string // from the job
	Addresses []string          // that are asked for; empty = the plugin chooses
}

// Port leads from the host into the namespace, for TCP and UDP.
type Port struct {
	Label    string
	HostIP   string // "" = every address of the host
	HostPort int
	Port     int    // inside
	Mode     string // of the network that it leads to
}

// Status is how an allocation's network is.
type Status struct {
	AllocID       string
	NamespacePath string
	Interfaces    []Interface
	DNS           DNS // what the network says about name servers; zero = nothing
	Healthy       bool
	Description   string
}

// Interface is one interface of an allocation.
type Interface struct {
	Name      string
	Mode      string
	MAC       string
	Addresses []string // with the length of the prefix: "172.26.64.5/20"
	Gateways  []string
}

// DNS is what a resolver should use.
type DNS struct{ Servers, Searches, Options []string }

// TeardownRequest names what goes. NamespacePath is set if a driver made the namespace.
type TeardownRequest struct {
	AllocID       string
	NamespacePath string
}

// Action is what was done about an allocation's network that was not as it should be.
type Action int32

// The actions. The numbers are the wire's.
const (
	Repaired Action = 1
	Removed  Action = 2
	Failed   Action = 3
)

// String returns repaired, removed, failed or unknown.
func (a Action) String() string {
	switch a {
	case Repaired:
		return "repaired"
	case Removed:
		return "removed"
	case Failed:
		return "failed"
	}
	return "unknown"
}

// Outcome is one finding of a reconciliation and what was done about it.
type Outcome struct {
	AllocID string
	Action  Action
	Reason  string
}

// Finding is a network that is not as it should be.
type Finding struct {
	AllocID string
	Reason  string
}

// WithConfig is for plugins that take configuration, from the agent's plugin block. Return
// plugin.Configure(p.configure).
type WithConfig interface {
	Config() plugin.ConfigHandler
}

// WithInit is for plugins that keep state or need the node's settings.
type WithInit interface {
	// Init comes before all other calls but SetConfig, and again when a new agent connects to the same process.
	Init(ctx context.Context, n *Node) error
}

// WithOffersInterval changes how often Offers is called.
type WithOffersInterval interface {
	// OffersInterval is asked once per stream; 0 and less mean 5 s.
	OffersInterval() time.Duration
}

// WithAudit is for plugins that can look at many networks at once. Without it Setup is called for each.
type WithAudit interface {
	// Audit looks at the wanted networks and returns those that are not as they should be; it does not touch them. What is
	// left over and can be told to belong to no allocation at all it may remove.
	Audit(ctx context.Context, wanted []*Allocation) ([]Finding, error)
}
