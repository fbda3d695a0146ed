package launch

import (
	"errors"
	"fmt"
	"os"
	"sort"
	"strings"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Child is a process that runs in a job object of its own.
type Child struct {
	PID     int
	Process windows.Handle
	Job     windows.Handle
}

// Start runs a process in a new job object. The process begins suspended and
// runs only once it is in the job, so that nothing it starts escapes from it.
// The job does not end with its handles: a task outlives its keeper.
func Start(s *Spec, job string) (*Child, error) {
	if len(s.Args) == 0 {
		return nil, fmt.Errorf("program %s has no argument vector", s.Path)
	}
	name, err := windows.UTF16PtrFromString(job)
	if err != nil {
		return nil, err
	}
	c := &Child{}
	if c.Job, err = windows.CreateJobObject(nil, name); err != nil {
		return nil, fmt.Errorf("make job object %s: %w", job, err)
	}
	thread, err := create(s, c)
	if err != nil {
		windows.CloseHandle(c.Job)
		return nil, err
	}
	defer windows.CloseHandle(thread)
	if err = windows.AssignProcessToJobObject(c.Job, c.Process); err == nil {
		// A handle inside the task keeps the job's name while the task lives.
		var inside windows.Handle
		_ = windows.DuplicateHandle(windows.CurrentProcess(), c.Job, c.Process, &inside, 0, false, windows.DUPLICATE_SAME_ACCESS)
		_, err = windows.ResumeThread(thread)
	}
	if err != nil {
		_ = windows.TerminateProcess(c.Process, 1)
		windows.CloseHandle(c.Process)
		windows.CloseHandle(c.Job)
		return nil, fmt.Errorf("start %s: %w", s.Path, err)
	}
	return c, nil
}

// create makes the process, suspended, and returns its first thread.
func create(s *Spec, c *Child) (windows.Handle, error) {
	var handles [3]windows.Handle
	defer func() {
		for _, h := range handles {
			if h != 0 {
				windows.CloseHandle(h)
			}
		}
	}()
	for i, path := range []string{"NUL", s.Stdout, s.Stderr} {
		var err error
		if handles[i], err = openInheritable(path, i > 0); err != nil {
			return 0, &os.PathError{Op: "open standard file", Path: path, Err: err}
		}
	}
	list, err := windows.NewProcThreadAttributeList(1)
	if err != nil {
		return 0, fmt.Errorf("start %s: %w", s.Path, err)
	}
	defer list.Delete()
	if err := list.Update(windows.PROC_THREAD_ATTRIBUTE_HANDLE_LIST, unsafe.Pointer(&handles[0]), unsafe.Sizeof(handles)); err != nil {
		return 0, fmt.Errorf("start %s: %w", s.Path, err)
	}
	start := windows.StartupInfoEx{ProcThreadAttributeList: list.List()}
	start.Cb = uint32(unsafe.Sizeof(start))
	start.Flags = windows.STARTF_USESTDHANDLES
	start.StdInput, start.StdOutput, start.StdErr = handles[0], handles[1], handles[2]
	program, err1 := windows.UTF16PtrFromString(s.Path)
	line, err2 := windows.UTF16PtrFromString(windows.ComposeCommandLine(append([]string{s.Path}, s.Args[1:]...)))
	dir, err3 := windows.UTF16PtrFromString(s.Dir)
	env, err4 := environment(s.Env)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return 0, fmt.Errorf("start %s: %w", s.Path, err)
	}
	if s.Dir == "" {
		dir = nil
	}
	var info windows.ProcessInformation
	const flags = windows.CREATE_SUSPENDED | windows.CREATE_NEW_PROCESS_GROUP | windows.CREATE_UNICODE_ENVIRONMENT | windows.EXTENDED_STARTUPINFO_PRESENT
	if err := windows.CreateProcess(program, line, nil, nil, true, flags, env, dir, &start.StartupInfo, &info); err != nil {
		return 0, fmt.Errorf("execute %s in %s: %w", s.Path, s.Dir, err)
	}
	c.PID, c.Process = int(info.ProcessId), info.Process
	return info.Thread, nil
}

// openInheritable opens a pipe or the null device for a child.
func openInheritable(path string, write bool) (windows.Handle, error) {
	if path == "" {
		path = "NUL"
	}
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return 0, err
	}
	access := uint32(windows.GENERIC_READ)
	if write {
		access = windows.GENERIC_WRITE
	}
	attr := windows.SecurityAttributes{InheritHandle: 1}
	attr.Length = uint32(unsafe.Sizeof(attr))
	return windows.CreateFile(name, access, windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE, &attr, windows.OPEN_EXISTING, 0, 0)
}

// environment makes the block that CreateProcess takes: sorted without regard
// to case, each entry and the whole ended by a zero.
func environment(env []string) (*uint16, error) {
	sorted := append([]string(nil), env...)
	sort.Slice(sorted, func(i, j int) bool { return strings.ToUpper(sorted[i]) < strings.ToUpper(sorted[j]) })
	var block []uint16
	for _, e := range sorted {
		text, err := windows.UTF16FromString(e)
		if err != nil {
			return nil, fmt.Errorf("variable %q: %w", strings.SplitN(e, "=", 2)[0], err)
		}
		block = append(block, text...)
	}
	block = append(block, 0, 0)
	return &block[0], nil
}
