package thirdparty

import (
	_ "github.com/hashicorp/nomad/plugins"
	_ "github.com/hashicorp/nomad/plugins/base"
	_ "github.com/hashicorp/nomad/plugins/device"
	_ "github.com/hashicorp/nomad/plugins/drivers"
)
