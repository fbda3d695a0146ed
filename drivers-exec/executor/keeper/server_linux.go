package keeper

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/droverhq/drover/drivers-exec/executor/launch"
	"github.com/droverhq/drover/drivers-exec/executor/proc"
)

// server is the keeper: a table of tasks and the clients told about it.
type server struct {
	dir     string
	boot    string
	records records
	lock    *os.File
	socket  *net.UnixListener
	watch   *watcher

	// forking is held for reading around each start and for writing by an
	// upgrade, which waits for starts to come to their end.
	forking sync.RWMutex

	mu      sync.Mutex
	tasks   map[string]*held
	byPID   map[int]*held // children not reaped yet
	clients map[*client]bool
	changed chan struct{} // a client or task came or went
}

// held is a task with what is parked for it.
type held struct {
	Task
	pidfd   int
	stdio   []int
	session *client // the client an exec session belongs to, nil for tasks
	running bool    // its program runs and the client knows
	asked   int     // how often the exit of an adopted process was asked for
}

// client is one connection with its outgoing queue: the reaper must never wait
// for a plugin that does not read.
type client struct {
	conn
	out  chan outgoing
	gone chan struct{}
	once sync.Once
}

type outgoing struct {
	m     *message
	files []int
}

func newServer(dir string) (*server, error) {
	boot, err := proc.BootID()
	if err != nil {
		return nil, fmt.Errorf("read boot id: %w", err)
	}
	rec, err := openRecords(dir)
	if err != nil {
		return nil, fmt.Errorf("make record directory: %w", err)
	}
	s := &server{
		dir: dir, boot: boot, records: rec,
		tasks: map[string]*held{}, byPID: map[int]*held{}, clients: map[*client]bool{},
		changed: make(chan struct{}, 1),
	}
	s.watch, err = newWatcher(s.adoptedEnded)
	return s, err
}

// accept serves clients until the socket closes.
func (s *server) accept() {
	for {
		uc, err := s.socket.AcceptUnix()
		if err != nil {
			return
		}
		c := &client{conn: conn{UnixConn: uc}, out: make(chan outgoing, 4096), gone: make(chan struct{})}
		if _, err := c.peer(); err != nil {
			fmt.Fprintln(os.Stderr, "keeper: refused a client:", err)
			uc.Close()
			continue
		}
		s.mu.Lock()
		s.clients[c] = true
		s.mu.Unlock()
		s.touch()
		go c.writeLoop()
		go s.serve(c)
	}
}

func (c *client) writeLoop() {
	for {
		select {
		case o := <-c.out:
			if err := c.conn.send(o.m, o.files...); err != nil {
				c.drop()
			}
			closeAll(o.files)
		case <-c.gone:
			return
		}
	}
}

// tell queues a message; a client that let the queue fill up is dropped and
// learns everything anew when it comes back. The files are closed when sent.
func (c *client) tell(m *message, files ...int) {
	select {
	case c.out <- outgoing{m, files}:
	default:
		closeAll(files)
		c.drop()
	}
}

func (c *client) drop() {
	c.once.Do(func() {
		close(c.gone)
		c.Close()
	})
}

// serve reads a client's requests until it goes.
func (s *server) serve(c *client) {
	for {
		m, files, err := c.receive()
		if err != nil {
			break
		}
		if m.Op == opStart {
			go s.handle(c, m, files) // a launch that hangs must not hold up the rest
		} else {
			s.handle(c, m, files)
		}
	}
	c.drop()
	s.mu.Lock()
	delete(s.clients, c)
	for _, t := range s.tasks {
		if t.session == c && t.Exit == nil {
			t.killGroup()
		}
	}
	s.mu.Unlock()
	s.touch()
}

// handle answers one request.
func (s *server) handle(c *client, m *message, files []int) {
	answer := &message{Seq: m.Seq}
	var out []int
	var after func()
	var err error
	switch m.Op {
	case opHello:
		err = s.hello(c, m, answer)
	case opStart:
		out, after, err = s.start(c, m, files, answer)
		files = nil
	case opAdopt:
		err = s.adopt(Task{ID: m.ID, Proc: m.Proc, Started: m.Started, Note: m.Note}, files, answer)
		files = nil
	case opRelease:
		err = s.release(m.ID)
	case opUpgrade:
		err = s.upgrade(m.Program)
	default:
		err = fmt.Errorf("keeper of protocol version %d does not know %q", Version, m.Op)
	}
	closeAll(files)
	if err != nil {
		answer.Error, answer.Class = err.Error(), classOf(err)
	}
	c.tell(answer, out...)
	if after != nil {
		after()
	}
}

func (s *server) hello(c *client, m, answer *message) error {
	if m.Version > Version {
		return fmt.Errorf("keeper speaks protocol version %d, the client %d", Version, m.Version)
	}
	id, err := proc.Identify(os.Getpid())
	if err != nil {
		return err
	}
	answer.Version, answer.Proc = Version, id
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.tasks {
		if t.session == nil {
			answer.Tasks = append(answer.Tasks, t.Task)
		}
	}
	return nil
}

