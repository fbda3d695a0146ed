//go:build !chaos

package main

import (
	"github.com/droverhq/drover/drivers-exec/rawexec"
	"github.com/droverhq/drover/sdk/plugin"
)

func served(d *rawexec.Driver) plugin.Plugin { return rawexec.Plugin(d, version) }
