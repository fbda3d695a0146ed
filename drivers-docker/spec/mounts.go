package spec

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"

	"github.com/droverhq/drover/drivers-docker/config"
	"github.com/droverhq/drover/sdk/driver"
)

// Names of the variables that say where a task finds its directories.
const (
	allocVariable   = "NOMAD_ALLOC_DIR"
	taskVariable    = "NOMAD_TASK_DIR"
	secretsVariable = "NOMAD_SECRETS_DIR"
)

// mounts brings the task's directories, the node's volumes and what the job asks for into the container.
func mounts(in Input, h *container.HostConfig) error {
	label := in.Plugin.Volumes.SELinuxLabel
	bind := func(source, target, mode string) {
		if label != "" {
			mode = strings.TrimPrefix(mode+","+label, ",")
		}
		entry := source + ":" + target
		if mode != "" {
			entry += ":" + mode
		}
		h.Binds = append(h.Binds, entry)
	}
	inside := func(variable, fallback string) string {
		if dir := in.Task.Env[variable]; dir != "" {
			return dir
		}
		if in.Node.Windows {
			return `c:\` + fallback
		}
		return "/" + fallback
	}
	alloc := inside(allocVariable, "alloc")
	bind(in.Task.SharedDir(), alloc, "")
	bind(in.Task.LocalDir(), inside(taskVariable, "local"), "")
	bind(in.Task.SecretsDir(), inside(secretsVariable, "secrets"), "")
	logs := path.Join(alloc, "logs")
	if in.Node.Windows {
		logs = alloc + `\logs`
	}
	logsDir := filepath.Join(in.Task.SharedDir(), "logs")
	if in.Pin != nil {
		// It lies in a directory that the allocation's tasks write to.
		pinned, err := in.Pin(in.Task.SharedDir(), "logs", true)
		if err != nil {
			return fmt.Errorf("%s %w", logsDir, err)
		}
		logsDir = pinned
	}
	bind(logsDir, logs, "ro")

	for _, v := range in.Config.Volumes {
		source, target, mode, err := splitVolume(v, in.Node.Windows)
		if err != nil {
			return err
		}
		if in.Config.VolumeDriver == "" {
			if source, err = hostPath(in, "volumes", source, true); err != nil {
				return err
			}
		}
		bind(source, target, mode)
	}
	h.VolumeDriver = in.Config.VolumeDriver

	for _, m := range in.Config.AllMounts() {
		converted, err := jobMount(in, m)
		if err != nil {
			return err
		}
		h.Mounts = append(h.Mounts, converted)
	}
	for _, m := range in.Task.Mounts {
		converted, err := nodeMount(m)
		if err != nil {
			return err
		}
		h.Mounts = append(h.Mounts, converted)
	}
	if in.HostsFile != "" {
		bind(in.HostsFile, "/etc/hosts", "")
	}
	if in.ResolvFile != "" {
		bind(in.ResolvFile, "/etc/resolv.conf", "")
	}
	return nil
}

// windowsVolume splits source:target[:mode] where both paths may begin with a drive letter.
func windowsVolume(text string) []string {
	const part = `([a-zA-Z]:[\\/][^:]*|\\\\[.?]\\pipe\\[^:]*|[^:]+)`
	return regexp.MustCompile(`^` + part + `:` + part + `(?::([a-zA-Z,]+))?$`).FindStringSubmatch(text)
}

func splitVolume(text string, windows bool) (source, target, mode string, err error) {
	if windows {
		parts := windowsVolume(text)
		if parts == nil {
			return "", "", "", fmt.Errorf(`volumes: %q is not source:target or source:target:mode`, text)
		}
		return parts[1], parts[2], parts[3], nil
	}
	parts := strings.Split(text, ":")
	if len(parts) < 2 || len(parts) > 3 || parts[0] == "" || parts[1] == "" {
		return "", "", "", fmt.Errorf("volumes: %q is not source:target or source:target:mode", text)
	}
	if !path.IsAbs(parts[1]) {
		return "", "", "", fmt.Errorf("volumes: %q: %s is not an absolute path inside the container", text, parts[1])
	}
	if len(parts) == 3 {
		mode = parts[2]
	}
	return parts[0], parts[1], mode, nil
}

// jobMount is a mount block of the job.
func jobMount(in Input, m config.Mount) (mount.Mount, error) {
	if !in.Node.Windows && !path.IsAbs(m.Target) {
		return mount.Mount{}, fmt.Errorf("mount: target %q is not an absolute path inside the container", m.Target)
	}
	out := mount.Mount{Type: mount.Type(m.Type), Target: m.Target, Source: m.Source, ReadOnly: m.Readonly}
	switch m.Type {
	case "", "volume":
		out.Type = mount.TypeVolume
		o := m.VolumeOptions
		out.VolumeOptions = &mount.VolumeOptions{NoCopy: o.NoCopy, Labels: o.Labels}
		if o.DriverConfig.Name != "" || len(o.DriverConfig.Options) > 0 {
			if !in.Plugin.Volumes.Enabled {
				return out, errors.New("mount: volume_options.driver_config is not allowed on this node; the operator can set volumes.enabled of the docker plugin")
			}
			out.VolumeOptions.DriverConfig = &mount.Driver{Name: o.DriverConfig.Name, Options: o.DriverConfig.Options}
		}
	case "bind":
		source, err := hostPath(in, "mount", m.Source, false)
		if err != nil {
			return out, err
		}
		out.Source = source
		out.BindOptions = &mount.BindOptions{Propagation: mount.Propagation(m.BindOptions.Propagation)}
	case "tmpfs":
		if m.Source != "" {
			return out, fmt.Errorf("mount: a tmpfs has no source, %q is set", m.Source)
		}
		if in.Node.Windows {
			return out, errors.New("mount: type tmpfs does not exist on Windows")
		}
		out.TmpfsOptions = &mount.TmpfsOptions{SizeBytes: m.TmpfsOptions.SizeBytes, Mode: os.FileMode(m.TmpfsOptions.Mode)}
	default:
		return out, fmt.Errorf("mount: type %q is none of volume, bind and tmpfs", m.Type)
	}
	return out, nil
}

// nodeMount is a volume that the node mounts for the task.
func nodeMount(m driver.Mount) (mount.Mount, error) {
	modes := map[string]mount.Propagation{
		"": "", "private": mount.PropagationRPrivate, "host-to-task": mount.PropagationRSlave, "bidirectional": mount.PropagationRShared,
	}
	mode, known := modes[m.Propagation]
	if !known {
		return mount.Mount{}, fmt.Errorf("mount %s: propagation mode %q is none of private, host-to-task and bidirectional", m.TaskPath, m.Propagation)
	}
	return mount.Mount{
		Type: mount.TypeBind, Source: m.HostPath, Target: m.TaskPath, ReadOnly: m.Readonly,
		BindOptions: &mount.BindOptions{Propagation: mode},
	}, nil
}