// start forks a task. Its answer goes out before news of its end, which may be
// as quick; after sends that.
func (s *server) start(c *client, m *message, files []int, answer *message) (out []int, after func(), err error) {
	keep := false
	defer func() {
		if !keep {
			closeAll(files)
		}
	}()
	if m.Spec == nil || len(files) < 3 {
		return nil, nil, fmt.Errorf("start of %s carries %d files and no spec, or too few", m.ID, len(files))
	}
	f := launch.Files{Stdio: [3]int(files[:3]), Enter: -1}
	if len(files) > 3 {
		f.Enter = files[3]
	}
	s.forking.RLock()
	defer s.forking.RUnlock()

	t := &held{Task: Task{ID: m.ID, Started: time.Now(), Note: m.Note}, pidfd: -1}
	if m.Session {
		t.session = c
	}
	child, err := s.fork(t, m.Spec, f)
	if err != nil {
		return nil, nil, err
	}
	if err := child.Running(); err != nil {
		s.mu.Lock()
		delete(s.tasks, t.ID)
		if s.byPID[child.PID] == t {
			delete(s.byPID, child.PID) // the reaper takes it in as a stranger
		}
		t.closeFiles()
		s.mu.Unlock()
		s.touch()
		return nil, nil, err
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	if t.session == nil {
		t.stdio = files[:3]
		keep = true
		closeAll(files[3:])
	}
	if t.session == nil {
		err = s.records.put(t.Task)
	}
	if err != nil {
		// Without a record the task could be lost, so it does not run at all.
		t.kill()
		delete(s.tasks, t.ID)
		t.closeFiles()
		return nil, nil, err
	}
	ended := t.Exit
	copied := t.Task
	copied.Exit = nil
	answer.Task = &copied
	t.running = true
	if fd, err := unix.FcntlInt(uintptr(t.pidfd), unix.F_DUPFD_CLOEXEC, 0); err == nil {
		out = append(out, fd)
	}
	if ended != nil {
		after = func() { s.announce(t) }
	}
	s.touch()
	return out, after, nil
}

// fork makes the process and enters it in the table before the reaper can see
// its end.
func (s *server) fork(t *held, spec *launch.Spec, f launch.Files) (*launch.Child, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.tasks[t.ID]; old != nil {
		return nil, fmt.Errorf("start %s: process %d: %w", t.ID, old.Proc.PID, ErrExists)
	}
	child, err := launch.Fork(spec, f)
	if err != nil {
		return nil, err
	}
	t.pidfd = child.PIDFD
	t.Proc = proc.ID{PID: child.PID, Boot: s.boot}
	if st, err := proc.ReadStat(child.PID); err == nil {
		t.Proc.Start = st.Start
	}
	s.tasks[t.ID] = t
	s.byPID[child.PID] = t
	return child, nil
}

// release forgets a task that has ended, with its record and files.
func (s *server) release(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tasks[id]
	if t == nil {
		return s.records.drop(id)
	}
	if t.Exit == nil {
		// The client may know of the end before us.
		s.mu.Unlock()
		s.reap()
		s.adoptedEnded(id)
		s.mu.Lock()
	}
	if t.Exit == nil {
		return fmt.Errorf("release %s: process %d still runs", id, t.Proc.PID)
	}
	delete(s.tasks, id)
	t.closeFiles()
	s.touch()
	return s.records.drop(id)
}

// ended records how a task ended and tells the clients; if its start is not
// answered yet, start does both. The caller holds mu.
func (s *server) ended(t *held, e proc.Exit) {
	t.Exit = &e
	if !t.running {
		return
	}
	if t.session == nil {
		if err := s.records.put(t.Task); err != nil {
			fmt.Fprintln(os.Stderr, "keeper:", err)
		}
	}
	s.announceLocked(t)
}

func (s *server) announce(t *held) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.announceLocked(t)
}

func (s *server) announceLocked(t *held) {
	copied := t.Task
	m := &message{Task: &copied}
	if t.session != nil {
		t.session.tell(m)
		delete(s.tasks, t.ID)
		t.closeFiles()
		return
	}
	for c := range s.clients {
		c.tell(m)
	}
}

// kill ends a process at once; it is the keeper's child or held by a pidfd, so
// the pid cannot be another's.
func (t *held) kill() {
	_ = unix.PidfdSendSignal(t.pidfd, unix.SIGKILL, nil, 0)
}

// killGroup ends a session's process and what it started; before Linux 6.9 the
// process only.
func (t *held) killGroup() {
	if unix.PidfdSendSignal(t.pidfd, unix.SIGKILL, nil, unix.PIDFD_SIGNAL_PROCESS_GROUP) != nil {
		t.kill()
	}
}

func (t *held) closeFiles() {
	closeAll(append(t.stdio, t.pidfd))
	t.stdio, t.pidfd = nil, -1
}

// touch lets the idle check look again.
func (s *server) touch() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// socketPath is where a keeper of dir listens.
func socketPath(dir string) string { return filepath.Join(dir, "keeper.sock") }
