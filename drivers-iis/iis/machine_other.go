//go:build !windows

package iis

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// elsewhere is a system without IIS: the driver works there with a program that answers like appcmd, for tests.
type elsewhere struct{}

func thisMachine() machine { return elsewhere{} }

var errWindowsOnly = errors.New("certificates can be bound on Windows only")

func (elsewhere) service(toolPath string) (version, unwell string, err error) {
	if _, err := os.Stat(toolPath); err != nil {
		return "", "", errors.New("IIS exists on Windows only")
	}
	return "", "", nil
}

func (elsewhere) permit(context.Context, string, string, string) error { return nil }
func (elsewhere) bind(context.Context, string, bool, string) error     { return errWindowsOnly }
func (elsewhere) unbind(context.Context, string, bool) error           { return nil }
func (elsewhere) importPFX([]byte, string) (string, error)             { return "", errWindowsOnly }
func (elsewhere) removeCertificate(string) error                       { return nil }
func (elsewhere) usage(int) (processUsage, error)                      { return processUsage{}, errNoUsage }

func (elsewhere) kill(pid int) error {
	p, err := os.FindProcess(pid)
	if err == nil {
		err = p.Kill()
	}
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("process %d: %w", pid, err)
	}
	return nil
}
