// Package spec turns a task into the request that creates its container. It decides and does nothing else: no file, no
// engine and no clock is touched, so every rule can be read, and is tested, as a table.
package spec

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/droverhq/drover/drivers-docker/config"
	"github.com/droverhq/drover/sdk/driver"
)

// Node is what the rules need to know about the machine and its engine.
type Node struct {
	Windows  bool // the engine runs Windows containers
	CgroupV1 bool
	Cores    int    // hardware threads, for the CPU quota
	TotalMHz uint64 // compute of the whole node; 0 if unknown
	API      string // version of the engine's API that is spoken, such as 1.41; empty if unknown
}

// Input is everything that decides about a container.
type Input struct {
	Task   *driver.TaskConfig
	Config config.Task
	Plugin config.Plugin // with defaults
	Node   Node
	Owner  Owner

	ImageID   string // the engine's id of the image
	ImageUser string // the user the image wants to run as

	// SharedNetwork is the id of the pause container whose namespace the container joins; empty: none.
	SharedNetwork string
	// HostsFile and ResolvFile are generated files to mount over /etc/hosts and /etc/resolv.conf; empty: none.
	HostsFile, ResolvFile string
	// Cpuset are the cores of the partition that tasks without cores of their own share; empty: all.
	Cpuset string
	// SecurityOpt are the task's security options with files read in.
	SecurityOpt []string
	// Pin returns a host path of what is now at rel below area, and stays that whatever tasks do to area's content; links
	// that lead out of area are refused. create makes what is missing. Errors go on after "host path x". nil: as it is.
	Pin func(area, rel string, create bool) (string, error)
}

// Request is a container to be made.
type Request struct {
	Create client.ContainerCreateOptions
	// Ports are the ports inside the container by label.
	Ports map[string]int
	// Warnings are lines for the task's user.
	Warnings []string
}

// Create decides how the container is made. Errors name the option and are final: another attempt would fail the same.
func Create(in Input) (*Request, error) {
	if err := in.Plugin.Allow(in.Config); err != nil {
		return nil, err
	}
	if err := checkPlatform(in); err != nil {
		return nil, err
	}
	r := &Request{}
	limits, warnings, err := resources(in)
	if err != nil {
		return nil, err
	}
	r.Warnings = append(r.Warnings, warnings...)
	labels, err := Labels(in.Task, in.Plugin.ExtraLabels, in.Config.Labels, in.Owner)
	if err != nil {
		return nil, err
	}
	c := &container.Config{
		Image:      in.ImageID,
		User:       in.Task.User,
		Tty:        in.Config.TTY,
		OpenStdin:  in.Config.Interactive,
		WorkingDir: in.Config.WorkDir,
		Entrypoint: in.Config.Entrypoint,
		Cmd:        command(in.Config),
		Labels:     labels,
	}
	if in.Config.Healthchecks.Disable {
		c.Healthcheck = &container.HealthConfig{Test: []string{"NONE"}}
	}
	h := &container.HostConfig{
		Resources:      limits,
		LogConfig:      logConfig(in.Plugin, in.Config),
		OomScoreAdj:    in.Config.OOMScoreAdj,
		Privileged:     in.Config.Privileged,
		ReadonlyRootfs: in.Config.ReadonlyRootFS,
		GroupAdd:       in.Config.GroupAdd,
		Sysctls:        in.Config.Sysctl,
		StorageOpt:     in.Config.StorageOpt,
		ShmSize:        in.Config.ShmSize,
		SecurityOpt:    in.SecurityOpt,
		Isolation:      isolation(in),
		Runtime:        runtimeOf(in),
		CgroupnsMode:   container.CgroupnsMode(in.Config.CgroupNS),
		PidMode:        container.PidMode(in.Config.PIDMode),
		IpcMode:        container.IpcMode(in.Config.IPCMode),
		UTSMode:        container.UTSMode(in.Config.UTSMode),
		UsernsMode:     container.UsernsMode(in.Config.UserNSMode),
	}
	if in.Config.Init {
		h.Init = &in.Config.Init
	}
	if err := capabilities(in, h); err != nil {
		return nil, err
	}
	if err := mounts(in, h); err != nil {
		return nil, err
	}
	endpoints, err := networking(in, r, c, h)
	if err != nil {
		return nil, err
	}
	c.Env = environment(in.Task.Env, r.Ports)
	r.Create = client.ContainerCreateOptions{Name: Name(in.Task), Config: c, HostConfig: h, NetworkingConfig: endpoints}
	return r, nil
}

// Name is the container's name.
func Name(task *driver.TaskConfig) string { return task.Name + "-" + task.AllocID }

// command overrides the image's; arguments alone are its arguments too.
func command(c config.Task) []string {
	if c.Command == "" {
		return c.Args
	}
	return append([]string{c.Command}, c.Args...)
}

func checkPlatform(in Input) error {
	if !in.Node.Windows {
		if in.Config.Isolation != "" {
			return fmt.Errorf("isolation = %q works on Windows only", in.Config.Isolation)
		}
		return nil
	}
	user := in.Task.User
	if user == "" {
		user = in.ImageUser
	}
	if strings.EqualFold(user, "ContainerAdmin") || strings.EqualFold(user, "ContainerAdministrator") {
		if !in.Config.Privileged && !in.Plugin.WindowsAllowContainerAdmin {
			return fmt.Errorf("running as %s needs privileged = true, or windows_allow_insecure_container_admin of the docker plugin", user)
		}
	}
	return nil
}

func isolation(in Input) container.Isolation {
	if !in.Node.Windows {
		return ""
	}
	if in.Config.Isolation == "" {
		return container.IsolationHyperV
	}
	return container.Isolation(in.Config.Isolation)
}

// nvidiaDevices is set by the device plugin of NVIDIA for tasks that were given a GPU.
const nvidiaDevices = "NVIDIA_VISIBLE_DEVICES"

// runtimeOf is the task's choice, or the one that gives it the GPUs a device plugin reserved.
func runtimeOf(in Input) string {
	if in.Config.Runtime == "" && in.Task.DeviceEnv[nvidiaDevices] != "" {
		return in.Plugin.NvidiaRuntime
	}
	return in.Config.Runtime
}

func logConfig(p config.Plugin, t config.Task) container.LogConfig {
	kind := t.Logging.Type
	if kind == "" {
		kind = t.Logging.Driver
	}
	if kind == "" && len(t.Logging.Config) == 0 {
		return container.LogConfig{Type: p.Logging.Type, Config: p.Logging.Config}
	}
	if kind == "" {
		kind = p.Logging.Type
	}
	return container.LogConfig{Type: kind, Config: t.Logging.Config}
}

// environment is sorted, so that the same task always makes the same request.
func environment(env map[string]string, ports map[string]int) []string {
	merged := maps.Clone(env)
	for label, port := range ports {
		for _, prefix := range []string{"NOMAD_PORT_", "DROVER_PORT_"} {
			if _, is := merged[prefix+label]; is {
				merged[prefix+label] = fmt.Sprint(port)
			}
		}
	}
	lines := make([]string, 0, len(merged))
	for name, value := range merged {
		lines = append(lines, name+"="+value)
	}
	slices.Sort(lines)
	return lines
}

// match reports whether a glob fits. Patterns are the operator's; a broken one fits nothing.
func match(pattern, value string) bool {
	ok, err := path.Match(pattern, value)
	return err == nil && ok
}
