package keeper

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/windows"

	"github.com/droverhq/drover/drivers-exec/executor/proc"
)

// lingerEmpty is how long a keeper with nothing to hold waits for a client.
const lingerEmpty = time.Second

// errTaken means that another keeper serves the directory.
var errTaken = errors.New("another keeper serves this directory")

// Main is the keeper's main program; args follow the verb. It returns when the
// keeper has nothing left to hold, with the process's exit code.
func Main(args []string) int {
	flags := flag.NewFlagSet(Verb, flag.ContinueOnError)
	dir := flags.String("dir", "", "private directory of this keeper")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if *dir == "" {
		fmt.Fprintln(os.Stderr, "keep: -dir is missing; driver plugins start their keeper themselves")
		return 2
	}
	switch err := run(*dir); {
	case errors.Is(err, errTaken):
		return 0
	case err != nil:
		fmt.Fprintln(os.Stderr, "keeper:", err)
		return 1
	}
	return 0
}

func run(dir string) error {
	lock, err := takeLock(filepath.Join(dir, "keeper.lock"))
	if err != nil {
		return err
	}
	defer windows.CloseHandle(lock)
	rec, err := openRecords(dir)
	if err != nil {
		return err
	}
	self, err := proc.Identify(os.Getpid())
	if err != nil {
		return err
	}
	s := &server{
		token: rand.Text(), self: self, records: rec,
		tasks: map[string]*held{}, clients: map[*client]bool{}, changed: make(chan struct{}, 1),
	}
	tasks, err := rec.all()
	if err != nil {
		fmt.Fprintln(os.Stderr, "keeper:", err)
	}
	for _, t := range tasks {
		s.mu.Lock()
		s.adoptLocked(t)
		s.mu.Unlock()
	}
	if s.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return fmt.Errorf("listen on loopback: %w", err)
	}
	if err := s.publish(dir); err != nil {
		return err
	}
	defer os.Remove(addressPath(dir))
	go s.accept()
	s.linger()
	return s.listener.Close()
}

// takeLock opens a file that nobody else can open meanwhile.
func takeLock(path string) (windows.Handle, error) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return 0, err
	}
	h, err := windows.CreateFile(name, windows.GENERIC_WRITE, 0, nil, windows.OPEN_ALWAYS, 0, 0)
	if errors.Is(err, windows.ERROR_SHARING_VIOLATION) {
		return 0, errTaken
	}
	if err != nil {
		return 0, fmt.Errorf("open lock %s: %w", path, err)
	}
	return h, nil
}

// publish writes the address for clients, whole or not at all.
func (s *server) publish(dir string) error {
	text, err := json.Marshal(address{Addr: s.listener.Addr().String(), Token: s.token, Proc: s.self})
	if err != nil {
		return err
	}
	path := addressPath(dir)
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return fmt.Errorf("publish address: %w", err)
	}
	return os.Rename(path+".new", path)
}

// linger returns when nothing is held and nobody has come for a while.
func (s *server) linger() {
	idle := time.NewTimer(lingerEmpty)
	for {
		select {
		case <-s.changed:
			idle.Reset(lingerEmpty)
		case <-idle.C:
			s.mu.Lock()
			busy := len(s.clients) > 0 || len(s.tasks) > 0
			s.mu.Unlock()
			if !busy {
				return
			}
		}
	}
}
