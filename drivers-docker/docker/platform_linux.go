package docker

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/droverhq/drover/sdk/driver"
)

func platformCapabilities(c driver.Capabilities) driver.Capabilities { return c }

// cpusetUnmanaged reports that cores cannot be assigned.
func cpusetUnmanaged() bool { return os.Geteuid() != 0 }

// sharedCores are the cores of the partition that tasks without cores of their own live in; empty if there is none.
func sharedCores(task *driver.TaskConfig) string {
	dir := task.Resources.Linux.CpusetCgroup
	if dir == "" || task.Resources.Linux.CpusetCpus != "" {
		return ""
	}
	for _, name := range []string{
		filepath.Join(filepath.Dir(dir), "cpuset.cpus.effective"), // v2: the task's scope lies in the partition
		filepath.Join(dir, "cpuset.effective_cpus"),               // v1: the partition itself
		filepath.Join(dir, "cpuset.cpus"),
	} {
		if data, err := os.ReadFile(name); err == nil {
			return strings.TrimSpace(string(data))
		}
	}
	return ""
}

// killInContainer ends a process of the host if it still is one of the container's.
func killInContainer(pid int, container string) {
	fd, err := os.FindProcess(pid) // holds a pidfd, so that the number cannot come to mean another process
	if err != nil {
		return
	}
	defer func() { _ = fd.Release() }()
	groups, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil || !strings.Contains(string(groups), container) {
		return
	}
	_ = fd.Signal(syscall.SIGKILL)
}
