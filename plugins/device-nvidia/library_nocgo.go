//go:build linux && !cgo

package main

import "errors"

// newLibrary is the plugin built without a C compiler, which cannot load the library.
func newLibrary() library { return noLibrary{} }

type noLibrary struct{}

var errNoCgo = errors.New("this plugin was built without cgo and cannot load libnvidia-ml.so.1: build it with CGO_ENABLED=1 and a C compiler")

func (noLibrary) GPUs() (*machine, error)    { return nil, errNoCgo }
func (noLibrary) Measure() ([]sample, error) { return nil, errNoCgo }
