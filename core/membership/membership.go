// Package membership is how servers find each other and notice that one is gone: gossip over serf, encrypted when a key
// is given. It knows nothing of raft; package server puts the two together.
package membership

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/memberlist"
	"github.com/hashicorp/serf/serf"
)

// Config is one server's part in the gossip.
type Config struct {
	Self Member

	// Bind and Advertise are host:port, TCP and UDP. "" for Advertise means the address bound.
	Bind      string
	Advertise string

	// Dir keeps what must survive a restart: whom to join again and the keys. "" keeps nothing.
	Dir string
	// Key encrypts the gossip: 16, 24 or 32 bytes in base64. Once a keyring is in Dir, that counts. "" is plain text.
	Key string

	RejoinAfterLeave bool
	Logger           hclog.Logger
}

// Status of a member.
type Status string

// The statuses.
const (
	Alive   Status = "alive"
	Leaving Status = "leaving"
	Left    Status = "left"
	Failed  Status = "failed"
)

// Member is a server as the others see it.
type Member struct {
	ID         string // in the raft group
	Name       string
	Region     string
	Datacenter string
	Build      string // what existing clients compare against
	Expect     int    // servers it waits for before it founds a group; 0 joins one
	NonVoter   bool
	RPCAddr    string // host:port for servers and nodes

	Addr   net.IP // of the gossip
	Port   int
	Status Status
	Tags   map[string]string
}

// FullName is unique over all regions.
func (m *Member) FullName() string { return m.Name + "." + m.Region }

// Group is the running gossip.
type Group struct {
	serf   *serf.Serf
	events chan serf.Event
	logger hclog.Logger

	mu      sync.Mutex
	changed chan struct{}
	done    chan struct{}
}

// Open starts to gossip; nobody else is known until Join.
func Open(cfg Config) (_ *Group, err error) {
	g := &Group{events: make(chan serf.Event, 512), logger: cfg.Logger.Named("gossip"), changed: make(chan struct{}), done: make(chan struct{})}
	conf := serf.DefaultConfig()
	conf.Init()
	conf.NodeName = cfg.Self.FullName()
	conf.Tags = cfg.Self.tags()
	conf.EventCh = g.events
	conf.EnableNameConflictResolution = false
	conf.RejoinAfterLeave = cfg.RejoinAfterLeave
	conf.LeavePropagateDelay = time.Second
	conf.ProtocolVersion = 4
	logs := log.New(lines{g.logger}, "", 0)
	conf.Logger = logs
	m := memberlist.DefaultLANConfig()
	m.Logger = logs
	conf.MemberlistConfig = m
	if m.BindAddr, m.BindPort, err = split(cfg.Bind); err != nil {
		return nil, fmt.Errorf("ports.serf: %w", err)
	}
	if cfg.Advertise != "" {
		if m.AdvertiseAddr, m.AdvertisePort, err = split(cfg.Advertise); err != nil {
			return nil, fmt.Errorf("advertise.serf: %w", err)
		}
	}
	if cfg.Dir != "" {
		if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
			return nil, fmt.Errorf("make the gossip's directory: %w", err)
		}
		conf.SnapshotPath = filepath.Join(cfg.Dir, "members.snapshot")
		conf.KeyringFile = filepath.Join(cfg.Dir, "keyring")
	}
	if m.Keyring, err = keyring(conf.KeyringFile, cfg.Key); err != nil {
		return nil, err
	}
	if m.Keyring == nil {
		conf.KeyringFile = ""
	}
	if err := tryUDP(cfg.Bind); err != nil {
		return nil, err
	}
	if g.serf, err = serf.Create(conf); err != nil {
		return nil, fmt.Errorf("gossip on %s: %w", cfg.Bind, err)
	}
	go g.watch()
	return g, nil
}

// ErrNoUDP says that this system has no UDP sockets that can be used. Wine is such a system.
var ErrNoUDP = errors.New("this system has no UDP sockets of the kind that the gossip needs")

// tryUDP finds out whether packets can be received at all: the library below tells only a text.
func tryUDP(addr string) error {
	conn, err := net.ListenPacket("udp", addr)
	switch {
	case err == nil:
		return conn.Close()
	case unsupported(err):
		return fmt.Errorf("gossip on %s: %w: %w", addr, ErrNoUDP, err)
	}
	return fmt.Errorf("gossip on %s (ports.serf): %w", addr, err)
}

