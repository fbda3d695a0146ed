//go:build !linux

package qemu

import (
	"context"
	"errors"
)

// hasMonitor is whether a machine can be talked to: its sockets are Unix ones.
const hasMonitor = false

// monitor is a conversation with a running QEMU, of which there is none here.
type monitor struct{}

var errNoMonitor = errors.New("machines cannot be talked to on this operating system")

func dialMonitor(context.Context, string) (*monitor, error) { return nil, errNoMonitor }

func (*monitor) close() {}

func (*monitor) run(context.Context, string, any) error { return errNoMonitor }

func (*monitor) status(context.Context) (string, error) { return "", errNoMonitor }
