package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/go-hclog"
	autopilot "github.com/hashicorp/raft-autopilot"
	"google.golang.org/grpc"

	"github.com/droverhq/drover/core/consensus"
	"github.com/droverhq/drover/core/membership"
	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/core/server/blocked"
	"github.com/droverhq/drover/core/server/broker"
	"github.com/droverhq/drover/core/state"
)

// Server is one server. Make it with New, then Start it.
type Server struct {
	cfg    Config
	logger hclog.Logger
	id     string
	addr   net.Addr // told to others

	mux   *rpc.Mux
	grpc  *grpc.Server // for servers
	nodes *grpc.Server // for nodes, on their sessions
	raft  *consensus.Raft
	state *state.Store
	peers rpc.Pool // to the other servers

	members   *membership.Group // nil: this server stays alone
	autopilot *autopilot.Autopilot
	refused   map[string]string // why servers are not taken in, by ID; adjustGroup's own

	broker   *broker.Broker
	plans    *planQueue
	updates  *updateBatch
	sessions *sessions
	beats    *heartbeats
	schemas  *schemaCache

	blockedMu sync.Mutex
	blocked   *blocked.Tracker

	barrier  func(context.Context) error // of raft
	leadMu   sync.Mutex
	leading  context.CancelFunc // ends the leader's loops; nil while not leading
	ready    chan struct{}      // closed while the leader's loops run
	role     role
	nudges   nudges
	rollouts rollouts

	ctx    context.Context // ends with the server
	cancel context.CancelFunc
	wg     sync.WaitGroup
	once   sync.Once
	err    error
}

// New opens the server's state, listens and founds or continues the group. It refuses a data directory that another
// process uses.
func New(cfg Config) (_ *Server, err error) {
	if err := cfg.complete(); err != nil {
		return nil, fmt.Errorf("server configuration: %w", err)
	}
	s := &Server{cfg: cfg, logger: cfg.Logger.Named("server"), blocked: blocked.New(), refused: map[string]string{}, ready: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.nudges = newNudges()
	s.role.changed = make(chan struct{})
	s.broker = broker.New(broker.DefaultLimits(), uuid.NewString, s.nudges.evals.poke)
	s.plans = newPlanQueue()
	s.updates = newUpdateBatch()
	s.sessions = newSessions()
	s.schemas = newSchemaCache()
	s.beats = newHeartbeats(s.missed)
	if s.state, err = state.New(state.Config{EventBuffer: cfg.EventBufferSize, OnCommit: s.committed}); err != nil {
		return nil, err
	}
	raftDir := ""
	if cfg.DataDir != "" {
		raftDir = filepath.Join(cfg.DataDir, "server", "raft")
	}
	if s.id, err = serverID(cfg.DataDir); err != nil {
		return nil, err
	}
	ln := cfg.Listener
	if ln == nil {
		if ln, err = net.Listen("tcp", cfg.RPCAddr); err != nil {
			return nil, fmt.Errorf("listen for servers and nodes (ports { rpc }): %w", err)
		}
	}
	defer func() {
		if err != nil {
			ln.Close()
		}
	}()
	s.addr = ln.Addr()
	if cfg.Advertise != "" {
		if s.addr, err = net.ResolveTCPAddr("tcp", cfg.Advertise); err != nil {
			return nil, fmt.Errorf("advertise { rpc }: address %q: %w", cfg.Advertise, err)
		}
	}
	s.mux = rpc.NewMux(ln, cfg.Logger)
	s.mux.Security, s.peers.Security = cfg.Security, cfg.Security
	forNodes, forServers := rpc.NewRegistry(), rpc.NewRegistry()
	s.serveNodes(forNodes)
	s.serveNodes(forServers) // what nodes ask is passed on to the leader
	s.serveServers(forServers)
	s.nodes, s.grpc = forNodes.Server(), forServers.Server()
	s.raft, err = consensus.Open(consensus.Config{
		Dir: raftDir, ServerID: s.id, Listener: s.mux.Raft(), Advertise: s.addr, Security: cfg.Security,
		Bootstrap: cfg.BootstrapExpect == 1, Store: s.state, Logger: cfg.Logger, Timing: cfg.timing(),
	})
	if err != nil {
		return nil, err
	}
	s.barrier = s.raft.Barrier
	if cfg.Gossip != nil {
		if err = s.newGroup(); err != nil {
			s.raft.Close()
			return nil, err
		}
	}
	return s, nil
}

// serverID is made once and kept with the data.
func serverID(dataDir string) (string, error) {
	if dataDir == "" {
		return uuid.NewString(), nil
	}
	dir := filepath.Join(dataDir, "server")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make the server's directory: %w", err)
	}
	path := filepath.Join(dir, "server-id")
	b, err := os.ReadFile(path)
	if err == nil {
		if id := strings.TrimSpace(string(b)); uuid.Validate(id) == nil {
			return id, nil
		}
		return "", fmt.Errorf("read %s: it holds no server ID; restore the file, or delete the directory to start as a new server", path)
	}
	if !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("read the server's ID: %w", err)
	}
	id := uuid.NewString()
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, []byte(id+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("write the server's ID: %w", err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return "", fmt.Errorf("write the server's ID: %w", err)
	}
	return id, nil
}