func split(addr string) (string, int, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, err
	}
	n, err := strconv.Atoi(port)
	if err != nil || n < 0 || n > 65535 {
		return "", 0, fmt.Errorf("%q is no port", port)
	}
	if net.ParseIP(host) == nil {
		ips, err := net.LookupIP(host)
		if err != nil || len(ips) == 0 {
			return "", 0, fmt.Errorf("address of %q: %w", host, err)
		}
		host = ips[0].String()
	}
	return host, n, nil
}

// keyring reads the kept keys; the configured one only founds them. Nil is plain text.
func keyring(path, key string) (*memberlist.Keyring, error) {
	if path != "" {
		text, err := os.ReadFile(path)
		if err == nil {
			return parseKeyring(path, text)
		}
		if !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("read the gossip's keys: %w", err)
		}
	}
	if key == "" {
		return nil, nil
	}
	k, err := DecodeKey(key)
	if err != nil {
		return nil, fmt.Errorf("server.encrypt: %w", err)
	}
	ring, err := memberlist.NewKeyring(nil, k)
	if err != nil {
		return nil, fmt.Errorf("server.encrypt: %w", err)
	}
	if path != "" {
		if err := os.WriteFile(path, []byte(`["`+key+`"]`), 0o600); err != nil {
			return nil, fmt.Errorf("write the gossip's keys: %w", err)
		}
	}
	return ring, nil
}

// DecodeKey checks a gossip key.
func DecodeKey(key string) ([]byte, error) {
	k, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		return nil, errors.New("the key is no base64; make one with `drover operator gossip keyring generate`")
	}
	if err := memberlist.ValidateKey(k); err != nil {
		return nil, fmt.Errorf("the key has %d bytes: 16, 24 or 32 are needed; make one with `drover operator gossip keyring generate`", len(k))
	}
	return k, nil
}

// Join asks other servers for everyone they know. It returns how many answered; the error tells why the rest did not.
func (g *Group) Join(addrs []string) (int, error) { return g.serf.Join(addrs, true) }

// Members are all servers of all regions, also those that failed or left a while ago, by full name.
func (g *Group) Members() []Member {
	var out []Member
	for _, m := range g.serf.Members() {
		if m.Tags["role"] == role {
			out = append(out, member(m))
		}
	}
	slices.SortFunc(out, func(a, b Member) int { return strings.Compare(a.FullName(), b.FullName()) })
	return out
}

// Changed is closed when somebody came, went or changed.
func (g *Group) Changed() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.changed
}

func (g *Group) watch() {
	defer close(g.done)
	for {
		select {
		case e := <-g.events:
			if e, ok := e.(serf.MemberEvent); ok {
				for _, m := range e.Members {
					g.logger.Info("server "+strings.TrimPrefix(e.Type.String(), "member-"), "name", m.Name, "address", m.Addr.String(), "rpc", m.Tags["rpc_addr"]+":"+m.Tags["port"])
				}
				g.mu.Lock()
				close(g.changed)
				g.changed = make(chan struct{})
				g.mu.Unlock()
			}
		case <-g.serf.ShutdownCh():
			return
		}
	}
}

// ForceLeave has a failed server count as one that left; with prune it is forgotten at once.
func (g *Group) ForceLeave(name string, prune bool) error {
	if prune {
		return g.serf.RemoveFailedNodePrune(name)
	}
	return g.serf.RemoveFailedNode(name)
}

// Leave tells the others that this server goes for good.
func (g *Group) Leave(context.Context) error { return g.serf.Leave() }

// Close stops gossiping; the others see a failure unless Leave came before.
func (g *Group) Close() error {
	err := g.serf.Shutdown()
	<-g.done
	return err
}

// lines passes the gossip library's log lines on with their level.
type lines struct{ logger hclog.Logger }

func (l lines) Write(p []byte) (int, error) {
	text := strings.TrimSpace(string(p))
	level := hclog.Debug
	if strings.HasPrefix(text, "[") {
		if name, rest, ok := strings.Cut(text[1:], "]"); ok {
			text = strings.TrimSpace(rest)
			switch name {
			case "ERR", "ERROR":
				level = hclog.Error
			case "WARN":
				level = hclog.Warn
			}
		}
	}
	l.logger.Log(level, text)
	return len(p), nil
}
