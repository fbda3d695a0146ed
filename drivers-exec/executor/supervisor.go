package executor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/droverhq/drover/drivers-exec/executor/keeper"
	"github.com/droverhq/drover/drivers-exec/executor/proc"
	"github.com/droverhq/drover/sdk/failpoint"
	"github.com/hashicorp/go-hclog"
)

// Supervisor starts processes through keepers and follows them. It is safe for
// concurrent use.
type Supervisor struct {
	cfg    Config
	memory memoryEvents

	mu    sync.Mutex
	links map[string]*link // by keeper directory
}

// New makes a Supervisor. Nothing is started before the first task.
func New(cfg Config) *Supervisor {
	if cfg.Logger == nil {
		cfg.Logger = hclog.NewNullLogger()
	}
	return &Supervisor{cfg: cfg, links: map[string]*link{}}
}

// Close lets go of the keepers. Tasks run on, commands inside them end.
func (s *Supervisor) Close() {
	s.memory.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.links {
		l.close()
	}
	s.links = map[string]*link{}
}

// link is a supervisor's connection to one keeper, made again when it is lost.
type link struct {
	dir     string
	command []string
	log     hclog.Logger
	closed  chan struct{}
	memory  *memoryEvents // the supervisor's

	connecting sync.Mutex // one attempt at a time

	mu        sync.Mutex
	client    *keeper.Client
	upgraded  bool
	processes map[string]*Process
	sessions  map[string]chan proc.Exit
	count     sessions
}

// link returns the connection to the keeper of dir.
func (s *Supervisor) link(dir string) *link {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.links[dir]
	if l == nil {
		l = &link{
			dir: dir, command: s.cfg.KeeperCommand, log: s.cfg.Logger, closed: make(chan struct{}), memory: &s.memory,
			processes: map[string]*Process{}, sessions: map[string]chan proc.Exit{},
		}
		s.links[dir] = l
	}
	return l
}

func (l *link) close() {
	close(l.closed)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.client != nil {
		l.client.Close()
	}
}

// connect returns a live connection, starting a keeper if there is none.
func (l *link) connect(ctx context.Context) (*keeper.Client, error) {
	l.connecting.Lock()
	defer l.connecting.Unlock()
	l.mu.Lock()
	c, first := l.client, !l.upgraded
	l.mu.Unlock()
	if c != nil {
		select {
		case <-c.Done():
		default:
			return c, nil
		}
	}
	c, err := keeper.Connect(ctx, l.dir, l.command, l.ended)
	if err == nil && first {
		c, err = l.upgrade(ctx, c)
	}
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	l.client, l.upgraded = c, true
	known := make([]*Process, 0, len(l.processes))
	for _, p := range l.processes {
		known = append(known, p)
	}
	l.mu.Unlock()
	for _, t := range c.Held() {
		if t.Exit != nil {
			l.ended(t)
		}
	}
	for _, p := range known {
		p.adopt(ctx, c)
	}
	go l.follow(c)
	return c, nil
}

// upgrade makes a keeper that another build of this driver started become this
// build. It is tried once, when this process meets the keeper: two generations
// of a plugin that live side by side would otherwise upgrade it in turns.
func (l *link) upgrade(ctx context.Context, c *keeper.Client) (*keeper.Client, error) {
	if len(l.command) > 0 || !l.askUpgrade(ctx, c) {
		return c, nil
	}
	return keeper.Connect(ctx, l.dir, l.command, l.ended)
}

// askUpgrade reports whether the keeper became this program, which ends the
// connection.
func (l *link) askUpgrade(ctx context.Context, c *keeper.Client) bool {
	self, err := os.Executable()
	if err != nil || sameProgram(self, c.Keeper().PID) {
		return false
	}
	err = c.Upgrade(ctx, self)
	switch {
	case err == nil:
		l.log.Info("upgraded keeper in place", "keeper", c.Keeper().PID, "program", self)
	case errors.Is(err, keeper.ErrInUse):
		time.AfterFunc(upgradeAgain, l.upgradeLater)
	default:
		l.log.Warn("keeper goes on with its present program", "keeper", c.Keeper().PID, "error", err)
	}
	return err == nil
}

// upgradeAgain is when a keeper that was in use is asked again.
const upgradeAgain = time.Minute

// upgradeLater upgrades a keeper that could not be when it was met. If that
// works the connection ends, and follow makes another one.
func (l *link) upgradeLater() {
	l.connecting.Lock()
	defer l.connecting.Unlock()
	l.mu.Lock()
	c := l.client
	l.mu.Unlock()
	select {
	case <-l.closed:
		return
	case <-c.Done():
		return // another keeper; or another process of the driver upgraded it
	default:
	}
	ctx, cancel := context.WithTimeout(context.Background(), cleanupWithin)
	defer cancel()
	l.askUpgrade(ctx, c)
}

