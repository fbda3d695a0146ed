package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/droverhq/drover/drivers-exec/executor"
	"github.com/droverhq/drover/sdk/driver"
)

// How long QEMU may take from its start to its first answer, how often it is
// asked, and how long a second start may take that finds out why it failed.
const (
	startWithin   = 30 * time.Second
	startPoll     = 20 * time.Millisecond
	explainWithin = 5 * time.Second
	explainCPU    = 5 // s
)

// Start starts the task's machine and returns when QEMU answers.
func (d *Driver) Start(ctx context.Context, req *driver.StartRequest[taskConfig]) (*driver.StartResponse[executor.State], error) {
	task, c := req.Task, &req.Config
	cmd, err := d.command(ctx, req)
	if err != nil {
		return nil, errors.Join(err, tidy(task.TaskDir(), c.NoCloud != nil))
	}
	state, err := d.processes.Start(ctx, *cmd, req.Emit)
	if err != nil {
		return nil, errors.Join(err, tidy(task.TaskDir(), c.NoCloud != nil))
	}
	d.enter(task, c)
	if err := d.answers(ctx, task); err != nil {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), startWithin)
		defer cancel()
		if errors.Is(err, errEnded) {
			if why := explain(stop, cmd); why != "" {
				err = fmt.Errorf("QEMU did not start: %s", why)
			}
		}
		return nil, errors.Join(err, d.Destroy(stop, &driver.DestroyRequest{TaskID: task.ID, Force: true}))
	}
	return &driver.StartResponse[executor.State]{State: state, Network: override(c.PortMap)}, nil
}

// command composes QEMU's process, writes the seed, and makes the cgroup last.
func (d *Driver) command(ctx context.Context, req *driver.StartRequest[taskConfig]) (*executor.Command, error) {
	task, c, config := req.Task, &req.Config, d.configured()
	name := emulatorName(c.Emulator)
	if err := checkEmulator(name, config.EmulatorsAllowlist); err != nil {
		return nil, err
	}
	if err := checkArgs(c.Args, config.ArgsAllowlist); err != nil {
		return nil, err
	}
	if !hasMonitor && (c.GracefulShutdown || c.GuestAgent) {
		return nil, errors.New("graceful_shutdown and guest_agent need Unix sockets, which this operating system's QEMU does not have")
	}
	program, err := pick(findEmulators(), name)
	if err != nil {
		return nil, err
	}
	m, err := describe(task, c, allow(task.AllocDir, config.ImagePaths))
	if err != nil {
		return nil, err
	}
	var why string
	m.Accelerator, why = choose(c.Accelerator, func() error { return d.kvm.usable(ctx, program) })
	if why != "" {
		m.Args, m.CPUs = withoutKVM(m.Args), 0
		d.log.Warn("kvm cannot be used", "task", task.ID, "reason", why)
		req.Emit("kvm cannot be used, the machine is emulated in software: "+why, nil)
	}
	cmd := &executor.Command{
		ID: task.ID, Dir: executor.KeeperDir(Name, task.AllocDir),
		Stdout: task.StdoutPath, Stderr: task.StderrPath,
	}
	cmd.Spec.Path, cmd.Spec.Args = program.Path, m.arguments(program.Path)
	cmd.Spec.Env, cmd.Spec.Dir = environ(task), task.TaskDir()
	return cmd, surround(cmd, task, m)
}

// environ is QEMU's own environment. Nothing of the job's is in it: the guest could not see it, and variables such as
// LD_PRELOAD would run the job's code on the host as QEMU's user. Home is no place where a job could leave settings. Whose
// machine it is can be told by the names that processes of other drivers have.
func environ(task *driver.TaskConfig) []string {
	search := os.Getenv("PATH")
	if search == "" {
		search = executor.DefaultPath
	}
	env := []string{"HOME=/", "LANG=C.UTF-8", "PATH=" + search, "TMPDIR=" + task.TaskDir(),
		"NOMAD_ALLOC_ID=" + task.AllocID, "NOMAD_TASK_NAME=" + task.Name}
	if root := os.Getenv("SystemRoot"); root != "" {
		env = append(env, "SystemRoot="+root) // without it Windows loads no network
	}
	return env
}