// Start serves the port and runs the loops. It returns at once.
func (s *Server) Start() error {
	s.goRun(func() {
		if err := s.mux.Serve(); err != nil {
			s.logger.Error("the RPC port is no longer served", "error", err)
		}
	})
	s.goRun(func() { s.grpc.Serve(s.mux.GRPC()) })
	s.goRun(s.acceptNodes)
	s.goRun(s.watchLeadership)
	if s.members != nil {
		s.goRun(s.joinGroup)
		s.goRun(s.watchGroup)
	}
	for range s.cfg.NumSchedulers {
		s.goRun(s.work)
	}
	return nil
}

// HTTP accepts connections on which other agents pass on requests of the HTTP API.
func (s *Server) HTTP() net.Listener { return s.mux.HTTP() }

func (s *Server) goRun(fn func()) {
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		fn()
	}()
}

// Leave takes this server out of its group for good: leadership goes to another, and the others count on one vote less.
// Shutdown comes after it.
func (s *Server) Leave(ctx context.Context) error {
	servers, _, err := s.raft.Servers()
	if err != nil || len(servers) < 2 {
		return err
	}
	if s.raft.IsLeader() {
		if err := s.raft.TransferLeadership(); err != nil {
			return err
		}
	}
	if s.members == nil {
		return nil
	}
	if err := s.members.Leave(ctx); err != nil {
		return fmt.Errorf("tell the other servers: %w", err)
	}
	return s.awaitRemoval(ctx)
}

// Shutdown ends everything and waits for it.
func (s *Server) Shutdown() error {
	s.once.Do(func() {
		s.cancel()
		if s.members != nil {
			if err := s.members.Close(); err != nil {
				s.logger.Warn("end the gossip", "error", err)
			}
		}
		s.stopLeading()
		s.sessions.closeAll()
		s.peers.Close()
		s.grpc.Stop()
		s.nodes.Stop()
		s.mux.Close()
		s.err = s.raft.Close()
		s.beats.stop()
		s.broker.Disable()
		s.wg.Wait()
	})
	return s.err
}

// WaitLeader returns when this server leads and its loops run.
func (s *Server) WaitLeader(ctx context.Context) error {
	s.leadMu.Lock()
	ready := s.ready
	s.leadMu.Unlock()
	select {
	case <-ready:
		return nil
	case <-s.ctx.Done():
		return errors.New("the server was shut down")
	case <-ctx.Done():
		return fmt.Errorf("wait for a leader: %w", ctx.Err())
	}
}

// State is for all reads.
func (s *Server) State() *state.Store { return s.state }

// ID names the server in its group.
func (s *Server) ID() string { return s.id }

// RPCAddr is the address servers and nodes are told.
func (s *Server) RPCAddr() net.Addr { return s.addr }

// IsLeader tells whether this server leads.
func (s *Server) IsLeader() bool { return s.raft.IsLeader() }

// Leader returns the leader's address, "" while there is none.
func (s *Server) Leader() string {
	addr, _ := s.raft.Leader()
	return addr
}

// Peers are the addresses of all servers.
func (s *Server) Peers() []string {
	servers, _, err := s.raft.Servers()
	if err != nil {
		return []string{s.addr.String()}
	}
	var out []string
	for _, p := range servers {
		if string(p.ID) == s.id {
			out = append(out, s.addr.String())
			continue
		}
		out = append(out, string(p.Address))
	}
	return out
}

// DiskError tells why nothing can be written at present, nil when it can.
func (s *Server) DiskError() error { return s.raft.DiskError() }

// apply appends an entry.
func (s *Server) apply(ctx context.Context, e consensus.Entry) (uint64, any, error) {
	return s.raft.Apply(ctx, e)
}

// newEval makes an evaluation of a job.
func newEval(j *model.Job, trigger string) *model.Evaluation {
	return &model.Evaluation{
		ID: uuid.NewString(), Namespace: j.Namespace, Priority: j.Priority, Type: j.Type, TriggeredBy: trigger,
		JobID: j.ID, JobModifyIndex: j.JobModifyIndex, Status: model.EvalPending, CreateTime: time.Now().UnixNano(),
	}
}
