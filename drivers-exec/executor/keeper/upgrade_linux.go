package keeper

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// inheritance is what a keeper leaves to the program it becomes.
type inheritance struct {
	Version int
	Socket  int
	Lock    int
	Tasks   []inherited
}

type inherited struct {
	Task
	PIDFD int
	Stdio []int
	Child bool
}

// upgrade replaces the keeper by another program in the same process, so that
// tasks stay its children. It returns only if that failed; then all is as
// before. Clients lose their connection and come back.
func (s *server) upgrade(program string) error {
	if st, err := os.Stat(program); err != nil || !st.Mode().IsRegular() || st.Mode()&0o111 == 0 {
		return fmt.Errorf("upgrade keeper to %s: not an executable file", program)
	}
	s.forking.Lock()
	defer s.forking.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	socket, err := s.socket.File()
	if err != nil {
		return fmt.Errorf("upgrade keeper: %w", err)
	}
	defer socket.Close()
	in := inheritance{Version: Version, Socket: int(socket.Fd()), Lock: int(s.lock.Fd())}
	files := []int{in.Socket, in.Lock}
	for _, t := range s.tasks {
		if t.session != nil {
			if t.Exit == nil { // it belongs to a connection, and those end
				return fmt.Errorf("upgrade keeper to %s: %w", program, ErrInUse)
			}
			continue
		}
		child := s.byPID[t.Proc.PID] == t
		in.Tasks = append(in.Tasks, inherited{Task: t.Task, PIDFD: t.pidfd, Stdio: t.stdio, Child: child})
		files = append(append(files, t.stdio...), t.pidfd)
	}
	text, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("upgrade keeper: %w", err)
	}
	memory, err := unix.MemfdCreate("keeper state", unix.MFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("upgrade keeper: %w", err)
	}
	state := os.NewFile(uintptr(memory), "keeper state")
	defer state.Close()
	if _, err := state.Write(text); err != nil {
		return fmt.Errorf("upgrade keeper: %w", err)
	}
	files = append(files, memory)
	setCloseOnExec(files, false)
	err = syscall.Exec(program, []string{program, Verb, "-dir", s.dir, "-resume", strconv.Itoa(memory)}, os.Environ())
	setCloseOnExec(files, true)
	return fmt.Errorf("upgrade keeper to %s: %w", program, err)
}

func setCloseOnExec(files []int, on bool) {
	flag := 0
	if on {
		flag = unix.FD_CLOEXEC
	}
	for _, fd := range files {
		if fd >= 0 {
			_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETFD, flag)
		}
	}
}

// resume takes over what the program before us in this process left.
func (s *server) resume(memory int) error {
	unix.CloseOnExec(memory)
	state := os.NewFile(uintptr(memory), "keeper state")
	defer state.Close()
	if _, err := state.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read state of the keeper before: %w", err)
	}
	var in inheritance
	if err := json.NewDecoder(state).Decode(&in); err != nil {
		return fmt.Errorf("read state of the keeper before: %w", err)
	}
	s.lock = os.NewFile(uintptr(in.Lock), "keeper lock")
	unix.CloseOnExec(in.Lock)
	listener := os.NewFile(uintptr(in.Socket), "keeper socket")
	l, err := net.FileListener(listener)
	listener.Close()
	if err != nil {
		return fmt.Errorf("take over socket of the keeper before: %w", err)
	}
	s.socket = l.(*net.UnixListener)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, i := range in.Tasks {
		setCloseOnExec(append([]int{i.PIDFD}, i.Stdio...), true)
		t := &held{Task: i.Task, pidfd: i.PIDFD, stdio: i.Stdio, running: true}
		s.tasks[t.ID] = t
		switch {
		case i.Child:
			s.byPID[t.Proc.PID] = t
		case t.Exit == nil:
			if err := s.watch.add(t.pidfd, t.ID); err != nil {
				fmt.Fprintln(os.Stderr, "keeper: watch task "+t.ID+":", err)
			}
		}
	}
	return nil
}