// describe makes a machine of a task's config: it finds and checks the images
// and builds the seed.
func describe(task *driver.TaskConfig, c *taskConfig, allow allowed) (*machine, error) {
	memory := task.Resources.MemoryMB
	if memory < minMemory || memory > maxMemory {
		return nil, fmt.Errorf("a machine needs between %d and %d MB of memory, the task has %d", minMemory, maxMemory, memory)
	}
	m := &machine{Type: c.MachineType, Memory: memory, GuestAgent: c.GuestAgent, Args: c.Args}
	if strings.Contains(c.Accelerator, "kvm") {
		m.CPUs = cores(task.Resources.Linux.CpusetCpus)
	}
	given := append([]diskConfig{{Path: c.ImagePath}}, c.Disks...)
	for i, disk := range given {
		path, err := allow.find(disk.Path, task.TaskDir(), task.AllocDir)
		if err != nil {
			return nil, fmt.Errorf("image %q: %w", disk.Path, err)
		}
		img, err := openImage(path, allow)
		if err != nil {
			return nil, err
		}
		drive := drive{ID: "image" + strconv.Itoa(i), Image: img, Interface: disk.Interface, ReadOnly: disk.ReadOnly}
		if drive.Interface == "" {
			drive.Interface = c.DriveInterface
		}
		m.Drives = append(m.Drives, drive)
	}
	if c.NoCloud != nil {
		path, err := writeSeed(c.NoCloud, task)
		if err != nil {
			return nil, err
		}
		m.Drives = append(m.Drives, seedDrive(path, c.DriveInterface))
	}
	var err error
	m.Network, err = network(task, c.PortMap)
	return m, err
}

// seedID names the drive with the seed.
const seedID = "seed"

// seedDrive attaches the seed the way the images are, so that the guest needs
// no other drivers.
func seedDrive(path, like string) drive {
	d := drive{ID: seedID, Image: image{Path: path, Format: "raw"}, Interface: like, ReadOnly: true}
	switch like {
	case "ide", "scsi":
		d.CDROM = true
	case "virtio", "none":
	default:
		d.Interface = "virtio"
	}
	return d
}

// cores counts the cores of a list such as "2,4-7".
func cores(cpus string) int {
	n := 0
	for _, part := range strings.Split(cpus, ",") {
		first, last, isRange := strings.Cut(strings.TrimSpace(part), "-")
		a, err := strconv.Atoi(first)
		if err != nil {
			continue
		}
		b := a
		if isRange {
			if b, err = strconv.Atoi(last); err != nil {
				continue
			}
		}
		n += b - a + 1
	}
	return n
}

var errEnded = errors.New("QEMU ended during its start")

// answers waits until QEMU answers on its monitor, or ends.
func (d *Driver) answers(ctx context.Context, task *driver.TaskConfig) error {
	if !hasMonitor {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	ended := make(chan *driver.ExitResult, 1)
	go func() {
		if exit, err := d.processes.Wait(ctx, task.ID); err == nil {
			ended <- exit
		}
	}()
	tick := time.NewTicker(startPoll)
	defer tick.Stop()
	for {
		m, err := dialMonitor(ctx, task.TaskDir())
		if err == nil {
			defer m.close()
			_, err = m.status(ctx)
		}
		if err == nil {
			return nil
		}
		select {
		case exit := <-ended:
			return fmt.Errorf("%w with exit code %d: its message is in the task's stderr", errEnded, exit.ExitCode)
		case <-ctx.Done():
			return fmt.Errorf("QEMU does not answer: %w", err)
		case <-tick.C:
		}
	}
}

// explain finds out why QEMU ended, by starting it once more where what it
// says can be read. It does not run the guest.
func explain(ctx context.Context, failed *executor.Command) string {
	if failed.Spec.NetNS != "" || failed.Spec.User != nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, explainWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, failed.Spec.Path, append(failed.Spec.Args[1:len(failed.Spec.Args):len(failed.Spec.Args)], "-S")...)
	cmd.Dir, cmd.Env, cmd.WaitDelay = failed.Spec.Dir, failed.Spec.Env, time.Second
	text, err := runBounded(cmd, explainCPU)
	if err == nil || ctx.Err() != nil {
		return "" // this time it would have started
	}
	return complaint(text, failed.Spec.Args[0])
}

// complaint picks from what QEMU printed: the last line that begins with its
// name, without which it prints hints and warnings of its libraries.
func complaint(text, program string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		if strings.HasPrefix(lines[i], program+": ") {
			return strings.TrimSpace(strings.TrimPrefix(lines[i], program+": "))
		}
	}
	return strings.TrimSpace(lines[len(lines)-1])
}

// tidy removes what QEMU leaves in the task's directory, and the seed.
func tidy(dir string, seed bool) error {
	names := []string{monitorSocket, agentSocket}
	if seed {
		names = append(names, seedFile)
	}
	root, err := os.OpenRoot(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer root.Close()
	for _, name := range names {
		if err := root.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}
