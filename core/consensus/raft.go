package consensus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"

	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/core/state"
)

// Config is what a server's part in the group needs.
type Config struct {
	// Dir is where the log, the term and snapshots are kept; "" keeps them in memory.
	Dir string
	// ServerID names this server in the group, for ever.
	ServerID string
	// Listener accepts raft connections of the other servers, Advertise is where those reach it.
	Listener  net.Listener
	Advertise net.Addr
	// Security is that of connections to the other servers; nil: plain text.
	Security *rpc.Security
	// Bootstrap makes a new group with this server as its only member when Dir holds none yet. Without it the server
	// waits for Found, or for a leader that adds it to a group.
	Bootstrap bool
	Store     *state.Store
	Logger    hclog.Logger
	Timing    Timing
}

// Timing decides how fast a group notices that its leader is gone.
type Timing struct {
	Heartbeat time.Duration // a follower that hears nothing for up to twice this stands for election
	Lease     time.Duration // a leader that reaches no majority for this long steps down; at most Heartbeat

	// Snapshot takes a snapshot after this many entries; Trailing of them are kept for servers that lag behind.
	Snapshot uint64
	Trailing uint64
}

// SingleTiming is for a group of one server: nobody else can lead, so it need not wait long before it does.
func SingleTiming() Timing {
	return Timing{Heartbeat: 100 * time.Millisecond, Lease: 100 * time.Millisecond, Snapshot: 8192, Trailing: 1024}
}

// GroupTiming is for several servers in one data center. A follower stands for election after 300 to 600 ms of silence.
// Heartbeats wait for no disk, so a slow one does not cost leadership; only a machine that stands still for that long,
// or a network that holds packets back for that long, does.
func GroupTiming() Timing {
	return Timing{Heartbeat: 300 * time.Millisecond, Lease: 300 * time.Millisecond, Snapshot: 8192, Trailing: 10240}
}

// Raft is this server's part in the group.
type Raft struct {
	raft   *raft.Raft
	disk   *diskStore // nil in memory
	logger hclog.Logger
	store  *state.Store
	id     string
	addr   raft.ServerAddress

	closeStore func() error
	lock       *DirLock
	once       sync.Once
	closeErr   error
}

// keepSnapshots is how many snapshots stay on disk: the last one and, should that be damaged, the one before.
const keepSnapshots = 2

// Open joins, continues or founds a group. It refuses a directory that another process uses.
func Open(cfg Config) (_ *Raft, err error) {
	if cfg.Timing == (Timing{}) {
		cfg.Timing = SingleTiming()
	}
	r := &Raft{logger: cfg.Logger.Named("raft"), store: cfg.Store, id: cfg.ServerID, closeStore: func() error { return nil }}
	defer func() {
		if err != nil {
			r.closeStores()
		}
	}()
	var logs raft.LogStore
	var stable raft.StableStore
	var snaps raft.SnapshotStore
	if cfg.Dir == "" {
		mem := raft.NewInmemStore()
		logs, stable, snaps = mem, mem, raft.NewInmemSnapshotStore()
		cfg.Timing.Snapshot, cfg.Timing.Trailing = min(cfg.Timing.Snapshot, 2048), min(cfg.Timing.Trailing, 64)
	} else {
		if err := r.openDisk(cfg.Dir); err != nil {
			return nil, err
		}
		logs, stable = r.disk, r.disk
		if snaps, err = raft.NewFileSnapshotStoreWithLogger(cfg.Dir, keepSnapshots, r.logger.Named("snapshot")); err != nil {
			return nil, fmt.Errorf("open snapshots in %s: %w", cfg.Dir, err)
		}
	}
	trans := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: streams{cfg.Listener, cfg.Advertise, cfg.Security}, MaxPool: 3, Timeout: 10 * time.Second, Logger: r.logger.Named("net"),
	})
	r.addr = trans.LocalAddr()
	conf := raft.DefaultConfig()
	conf.LocalID = raft.ServerID(cfg.ServerID)
	conf.Logger = r.logger
	conf.HeartbeatTimeout, conf.ElectionTimeout, conf.LeaderLeaseTimeout = cfg.Timing.Heartbeat, cfg.Timing.Heartbeat, cfg.Timing.Lease
	conf.SnapshotThreshold, conf.TrailingLogs = cfg.Timing.Snapshot, cfg.Timing.Trailing
	conf.NoLegacyTelemetry = true

	if cfg.Dir != "" {
		if err := r.recoverGroup(cfg.Dir, conf, logs, stable, snaps, trans); err != nil {
			trans.Close()
			return nil, err
		}
	}
	if cfg.Bootstrap {
		exists, err := raft.HasExistingState(logs, stable, snaps)
		if err != nil {
			return nil, fmt.Errorf("read raft state in %s: %w", cfg.Dir, err)
		}
		if !exists {
			group := raft.Configuration{Servers: []raft.Server{{ID: conf.LocalID, Address: trans.LocalAddr()}}}
			if err := raft.BootstrapCluster(conf, logs, stable, snaps, trans, group); err != nil {
				return nil, fmt.Errorf("found a raft group: %w", err)
			}
		}
	}
	if r.raft, err = raft.NewRaft(conf, machine{cfg.Store}, logs, stable, snaps, trans); err != nil {
		trans.Close()
		return nil, fmt.Errorf("start raft: %w", err)
	}
	return r, nil
}

