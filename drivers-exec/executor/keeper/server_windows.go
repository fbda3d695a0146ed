package keeper

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/windows"

	"github.com/droverhq/drover/drivers-exec/executor/launch"
	"github.com/droverhq/drover/drivers-exec/executor/proc"
)

// server is the keeper on Windows. A task is a job object: killing one ends
// everything in it. An exit code lasts as long as somebody holds a handle of
// the process, which is what the keeper is for.
type server struct {
	token    string
	self     proc.ID
	records  records
	listener net.Listener

	mu      sync.Mutex
	tasks   map[string]*held
	clients map[*client]bool
	changed chan struct{}
}

// held is a task with its handles. The job is 0 if it could not be found again.
type held struct {
	Task
	process, job windows.Handle
}

type client struct {
	conn
	known bool // it has shown the token
}

// JobName is the name of a task's job object, by which the plugin finds it to
// measure the task.
func JobName(id string) string {
	sum := sha256.Sum256([]byte(id))
	return "drover-" + hex.EncodeToString(sum[:12])
}

func (s *server) accept() {
	for {
		nc, err := s.listener.Accept()
		if err != nil {
			return
		}
		c := &client{conn: conn{Conn: nc}}
		s.mu.Lock()
		s.clients[c] = true
		s.mu.Unlock()
		s.touch()
		go s.serve(c)
	}
}

func (s *server) serve(c *client) {
	for {
		m, _, err := c.receive()
		if err != nil {
			break
		}
		answer := &message{Seq: m.Seq}
		if err := s.handle(c, m, answer); err != nil {
			answer.Error, answer.Class = err.Error(), classOf(err)
		}
		if c.send(answer) != nil || !c.known {
			break
		}
	}
	c.Close()
	s.mu.Lock()
	delete(s.clients, c)
	s.mu.Unlock()
	s.touch()
}

func (s *server) handle(c *client, m, answer *message) error {
	if m.Op == opHello {
		c.known = subtle.ConstantTimeCompare([]byte(m.Token), []byte(s.token)) == 1
	}
	if !c.known {
		return errors.New("the client does not know the keeper's token")
	}
	switch m.Op {
	case opHello:
		answer.Version, answer.Proc = Version, s.self
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, t := range s.tasks {
			answer.Tasks = append(answer.Tasks, t.Task)
		}
		return nil
	case opStart:
		return s.start(m, answer)
	case opAdopt:
		return s.adopt(m, answer)
	case opSignal:
		return s.with(m.ID, func(t *held) error {
			return interrupt(uint32(t.Proc.PID))
		})
	case opKill:
		return s.with(m.ID, (*held).kill)
	case opRelease:
		return s.release(m.ID)
	}
	return fmt.Errorf("keeper of protocol version %d does not know %q on this system", Version, m.Op)
}

func (s *server) start(m, answer *message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.tasks[m.ID]; old != nil {
		return fmt.Errorf("start %s: process %d: %w", m.ID, old.Proc.PID, ErrExists)
	}
	if m.Spec == nil {
		return fmt.Errorf("start of %s carries no spec", m.ID)
	}
	child, err := launch.Start(m.Spec, JobName(m.ID))
	if err != nil {
		return err
	}
	t := &held{Task: Task{ID: m.ID, Started: time.Now(), Note: m.Note}, process: child.Process, job: child.Job}
	if t.Proc, err = proc.Identify(child.PID); err == nil {
		err = s.records.put(t.Task)
	}
	if err != nil {
		return errors.Join(err, t.kill())
	}
	s.tasks[m.ID] = t
	copied := t.Task
	answer.Task = &copied
	go s.await(t)
	return nil
}

// adopt takes in a task that an earlier keeper started.
func (s *server) adopt(m, answer *message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tasks[m.ID]
	if t == nil {
		t = s.adoptLocked(Task{ID: m.ID, Proc: m.Proc, Started: m.Started, Note: m.Note})
	}
	copied := t.Task
	answer.Task = &copied
	return nil
}

func (s *server) adoptLocked(task Task) *held {
	t := &held{Task: task}
	t.Adopted = true
	s.tasks[t.ID] = t
	if t.Exit != nil {
		return t
	}
	var err error
	if t.process, err = t.Proc.Open(); err != nil {
		t.Exit = &proc.Exit{Code: -1, At: time.Now(), Unknown: true, Reason: "the process ended while no keeper ran: " + err.Error()}
		s.put(t)
		return t
	}
	if name, err := windows.UTF16PtrFromString(JobName(t.ID)); err == nil {
		t.job, _ = windows.CreateJobObject(nil, name) // opens the one there is
	}
	go s.await(t)
	return t
}

// await waits for a task's end, records it and tells the clients.
func (s *server) await(t *held) {
	e := proc.Await(t.process)
	s.mu.Lock()
	t.Exit = &e
	s.put(t)
	copied := t.Task
	clients := make([]*client, 0, len(s.clients))
	for c := range s.clients {
		if c.known {
			clients = append(clients, c)
		}
	}
	s.mu.Unlock()
	for _, c := range clients {
		if c.send(&message{Task: &copied}) != nil {
			c.Close()
		}
	}
	s.touch()
}

func (s *server) put(t *held) {
	if err := s.records.put(t.Task); err != nil {
		fmt.Fprintln(os.Stderr, "keeper:", err)
	}
}

// with does something to a task.
func (s *server) with(id string, f func(*held) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tasks[id]
	if t == nil {
		return fmt.Errorf("task %s: %w", id, ErrUnknown)
	}
	return f(t)
}

// kill ends the job, and the process itself in case the job is not known.
func (t *held) kill() error {
	var err error
	if t.job != 0 {
		err = windows.TerminateJobObject(t.job, killedCode)
	}
	if t.job == 0 && t.Exit == nil {
		err = windows.TerminateProcess(t.process, killedCode)
	}
	return err
}

// killedCode is the exit code of a killed task, as it is on other systems.
const killedCode = 137

func (s *server) release(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tasks[id]
	if t == nil {
		return s.records.drop(id)
	}
	if t.Exit == nil {
		return fmt.Errorf("release %s: process %d still runs", id, t.Proc.PID)
	}
	delete(s.tasks, id)
	for _, h := range []windows.Handle{t.process, t.job} {
		if h != 0 {
			windows.CloseHandle(h)
		}
	}
	s.touch()
	return s.records.drop(id)
}

func (s *server) touch() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}
