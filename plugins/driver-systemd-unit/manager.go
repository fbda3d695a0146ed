//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/godbus/dbus/v5"
)

// What systemd is called on the bus; see org.freedesktop.systemd1(5).
const (
	busName          = "org.freedesktop.systemd1"
	managerPath      = dbus.ObjectPath("/org/freedesktop/systemd1")
	managerInterface = busName + ".Manager"
	unitInterface    = busName + ".Unit"
	serviceInterface = busName + ".Service"
	noSuchUnit       = busName + ".NoSuchUnit"
)

// booted is the directory that exists exactly where systemd is the service manager; see sd_booted(3).
const booted = "/run/systemd/system"

// manager is the service manager behind a bus. The connection is made when it is needed and again when it broke.
type manager struct {
	mu      sync.Mutex
	address string // of the bus; empty = the system's
	conn    *dbus.Conn
}

// property is one setting of a transient unit.
type property struct {
	Name  string
	Value dbus.Variant
}

// auxiliary is a unit that would be started along; there is never one.
type auxiliary struct {
	Name       string
	Properties []property
}

// unit is what the manager says of a unit.
type unit struct {
	active, sub, result string
	invocation          string
	code, status        int32 // of the main process: as waitid(2) has them
	memory, cpu         uint64
}

// errGone: the manager has no such unit.
var errGone = errors.New("systemd has no such unit")

func (m *manager) object(path dbus.ObjectPath) (dbus.BusObject, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.conn != nil && m.conn.Connected() {
		return m.conn.Object(busName, path), nil
	}
	if m.address == "" {
		if _, err := os.Stat(booted); err != nil {
			return nil, errors.New("systemd does not run here: there is no " + booted)
		}
	}
	var err error
	if m.address != "" {
		m.conn, err = dbus.Connect(m.address)
	} else {
		m.conn, err = dbus.ConnectSystemBus()
	}
	if err != nil {
		m.conn = nil
		return nil, fmt.Errorf("connect to the bus of systemd: %w", err)
	}
	return m.conn.Object(busName, path), nil
}

func (m *manager) call(ctx context.Context, method string, args ...any) (*dbus.Call, error) {
	object, err := m.object(managerPath)
	if err != nil {
		return nil, err
	}
	call := object.CallWithContext(ctx, managerInterface+"."+method, 0, args...)
	var failed dbus.Error
	if errors.As(call.Err, &failed) && failed.Name == noSuchUnit {
		return nil, errGone
	}
	return call, call.Err
}

func (m *manager) version(ctx context.Context) (string, error) {
	object, err := m.object(managerPath)
	if err != nil {
		return "", err
	}
	var version dbus.Variant
	err = object.CallWithContext(ctx, "org.freedesktop.DBus.Properties.Get", 0, managerInterface, "Version").Store(&version)
	text, _ := version.Value().(string)
	return text, err
}

func (m *manager) start(ctx context.Context, name string, properties []property) error {
	_, err := m.call(ctx, "StartTransientUnit", name, "fail", properties, []auxiliary{})
	return err
}

// kill sends a signal to who: main or all.
func (m *manager) kill(ctx context.Context, name, who string, signal int32) error {
	_, err := m.call(ctx, "KillUnit", name, who, signal)
	return err
}

// forget stops a unit and has the manager forget how it ended.
func (m *manager) forget(ctx context.Context, name string) error {
	if _, err := m.call(ctx, "StopUnit", name, "replace"); err != nil && !errors.Is(err, errGone) {
		return err
	}
	if _, err := m.call(ctx, "ResetFailedUnit", name); err != nil && !errors.Is(err, errGone) {
		return err
	}
	return nil
}

func (m *manager) unit(ctx context.Context, name string) (*unit, error) {
	call, err := m.call(ctx, "GetUnit", name)
	if err != nil {
		return nil, err
	}
	var path dbus.ObjectPath
	if err := call.Store(&path); err != nil {
		return nil, err
	}
	object, err := m.object(path)
	if err != nil {
		return nil, err
	}
	all := map[string]dbus.Variant{}
	for _, of := range []string{unitInterface, serviceInterface} {
		some := map[string]dbus.Variant{}
		if err := object.CallWithContext(ctx, "org.freedesktop.DBus.Properties.GetAll", 0, of).Store(&some); err != nil {
			var failed dbus.Error
			if errors.As(err, &failed) && failed.Name == "org.freedesktop.DBus.Error.UnknownObject" {
				return nil, errGone
			}
			return nil, err
		}
		for k, v := range some {
			all[k] = v
		}
	}
	u := &unit{}
	u.active, _ = all["ActiveState"].Value().(string)
	u.sub, _ = all["SubState"].Value().(string)
	u.result, _ = all["Result"].Value().(string)
	u.code, _ = all["ExecMainCode"].Value().(int32)
	u.status, _ = all["ExecMainStatus"].Value().(int32)
	u.memory, _ = all["MemoryCurrent"].Value().(uint64)
	u.cpu, _ = all["CPUUsageNSec"].Value().(uint64)
	id, _ := all["InvocationID"].Value().([]byte)
	u.invocation = fmt.Sprintf("%x", id)
	return u, nil
}
