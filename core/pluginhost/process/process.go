// Package process starts plugin processes, finds them again after the agent was restarted, and notices their end at
// once. A process is known by pid, start time and boot id together: a pid alone may have been given to somebody else.
package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
)

// Identity is what a process is known by, on this machine and for ever.
type Identity struct {
	PID       int
	StartTime uint64 // in the kernel's own unit, since boot; 0 = not known
	BootID    string // changes with every boot of the machine
}

// ErrGone means that the process has ended; its pid may be another's by now.
var ErrGone = errors.New("the process has ended")

// Command is what to run. Standard input is the null device.
type Command struct {
	Path   string
	Args   []string // without the program's name
	Env    []string
	Stdout *os.File // inherited
	Stderr *os.File // inherited
	Dir    string   // empty = this process'
	As     *Credential
}

// Credential is the user that a process runs as; nil = this process'.
type Credential struct {
	UID, GID uint32
	Groups   []uint32
}

// Process is a running process, our child or not.
type Process struct {
	id    Identity
	watch watch
	child *exec.Cmd // nil if it was found, not started
	done  chan struct{}

	mu        sync.Mutex
	probation bool // see Confirm
	gone      bool // the end was seen and watch is closed
	end       string
}

// Start starts a process in a session of its own, so that nothing that happens to the agent reaches it.
func Start(c Command) (*Process, error) {
	cmd := exec.Command(c.Path, c.Args...)
	cmd.Env, cmd.Stdout, cmd.Stderr, cmd.Dir = c.Env, c.Stdout, c.Stderr, c.Dir
	w, err := start(cmd, c.As)
	if err != nil {
		return nil, err
	}
	id, err := identify(cmd.Process.Pid)
	if err != nil && !errors.Is(err, ErrGone) {
		return nil, errors.Join(err, w.kill(), cmd.Wait(), w.close())
	}
	return begin(id, w, cmd), nil
}

// Confirm says that the process is what it should be. Until then its end, or Kill, takes everything with it that it
// started: a program that is no plugin leaves nothing behind. A confirmed one may have started tasks, which live on.
func (p *Process) Confirm() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.probation = false
}

// Find returns the process with this identity if it still runs, or an error that says why it is not that process
// (errors.Is ErrGone). It never touches a process of another identity.
func Find(id Identity) (*Process, error) {
	w, err := open(id.PID)
	if err != nil {
		return nil, err
	}
	now, err := identify(id.PID) // after open: what was opened cannot change any more
	if err == nil && now != id {
		err = fmt.Errorf("%w: pid %d now belongs to another process (%s)", ErrGone, id.PID, difference(id, now))
	}
	if err != nil {
		return nil, errors.Join(err, w.close())
	}
	return begin(id, w, nil), nil
}

func difference(was, now Identity) string {
	if was.BootID != now.BootID {
		return "the machine was started again"
	}
	return "it began at another time"
}

func begin(id Identity, w watch, child *exec.Cmd) *Process {
	p := &Process{id: id, watch: w, child: child, done: make(chan struct{}), probation: child != nil}
	go p.wait()
	return p
}

func (p *Process) wait() {
	defer close(p.done)
	p.watch.wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone, p.end = true, "it ended"
	if p.child != nil {
		if p.probation {
			killGroup(p.id.PID) // the pid is still its own: it is not reaped yet
		}
		err := p.child.Wait() // reaps; the end is known, so it does not block
		p.end = describe(err, p.child.ProcessState)
	}
	p.watch.close() // nothing can be done about an error, and nothing depends on it
}

// ID returns the identity, for the record that finds it again.
func (p *Process) ID() Identity { return p.id }

// Done is closed when the process has ended (and, if it was our child, is reaped).
func (p *Process) Done() <-chan struct{} { return p.done }

// End says how it ended: "exit code 3", "killed by signal killed"; empty while it runs.
func (p *Process) End() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.end
}

// Kill ends the process at once and waits for its end. It is safe for one that has ended.
func (p *Process) Kill() error {
	if err := p.signalKill(); err != nil && !errors.Is(err, ErrGone) {
		return fmt.Errorf("kill pid %d: %w", p.id.PID, err)
	}
	<-p.done
	return nil
}

func (p *Process) signalKill() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone {
		return nil
	}
	if p.probation {
		killGroup(p.id.PID)
	}
	return p.watch.kill()
}

func describe(err error, st *os.ProcessState) string {
	if st == nil {
		return fmt.Sprint(err)
	}
	if ws, ok := st.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return "killed by signal " + ws.Signal().String()
	}
	return fmt.Sprintf("exit code %d", st.ExitCode())
}
