package isolation

import (
	"errors"
	"path"

	"github.com/droverhq/drover/sdk/schema"
)

// Defaults are the configuration of a driver's plugin without a block: what the options' own defaults, P's tags, say and check
// makes of that. It panics when they are refused, which no input changes.
func Defaults[P, C any](check func(P) (C, error)) C {
	var p P
	if err := schema.Decode(nil, &p); err != nil {
		panic(err)
	}
	c, err := check(p)
	if err != nil {
		panic(err)
	}
	return c
}

// TaskOptions are what a job says about its task's isolation, by the names that every isolating driver gives them.
type TaskOptions struct {
	PIDMode, IPCMode string
	CapAdd, CapDrop  []string
	WorkDir          string
}

// Check refuses values that no node accepts, with the option of each. What an operator must allow is looked at when the
// task starts.
func (o TaskOptions) Check() schema.Diagnostics {
	var found schema.Diagnostics
	refuse := func(option string, err error) {
		if err != nil {
			found = append(found, schema.Diagnostic{Summary: "Invalid value", Detail: err.Error(), Path: option})
		}
	}
	_, err := IsPrivate("pid_mode", o.PIDMode, Private)
	refuse("pid_mode", err)
	_, err = IsPrivate("ipc_mode", o.IPCMode, Private)
	refuse("ipc_mode", err)
	refuse("cap_add", CheckCapabilities("cap_add", o.CapAdd))
	refuse("cap_drop", CheckCapabilities("cap_drop", o.CapDrop))
	if o.WorkDir != "" && !path.IsAbs(o.WorkDir) {
		refuse("work_dir", errors.New("it must be an absolute path inside the task's root"))
	}
	return found
}
