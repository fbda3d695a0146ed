package tasklog

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/windows"
)

// vault keeps a second handle of every pipe's reading end in another process, the agent. Windows throws away what a pipe
// holds, and breaks it for its writer, when the last handle of that end is closed; with the second one a collector that is
// killed leaves its pipes as they are, and the next one takes them back from there. The agent knows nothing of it: the
// handles go with its process, and the next agent is given them when it says hello.
type vault struct {
	path string

	mu     sync.Mutex
	record vaultRecord
	holder windows.Handle // the agent's process; 0 = there is none
	local  map[windows.Handle]string
	left   bool // the collector is ending: the next one takes over what is held
}

// vaultRecord is what the next collector finds. A process is its id and when it was created.
type vaultRecord struct {
	PID     int
	Created int64
	Pipes   map[windows.Handle]vaultEntry // by the collector's own handle
}

type vaultEntry struct {
	Stream string
	Slot   windows.Handle // in the holder
}

// openVault takes back what a collector that was killed has left: handles by stream.
func openVault(state string) (v *vault, left map[string][]windows.Handle) {
	v = &vault{path: filepath.Join(state, "pipes"), local: map[windows.Handle]string{}}
	left = map[string][]windows.Handle{}
	text, err := os.ReadFile(v.path)
	var before vaultRecord
	if err != nil || json.Unmarshal(text, &before) != nil {
		return v, left
	}
	process, created, err := openHolder(before.PID)
	if err != nil {
		return v, left
	}
	if created != before.Created {
		windows.CloseHandle(process)
		return v, left
	}
	v.holder, v.record = process, vaultRecord{PID: before.PID, Created: created, Pipes: map[windows.Handle]vaultEntry{}}
	for _, e := range before.Pipes {
		var h windows.Handle
		// The holder's own goes: put makes another at once, under this collector's number.
		const flags = windows.DUPLICATE_SAME_ACCESS | windows.DUPLICATE_CLOSE_SOURCE
		if windows.DuplicateHandle(process, e.Slot, windows.CurrentProcess(), &h, 0, false, flags) == nil {
			left[e.Stream] = append(left[e.Stream], h)
		}
	}
	return v, left
}

func openHolder(pid int) (windows.Handle, int64, error) {
	process, err := windows.OpenProcess(windows.PROCESS_DUP_HANDLE|windows.PROCESS_QUERY_LIMITED_INFORMATION|windows.SYNCHRONIZE, false, uint32(pid))
	if err != nil {
		return 0, 0, err
	}
	var created, exited, kernel, user windows.Filetime
	if err := windows.GetProcessTimes(process, &created, &exited, &kernel, &user); err != nil {
		windows.CloseHandle(process)
		return 0, 0, err
	}
	return process, created.Nanoseconds(), nil
}

// use has a process hold the pipes, if none that lives does.
func (v *vault) use(pid int) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if pid == 0 || pid == os.Getpid() {
		return nil
	}
	if v.holder != 0 {
		if event, err := windows.WaitForSingleObject(v.holder, 0); err == nil && event == uint32(windows.WAIT_TIMEOUT) {
			return nil
		}
		windows.CloseHandle(v.holder)
		v.holder = 0
	}
	process, created, err := openHolder(pid)
	if err != nil {
		return fmt.Errorf("open the agent's process %d to keep pipes there: %w", pid, err)
	}
	v.holder, v.record = process, vaultRecord{PID: pid, Created: created, Pipes: map[windows.Handle]vaultEntry{}}
	for h, stream := range v.local {
		err = errors.Join(err, v.duplicate(h, stream))
	}
	return errors.Join(err, v.save())
}

// put has the holder keep a pipe too.
func (v *vault) put(h windows.Handle, stream string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.local[h] = stream
	if v.holder == 0 {
		return nil
	}
	return errors.Join(v.duplicate(h, stream), v.save())
}

// drop lets go of a pipe, before the collector does.
func (v *vault) drop(h windows.Handle) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.local, h)
	e, ok := v.record.Pipes[h]
	if v.holder == 0 || !ok || v.left {
		return nil
	}
	delete(v.record.Pipes, h)
	_ = windows.DuplicateHandle(v.holder, e.Slot, 0, nil, 0, false, windows.DUPLICATE_CLOSE_SOURCE) // fails when the agent is gone
	return v.save()
}

// leave keeps what is held for the next collector.
func (v *vault) leave() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.left = true
}

// duplicate is put's part that another agent needs again. v.mu is held.
func (v *vault) duplicate(h windows.Handle, stream string) error {
	var slot windows.Handle
	if err := windows.DuplicateHandle(windows.CurrentProcess(), h, v.holder, &slot, 0, false, windows.DUPLICATE_SAME_ACCESS); err != nil {
		return fmt.Errorf("keep a pipe of stream %s in the agent: %w", stream, err)
	}
	v.record.Pipes[h] = vaultEntry{Stream: stream, Slot: slot}
	return nil
}

func (v *vault) save() error {
	text, err := json.Marshal(v.record)
	if err != nil {
		return err
	}
	if err := os.WriteFile(v.path+".new", text, 0o600); err != nil {
		return fmt.Errorf("remember which pipes the agent keeps: %w", err)
	}
	return os.Rename(v.path+".new", v.path)
}