// follow waits for a connection's end and, while tasks are followed, makes
// another one: their keeper may have been killed.
func (l *link) follow(c *keeper.Client) {
	<-c.Done()
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		l.mu.Lock()
		l.endSessions()
		needed := len(l.processes) > 0 && l.client == c
		l.mu.Unlock()
		select {
		case <-l.closed:
			return
		default:
		}
		if !needed {
			return
		}
		_, err := l.connect(context.Background())
		if err == nil {
			return
		}
		l.log.Error("cannot reach the keeper of running tasks, trying again", "dir", l.dir, "error", err)
		select {
		case <-time.After(wait):
		case <-l.closed:
			return
		}
	}
}

// endSessions tells those who wait for a command inside a task that it died
// with the keeper's connection. The caller holds mu.
func (l *link) endSessions() {
	for id, ch := range l.sessions {
		ch <- proc.Exit{Code: -1, Unknown: true, Reason: "the keeper ended", At: time.Now()}
		delete(l.sessions, id)
	}
}

// ended is called for each process that ended.
func (l *link) ended(t keeper.Task) {
	l.mu.Lock()
	p, session := l.processes[t.ID], l.sessions[t.ID]
	delete(l.sessions, t.ID)
	l.mu.Unlock()
	if session != nil {
		session <- *t.Exit
	}
	if p != nil {
		p.finish(*t.Exit)
	}
}

// errStarted refuses a second start of one id.
var errStarted = errors.New("already started")

// Start runs a command and returns when its program runs. If a start of the
// same id was answered to a driver process that died before it could tell the
// host, that process is returned instead of a second one.
func (s *Supervisor) Start(ctx context.Context, c Command) (*Process, error) {
	p, err := s.start(ctx, c)
	if errors.Is(err, errStarted) {
		return nil, err
	}
	if err != nil {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupWithin)
		defer cancel()
		_ = c.Group.Kill(stop)
		return nil, errors.Join(err, c.Group.Remove())
	}
	return p, nil
}

func (s *Supervisor) start(ctx context.Context, c Command) (*Process, error) {
	l := s.link(c.Dir)
	client, err := l.connect(ctx)
	if err != nil {
		return nil, err
	}
	note, err := json.Marshal(c.Group) // for a clean-up without a plugin
	if err != nil {
		return nil, err
	}
	spec := c.Spec
	files, closeFiles, err := place(&spec, c)
	if err != nil {
		return nil, err
	}
	defer closeFiles()
	p := newProcess(l, State{
		ID: c.ID, Dir: c.Dir, Group: c.Group,
		Inside: Inside{
			Namespaces: spec.Namespaces, User: spec.User, Capabilities: spec.Capabilities,
			NoNewPrivileges: spec.NoNewPrivileges, Seccomp: len(spec.Seccomp) > 0, NoFile: spec.NoFile, Dir: spec.Dir,
		},
	})
	if spec.NetNS != "" {
		p.state.Inside.Namespaces.Net = true
	}
	l.mu.Lock()
	if l.processes[c.ID] != nil {
		l.mu.Unlock()
		return nil, fmt.Errorf("task with ID %q %w", c.ID, errStarted)
	}
	l.processes[c.ID] = p // before the start, so that no end is missed
	l.mu.Unlock()
	task, handle, err := client.Start(ctx, c.ID, &spec, files, note)
	if errors.Is(err, keeper.ErrLost) {
		// The keeper was upgraded or killed just now. Whether it got to the
		// start shows when the same is asked again.
		if client, err = l.connect(ctx); err == nil {
			task, handle, err = client.Start(ctx, c.ID, &spec, files, note)
		}
	}
	if errors.Is(err, keeper.ErrExists) {
		task, err = client.Adopt(ctx, keeper.Task{ID: c.ID}, -1) // held already: returned as it is
		if err == nil && task.Exit == nil {
			handle, err = open(task.Proc)
		}
	}
	if err != nil {
		l.forget(c.ID)
		return nil, err
	}
	failpoint.Here("StartTask.middle")
	p.begin(task, handle)
	return p, nil
}

// idleAfter is when a supervisor without tasks lets go of its keeper, which
// then ends.
const idleAfter = 30 * time.Second

// forget drops a process that is destroyed or never began.
func (l *link) forget(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.processes, id)
	if len(l.processes) == 0 {
		time.AfterFunc(idleAfter, l.letGo)
	}
}

// letGo closes the connection if there still is no task.
func (l *link) letGo() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.client != nil && len(l.processes) == 0 {
		l.client.Close()
	}
}

// Recover finds a process again from its state alone. It succeeds for one that
// has ended if that is on record; Wait then returns at once.
func (s *Supervisor) Recover(ctx context.Context, st State) (*Process, error) {
	l := s.link(st.Dir)
	l.mu.Lock()
	if p := l.processes[st.ID]; p != nil {
		l.mu.Unlock()
		return p, nil
	}
	p := newProcess(l, st)
	l.processes[st.ID] = p
	l.mu.Unlock()
	client, err := l.connect(ctx)
	failpoint.Here("RecoverTask.middle")
	if err == nil {
		err = p.recover(ctx, client)
	}
	if err != nil {
		l.forget(st.ID)
		return nil, fmt.Errorf("recover process %d of task %s: %w", st.Proc.PID, st.ID, err)
	}
	return p, nil
}
