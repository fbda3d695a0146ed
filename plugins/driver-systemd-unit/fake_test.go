//go:build linux

package main

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/godbus/dbus/v5"
)

// bus starts a private bus and returns its address.
func bus(t *testing.T) string {
	t.Helper()
	cmd := exec.Command("dbus-daemon", "--session", "--nofork", "--print-address", "--address=unix:dir="+t.TempDir())
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatalf("start a bus (package dbus-daemon): %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(address)
}

// fake is a service manager that runs units as its own children and answers as org.freedesktop.systemd1(5) says.
type fake struct {
	conn  *dbus.Conn
	mu    sync.Mutex
	units map[string]*fakeUnit
	next  int
}

type fakeUnit struct {
	path       dbus.ObjectPath
	cmd        *exec.Cmd
	invocation []byte
	state      *os.ProcessState // nil while it runs
	done       chan struct{}
}

// serve puts a fake on a bus.
func serve(t *testing.T, address string) *fake {
	t.Helper()
	conn, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{conn: conn, units: map[string]*fakeUnit{}}
	for _, err := range []error{
		conn.Export(f, managerPath, managerInterface),
		conn.Export(properties(func(_, name string) map[string]dbus.Variant {
			return map[string]dbus.Variant{"Version": dbus.MakeVariant("252.1")}
		}), managerPath, "org.freedesktop.DBus.Properties"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if reply, err := conn.RequestName(busName, dbus.NameFlagDoNotQueue); err != nil || reply != dbus.RequestNameReplyPrimaryOwner {
		t.Fatal(reply, err)
	}
	t.Cleanup(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, u := range f.units {
			_ = syscall.Kill(-u.cmd.Process.Pid, syscall.SIGKILL)
			<-u.done
		}
		conn.Close()
	})
	return f
}

// properties serves the standard interface for them.
type properties func(of, name string) map[string]dbus.Variant

func (p properties) Get(of, name string) (dbus.Variant, *dbus.Error) { return p(of, name)[name], nil }
func (p properties) GetAll(of string) (map[string]dbus.Variant, *dbus.Error) {
	return p(of, ""), nil
}

func fail(name string, format string, args ...any) *dbus.Error {
	return dbus.NewError(name, []any{fmt.Sprintf(format, args...)})
}

func (f *fake) StartTransientUnit(name, mode string, settings []property, _ []auxiliary) (dbus.ObjectPath, *dbus.Error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.units[name] != nil {
		return "", fail(busName+".UnitExists", "unit %s already exists", name)
	}
	u := &fakeUnit{invocation: make([]byte, 16), done: make(chan struct{})}
	_, _ = rand.Read(u.invocation)
	known := map[string]any{}
	for _, s := range settings {
		known[s.Name] = s.Value.Value()
	}
	start, ok := known["ExecStart"].([][]any)
	if mode != "fail" || !ok || known["RemainAfterExit"] != true {
		return "", fail("org.freedesktop.DBus.Error.InvalidArgs", "mode %s, settings %v", mode, known)
	}
	u.cmd = exec.Command(start[0][0].(string))
	u.cmd.Args = start[0][1].([]string)
	u.cmd.Env = known["Environment"].([]string)
	u.cmd.Dir = known["WorkingDirectory"].(string)
	u.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	for name, slot := range map[string]*any{"StandardOutputFile": new(any), "StandardErrorFile": new(any)} {
		*slot = known[name]
		file, err := os.OpenFile(fmt.Sprint(*slot), os.O_WRONLY, 0)
		if err != nil {
			return "", fail("org.freedesktop.DBus.Error.FileNotFound", "%v", err)
		}
		defer file.Close()
		if name == "StandardOutputFile" {
			u.cmd.Stdout = file
		} else {
			u.cmd.Stderr = file
		}
	}
	if err := u.cmd.Start(); err != nil {
		return "", fail("org.freedesktop.DBus.Error.Failed", "%v", err)
	}
	go func() {
		_ = u.cmd.Wait()
		f.mu.Lock()
		defer f.mu.Unlock()
		u.state = u.cmd.ProcessState
		close(u.done)
	}()
	f.next++
	u.path = dbus.ObjectPath(fmt.Sprintf("/org/freedesktop/systemd1/unit/u%d", f.next))
	f.units[name] = u
	_ = f.conn.Export(properties(func(string, string) map[string]dbus.Variant { return f.describe(u) }), u.path, "org.freedesktop.DBus.Properties")
	return "/org/freedesktop/systemd1/job/1", nil
}

func (f *fake) describe(u *fakeUnit) map[string]dbus.Variant {
	f.mu.Lock()
	defer f.mu.Unlock()
	active, sub, result, code, status := "active", "running", "success", int32(0), int32(0)
	if u.state != nil {
		wait := u.state.Sys().(syscall.WaitStatus)
		sub, code, status = "exited", 1, int32(wait.ExitStatus())
		if wait.Signaled() {
			active, sub, result, code, status = "failed", "failed", "signal", childKilled, int32(wait.Signal())
		} else if status != 0 {
			active, sub, result = "failed", "failed", "exit-code"
		}
	}
	all := map[string]dbus.Variant{}
	for name, value := range map[string]any{"ActiveState": active, "SubState": sub, "Result": result, "ExecMainCode": code,
		"ExecMainStatus": status, "InvocationID": u.invocation, "MemoryCurrent": uint64(1 << 20), "CPUUsageNSec": uint64(1)} {
		all[name] = dbus.MakeVariant(value)
	}
	return all
}

func (f *fake) unit(name string) (*fakeUnit, *dbus.Error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if u := f.units[name]; u != nil {
		return u, nil
	}
	return nil, fail(noSuchUnit, "unit %s not loaded", name)
}

func (f *fake) GetUnit(name string) (dbus.ObjectPath, *dbus.Error) {
	u, err := f.unit(name)
	if err != nil {
		return "", err
	}
	return u.path, nil
}

func (f *fake) KillUnit(name, who string, signal int32) *dbus.Error {
	u, failed := f.unit(name)
	if failed != nil {
		return failed
	}
	pid := u.cmd.Process.Pid
	if who == "all" {
		pid = -pid
	}
	if err := syscall.Kill(pid, syscall.Signal(signal)); errors.Is(err, syscall.ESRCH) {
		return fail(busName+".NoSuchProcess", "no process")
	}
	return nil
}

func (f *fake) StopUnit(name, _ string) (dbus.ObjectPath, *dbus.Error) {
	u, failed := f.unit(name)
	if failed != nil {
		return "", failed
	}
	_ = syscall.Kill(-u.cmd.Process.Pid, syscall.SIGKILL)
	<-u.done
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.units, name)
	_ = f.conn.Export(nil, u.path, "org.freedesktop.DBus.Properties")
	return "/org/freedesktop/systemd1/job/2", nil
}

func (f *fake) ResetFailedUnit(name string) *dbus.Error {
	_, failed := f.unit(name)
	return failed
}

func built(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "drover-driver-systemd-unit")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return binary
}
