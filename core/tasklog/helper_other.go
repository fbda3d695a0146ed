//go:build !linux && !windows

package tasklog

import (
	"context"
	"net"
	"os"
	"os/exec"
)

func beHelper() {}

func releaseStdout() { os.Stdout.Close() }

func run(context.Context, options) error { return ErrUnsupported }

func supported() error { return ErrUnsupported }

// detach would make cmd outlive this process.
func detach(*exec.Cmd) {}

func defaultExecutable() (string, error) { return os.Executable() }

func dialCollector(context.Context, string) (net.Conn, error) { return nil, ErrUnsupported }

func trusted(net.Conn) error { return ErrUnsupported }

// holdFIFO would keep the bytes of a pipe alive while the collector is replaced.
func holdFIFO(string) (func(), error) { return func() {}, ErrUnsupported }