func (r *Raft) openDisk(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the raft directory: %w", err)
	}
	var err error
	if r.lock, err = LockDir(dir); err != nil {
		return err
	}
	path := filepath.Join(dir, "raft.db")
	if err := checkLog(path); err != nil {
		return err
	}
	db, err := raftboltdb.New(raftboltdb.Options{
		Path:        path,
		BoltOptions: &bbolt.Options{Timeout: 2 * time.Second, NoFreelistSync: true, FreelistType: bbolt.FreelistMapType},
	})
	if err != nil {
		return fmt.Errorf("open the raft log %s: %w", path, err)
	}
	r.disk = &diskStore{dir: dir, logger: r.logger, inner: db, closed: make(chan struct{})}
	r.closeStore = db.Close
	return nil
}

// enqueueTimeout bounds the wait for raft to take an entry at all: raft's own loop stands still while a full disk keeps
// it from writing.
const enqueueTimeout = 5 * time.Second

// Apply appends an entry and returns its index and result once this server has applied it. An error of class
// rpc.ErrNoLeader says that the entry may or may not have been applied, unless the server was no leader to begin with.
// Errors that applying gave (conflicts, unknown objects) say that nothing was changed.
func (r *Raft) Apply(ctx context.Context, e Entry) (uint64, any, error) {
	e.stamp(time.Now())
	data, err := Encode(e)
	if err != nil {
		return 0, nil, err
	}
	if len(data) > rpc.MaxMessage {
		return 0, nil, rpc.Errorf(rpc.ErrExhausted, "log entry %T has %d bytes, more than the limit of %d", e, len(data), rpc.MaxMessage)
	}
	f := r.raft.Apply(data, enqueueTimeout)
	if err := wait(ctx, f); err != nil {
		return 0, nil, r.explain(fmt.Sprintf("%T", e), err)
	}
	out := f.Response().(outcome)
	return f.Index(), out.value, out.err
}

