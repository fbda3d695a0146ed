package keeper

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/droverhq/drover/drivers-exec/executor/slim"
)

// How long a keeper without clients waits for one. The second is for tasks
// that have ended but whose exit nobody has asked for: their records stay.
const (
	lingerEmpty = time.Second
	lingerEnded = 10 * time.Minute
)

// errTaken means that another keeper serves the directory.
var errTaken = errors.New("another keeper serves this directory")

// Main is the keeper's main program; args follow the verb. It returns when the
// keeper has nothing left to hold, with the process's exit code.
func Main(args []string) int {
	flags := flag.NewFlagSet(Verb, flag.ContinueOnError)
	dir := flags.String("dir", "", "private directory of this keeper")
	resume := flags.Int("resume", -1, "state left by the program before (internal)")
	ready := flags.Int("ready", -1, "file to close when clients can connect (internal)")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if *dir == "" {
		fmt.Fprintln(os.Stderr, "keep: -dir is missing; driver plugins start their keeper themselves")
		return 2
	}
	switch err := run(*dir, *resume, *ready); {
	case errors.Is(err, errTaken):
		return 0
	case err != nil:
		fmt.Fprintln(os.Stderr, "keeper:", err)
		return 1
	}
	return 0
}

func run(dir string, resume, ready int) error {
	// The keeper's heap is a few dozen kilobytes; a collection is cheaper than
	// the memory it would otherwise hold on to.
	debug.SetGCPercent(20)
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become subreaper: %w", err)
	}
	protect()
	s, err := newServer(dir)
	if err != nil {
		return err
	}
	if resume >= 0 {
		err = s.resume(resume)
	} else {
		closeInherited(ready)
		err = s.listen()
	}
	if err != nil {
		return err
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, unix.SIGCHLD)
	s.adoptRecords()
	go s.accept()
	if ready >= 0 {
		unix.Close(ready)
	}
	debug.FreeOSMemory()
	stop := slim.Start()
	defer stop()
	s.loop(ended)
	s.leave()
	return nil
}

// leave removes what a keeper has in its directory, and the directory if that
// was all, while the lock is held: the next keeper makes everything anew.
func (s *server) leave() {
	s.socket.Close()
	_ = os.Remove(socketPath(s.dir))
	_ = os.Remove(s.records.dir) // unless there are records
	if st, err := os.Stat(logPath(s.dir)); err == nil && st.Size() == 0 {
		_ = os.Remove(logPath(s.dir))
	}
	_ = os.Remove(lockPath(s.dir))
	_ = os.Remove(s.dir)
}

// loop reaps until nothing is left to keep.
func (s *server) loop(ended <-chan os.Signal) {
	s.reap()
	idle := time.NewTimer(time.Hour)
	for {
		if wait, ok := s.linger(); ok {
			idle.Reset(wait)
		} else {
			idle.Stop()
		}
		select {
		case <-ended:
			s.reap()
		case <-s.changed:
		case <-idle.C:
			if _, ok := s.linger(); ok {
				return
			}
		}
	}
}

// linger says whether the keeper may end when nothing happens for a while.
func (s *server) linger() (time.Duration, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.clients) > 0 || len(s.byPID) > 0 {
		return 0, false
	}
	if len(s.tasks) == 0 {
		return lingerEmpty, true
	}
	for _, t := range s.tasks {
		if t.Exit == nil {
			return 0, false
		}
	}
	return lingerEnded, true
}

// listen takes the directory's lock and opens the socket.
func (s *server) listen() error {
	lock, err := takeLock(lockPath(s.dir))
	if err != nil {
		return err
	}
	s.lock = lock
	if s.records, err = openRecords(s.dir); err != nil { // the keeper before may just have removed it
		return fmt.Errorf("make record directory: %w", err)
	}
	path := socketPath(s.dir)
	_ = os.Remove(path) // ours by the lock
	s.socket, err = net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return fmt.Errorf("listen on %s: %w", path, err)
	}
	s.socket.SetUnlinkOnClose(false)
	return os.Chmod(path, 0o600)
}

func lockPath(dir string) string { return filepath.Join(dir, "keeper.lock") }

// takeLock makes sure that one keeper serves a directory. A keeper that leaves
// removes the file, so what was locked must still be what the path names.
func takeLock(path string) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, fmt.Errorf("open lock: %w", err)
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			f.Close()
			return nil, errTaken
		}
		locked, err1 := f.Stat()
		named, err2 := os.Stat(path)
		if err1 == nil && err2 == nil && os.SameFile(locked, named) {
			return f, nil
		}
		f.Close()
	}
}

// closeInherited closes files that whoever started the plugin left open to us,
// say the pipe of a shell that waits for its end. Our own close on execve.
func closeInherited(ready int) {
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return
	}
	for _, f := range files {
		fd, err := strconv.Atoi(f.Name())
		if err != nil || fd <= 2 || fd == ready {
			continue
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			unix.Close(fd)
		}
	}
}

// protect asks the kernel to end others first when memory runs out. Tasks get
// their own value back; without the right to lower it nothing changes.
func protect() {
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte(strconv.Itoa(-900)), 0)
}
