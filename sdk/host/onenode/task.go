package onenode

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strconv"

	"github.com/droverhq/drover/sdk/driver"
)

// TaskSpec is what a job would say about the task.
type TaskSpec struct {
	Name string
	// DriverConfig is the task's config block, encoded with the driver's schema.
	DriverConfig []byte
	Env          map[string]string // wins over what every task gets
	User         string
	CPUShares    int64 // MHz; 0 = 100
	MemoryMB     int64 // 0 = 64
	// Isolation is the driver's, and decides how the task sees its directories.
	Isolation driver.FSIsolation
	// NullOutput gives the task the null device instead of pipes.
	NullOutput bool
}

// Task is a task's place on this machine: its directories and its output.
type Task struct {
	Config driver.TaskConfig

	dir    string
	stdout *output
	stderr *output
}

// NewTask makes a task's directories below dir, and the pipes for its output, which go to stdout and stderr. Call Drain
// when the task has ended and Remove at last. dir should be short: some drivers put sockets below it.
func NewTask(dir string, spec TaskSpec, stdout, stderr io.Writer) (*Task, error) {
	id, suffix := newUUID(), randomHex(4)
	t := &Task{dir: filepath.Join(dir, id), Config: driver.TaskConfig{
		ID: id + "/" + spec.Name + "/" + suffix, Name: spec.Name,
		TaskGroup: spec.Name, JobID: spec.Name, JobName: spec.Name, Namespace: "default",
		AllocID: id, NodeName: "onenode", NodeID: nodeID(dir),
		DriverConfig: spec.DriverConfig, User: spec.User, AllocDir: filepath.Join(dir, id),
		Resources:  resources(spec),
		StdoutPath: os.DevNull, StderrPath: os.DevNull,
	}}
	t.Config.Env = environment(&t.Config, spec)
	if err := t.makeDirs(); err != nil {
		return nil, errors.Join(fmt.Errorf("prepare task %s: %w", spec.Name, err), t.Remove())
	}
	if spec.NullOutput {
		return t, nil
	}
	var err error
	if t.stdout, err = newOutput(filepath.Join(t.dir, "alloc", "logs", "."+spec.Name+".stdout.fifo"), stdout); err == nil {
		t.Config.StdoutPath = t.stdout.path
		t.stderr, err = newOutput(filepath.Join(t.dir, "alloc", "logs", "."+spec.Name+".stderr.fifo"), stderr)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("prepare output of task %s: %w", spec.Name, err), t.Remove())
	}
	t.Config.StderrPath = t.stderr.path
	return t, nil
}

// NextAttempt is the config for starting the same task once more: its id is new, as the contract has it.
func (t *Task) NextAttempt() *driver.TaskConfig {
	next := t.Config
	next.ID = next.AllocID + "/" + next.Name + "/" + randomHex(4)
	return &next
}

// Drain passes on what is still in the pipes, and ends them. Call it when the task's end is known: everything it wrote is
// in the pipes by then, and nobody closes them.
func (t *Task) Drain() {
	t.stdout.drain()
	t.stderr.drain()
}

// Remove drains the pipes and deletes the task's directories.
func (t *Task) Remove() error {
	t.Drain()
	return os.RemoveAll(t.dir)
}

// makeDirs makes what an agent makes before it starts a task. The task may run as any user.
func (t *Task) makeDirs() error {
	for _, d := range []string{"alloc/data", "alloc/logs", "alloc/tmp", t.Config.Name + "/local", t.Config.Name + "/tmp"} {
		if err := makeDir(filepath.Join(t.dir, filepath.FromSlash(d)), 0o777); err != nil {
			return err
		}
	}
	return makeDir(filepath.Join(t.dir, t.Config.Name, "secrets"), 0o777)
}

func makeDir(path string, mode os.FileMode) error {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	return os.Chmod(path, mode) // whatever the umask says
}

func resources(spec TaskSpec) driver.Resources {
	cpu, memory := spec.CPUShares, spec.MemoryMB
	if cpu == 0 {
		cpu = 100
	}
	if memory == 0 {
		memory = 64
	}
	usable := float64(coreSpeed * len(Node().Topology.Cores))
	return driver.Resources{CPUShares: cpu, MemoryMB: memory, Linux: driver.LinuxResources{
		CPUShares: cpu, MemoryLimitBytes: memory << 20, PercentTicks: float64(cpu) / usable,
	}}
}

// environment is what every task sees, under both families of names.
func environment(c *driver.TaskConfig, spec TaskSpec) map[string]string {
	shared, local, secrets := c.SharedDir(), c.LocalDir(), c.SecretsDir()
	env := map[string]string{}
	if spec.Isolation == driver.FSChroot || spec.Isolation == driver.FSImage {
		shared, local, secrets = insideDirs()
	}
	if spec.Isolation != driver.FSImage {
		env["PATH"] = os.Getenv("PATH")
	}
	for name, value := range map[string]string{
		"ALLOC_DIR": shared, "TASK_DIR": local, "SECRETS_DIR": secrets,
		"ALLOC_ID": c.AllocID, "SHORT_ALLOC_ID": c.AllocID[:8], "ALLOC_NAME": c.JobName + "." + c.TaskGroup + "[0]", "ALLOC_INDEX": "0",
		"TASK_NAME": c.Name, "GROUP_NAME": c.TaskGroup, "JOB_ID": c.JobID, "JOB_NAME": c.JobName, "NAMESPACE": c.Namespace,
		"CPU_LIMIT":    strconv.FormatInt(c.Resources.CPUShares, 10),
		"MEMORY_LIMIT": strconv.FormatInt(c.Resources.MemoryMB, 10),
	} {
		env["DROVER_"+name], env["NOMAD_"+name] = value, value
	}
	maps.Copy(env, spec.Env)
	return env
}

// nodeID is the same for all tasks below dir: they are one node's.
func nodeID(dir string) string {
	sum := sha256.Sum256([]byte(dir))
	return uuid([16]byte(sum[:16]))
}

func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return uuid(b)
}

func uuid(b [16]byte) string {
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}