// wait waits for a raft future or the context.
func wait(ctx context.Context, f raft.Future) error {
	if ctx.Done() == nil {
		return f.Error()
	}
	done := make(chan error, 1)
	go func() { done <- f.Error() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// explain gives raft's errors the class and text that callers show.
func (r *Raft) explain(what string, err error) error {
	if full := r.DiskError(); full != nil {
		return &rpc.Error{Class: rpc.ErrExhausted, Text: full.Error()}
	}
	switch {
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipLost),
		errors.Is(err, raft.ErrLeadershipTransferInProgress), errors.Is(err, raft.ErrEnqueueTimeout),
		errors.Is(err, raft.ErrRaftShutdown), errors.Is(err, raft.ErrAbortedByRestore):
		return &rpc.Error{Class: rpc.ErrNoLeader, Text: rpc.ErrNoLeader.Error()}
	}
	return fmt.Errorf("apply %s: %w", what, err)
}

// DiskError tells why the log cannot be written at present, nil when it can.
func (r *Raft) DiskError() error {
	if r.disk == nil {
		return nil
	}
	return r.disk.err()
}

// Barrier waits until every entry before it is applied.
func (r *Raft) Barrier(ctx context.Context) error {
	if err := wait(ctx, r.raft.Barrier(enqueueTimeout)); err != nil {
		return r.explain("barrier", err)
	}
	return nil
}

// LeaderCh tells when this server becomes leader (true) or stops being it (false). A reader that is late sees the
// last state only.
func (r *Raft) LeaderCh() <-chan bool { return r.raft.LeaderCh() }

// IsLeader tells whether this server leads.
func (r *Raft) IsLeader() bool { return r.raft.State() == raft.Leader }

// Leader returns the leader's address and ID, both empty while there is none.
func (r *Raft) Leader() (addr, id string) {
	a, i := r.raft.LeaderWithID()
	return string(a), string(i)
}

// Raft is the library's own handle, for what only looks at the group or changes its members.
func (r *Raft) Raft() *raft.Raft { return r.raft }

// Member tells whether this server belongs to a group, even if it hears nothing of it at present.
func (r *Raft) Member() bool {
	servers, _, err := r.Servers()
	return err == nil && len(servers) > 0
}

// Found makes a new group of these servers, this one among them. Only one of them may do so.
func (r *Raft) Found(servers []raft.Server) error {
	if err := r.raft.BootstrapCluster(raft.Configuration{Servers: servers}).Error(); err != nil {
		return fmt.Errorf("found a raft group: %w", err)
	}
	return nil
}

// Self is this server as a member of a group.
func (r *Raft) Self() raft.Server {
	return raft.Server{ID: raft.ServerID(r.id), Address: r.addr}
}

// VerifyLeader makes sure, by asking a majority, that nobody else leads.
func (r *Raft) VerifyLeader(ctx context.Context) error {
	if err := wait(ctx, r.raft.VerifyLeader()); err != nil {
		return r.explain("verify leadership", err)
	}
	return nil
}

// Contact is how long ago this server heard of the leader: 0 on the leader, negative if never.
func (r *Raft) Contact() time.Duration {
	if r.IsLeader() {
		return 0
	}
	last := r.raft.LastContact()
	if last.IsZero() {
		return -1
	}
	return time.Since(last)
}

// LastTerm is that of the last entry in the log.
func (r *Raft) LastTerm() uint64 {
	term, err := strconv.ParseUint(r.raft.Stats()["last_log_term"], 10, 64)
	if err != nil {
		return 0
	}
	return term
}

// LastIndex is that of the last entry in the log.
func (r *Raft) LastIndex() uint64 { return r.raft.LastIndex() }

// Stats are raft's own figures.
func (r *Raft) Stats() map[string]string { return r.raft.Stats() }

// Servers returns the group's members.
func (r *Raft) Servers() ([]raft.Server, uint64, error) {
	f := r.raft.GetConfiguration()
	if err := f.Error(); err != nil {
		return nil, 0, fmt.Errorf("read the raft configuration: %w", err)
	}
	return f.Configuration().Servers, f.Index(), nil
}

// Save writes a snapshot of everything applied so far and returns its index.
func (r *Raft) Save(w io.Writer) (uint64, error) {
	snap := r.store.Snapshot()
	return snap.Index(), snap.Persist(w)
}

// Restore replaces the state of the whole group by a snapshot that Save wrote.
func (r *Raft) Restore(ctx context.Context, src io.Reader, size int64, index uint64) error {
	meta := &raft.SnapshotMeta{Version: raft.SnapshotVersionMax, ID: "restore", Index: max(index, 1), Term: 1, Size: size}
	if err := r.raft.Restore(meta, src, time.Minute); err != nil {
		return r.explain("snapshot", err)
	}
	return ctx.Err()
}

// TransferTo hands leadership to this server.
func (r *Raft) TransferTo(to raft.Server) error {
	if err := r.raft.LeadershipTransferToServer(to.ID, to.Address).Error(); err != nil {
		return fmt.Errorf("hand leadership over to %s: %w", to.Address, err)
	}
	return nil
}

// Remove takes a server out of the group.
func (r *Raft) Remove(ctx context.Context, id string) error {
	if err := wait(ctx, r.raft.RemoveServer(raft.ServerID(id), 0, 0)); err != nil {
		return r.explain("remove server "+id, err)
	}
	return nil
}

// TransferLeadership hands leadership to another server, if there is one.
func (r *Raft) TransferLeadership() error {
	if err := r.raft.LeadershipTransfer().Error(); err != nil {
		return fmt.Errorf("hand over leadership: %w", err)
	}
	return nil
}

// Close ends this server's part and frees the directory.
func (r *Raft) Close() error {
	r.once.Do(func() {
		if r.disk != nil {
			close(r.disk.closed)
		}
		if err := r.raft.Shutdown().Error(); err != nil {
			r.closeErr = fmt.Errorf("stop raft: %w", err)
		}
		if err := r.closeStores(); r.closeErr == nil {
			r.closeErr = err
		}
	})
	return r.closeErr
}

func (r *Raft) closeStores() error {
	err := r.closeStore()
	if r.lock != nil {
		r.lock.Unlock()
	}
	return err
}
