// Package wine runs the Windows binaries under Wine, which has no user of its own to ask: what it proves and what only a
// real Windows can prove is listed in docs/guide/windows.md.
package wine

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/droverhq/drover/e2e/harness"
)

// machine is a Windows machine: a Wine prefix of its own.
type machine struct {
	t       testing.TB
	prefix  string // on this system's paths
	windows string // directory with the binaries of `make windows`
}

// template is an installed machine that newMachine copies; TestMain removes it.
var template = struct {
	sync.Mutex
	prefix string
}{}

func TestMain(m *testing.M) {
	code := m.Run()
	if template.prefix != "" {
		// Debian's Wine keeps its sockets outside of the prefix, for all copies in one directory that is named there.
		if name, err := os.ReadFile(filepath.Join(template.prefix, "wineserver")); err == nil && strings.HasPrefix(string(name), "wine-") {
			os.RemoveAll(filepath.Join(os.TempDir(), filepath.Base(strings.TrimSpace(string(name)))))
		}
		os.RemoveAll(template.prefix)
	}
	os.Exit(code)
}

// newMachine makes a machine that is gone, with all its processes, when the test ends.
func newMachine(t testing.TB) *machine {
	t.Helper()
	for _, tool := range []string{"wine", "wineserver", "x86_64-w64-mingw32-gcc"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%s is missing: run `make deps`", tool)
		}
	}
	m := &machine{t: t, windows: filepath.Join(harness.Bin(t), "windows")}
	if _, err := os.Stat(filepath.Join(m.windows, "drover.exe")); err != nil {
		t.Fatalf("no binaries to test: %v; run `make windows` first", err)
	}
	m.prefix = m.temporary()
	t.Cleanup(func() {
		m.wineserver("-k") // fails when nothing runs any more
		os.RemoveAll(m.prefix)
	})
	m.copyTemplate()
	m.stayUp()
	return m
}

func (m *machine) temporary() string {
	m.t.Helper()
	dir, err := os.MkdirTemp("", "wine")
	if err != nil {
		m.t.Fatal(err)
	}
	return dir
}

func (m *machine) wineserver(flag string) {
	cmd := exec.Command("wineserver", flag)
	cmd.Env = m.environ()
	_ = cmd.Run()
}

// copyTemplate fills the machine's prefix, which is 700 MB: files are shared but for the registry, the only ones that Wine
// writes in their place.
func (m *machine) copyTemplate() {
	m.t.Helper()
	template.Lock()
	defer template.Unlock()
	if template.prefix == "" {
		made := &machine{t: m.t, prefix: m.temporary()}
		template.prefix = made.prefix
		made.must(exec.Command("wine", "wineboot", "-i"))
		made.must(exec.Command("x86_64-w64-mingw32-gcc", "-shared", "-O", "-o",
			made.file("windows", "system32", "bcryptprimitives.dll"), "testdata/bcryptprimitives.c", "-ladvapi32"))
		made.wineserver("-k")
		made.wineserver("-w") // the registry is on disk then
	}
	m.must(exec.Command("cp", "-al", template.prefix+"/.", m.prefix))
	registry, err := filepath.Glob(filepath.Join(template.prefix, "*.reg"))
	if err != nil || len(registry) == 0 {
		m.t.Fatalf("no registry in %s: %v", template.prefix, err)
	}
	m.must(exec.Command("cp", append(append([]string{"--remove-destination"}, registry...), m.prefix)...))
}

// stayUp keeps a shell open that waits for input: with its last program a Wine machine shuts down, services included.
func (m *machine) stayUp() {
	m.t.Helper()
	shell := exec.Command("wine", "cmd.exe")
	shell.Env = m.environ()
	in, err := shell.StdinPipe()
	if err == nil {
		err = shell.Start()
	}
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() {
		in.Close()
		_ = shell.Wait()
	})
}

// environ keeps Wine from looking for a display and from printing what it lacks.
func (m *machine) environ() []string {
	var env []string
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "DISPLAY=") && !strings.HasPrefix(entry, "NOMAD_") && !strings.HasPrefix(entry, "DROVER_") {
			env = append(env, entry)
		}
	}
	return append(env, "WINEPREFIX="+m.prefix, "WINEDEBUG=-all", "WINEARCH=win64")
}

func (m *machine) must(cmd *exec.Cmd) string {
	m.t.Helper()
	out, err := m.output(cmd)
	if err != nil {
		m.t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return out
}

// output runs a command in the machine and returns what it printed. That goes into a file: a pipe is inherited by the server
// and the services that Wine starts with its first program, and would not end with the command.
func (m *machine) output(cmd *exec.Cmd) (string, error) {
	m.t.Helper()
	file, err := os.CreateTemp("", "wine-output")
	if err != nil {
		m.t.Fatal(err)
	}
	defer os.Remove(file.Name())
	defer file.Close()
	cmd.Env, cmd.Stdout = m.environ(), file
	if cmd.Stderr == nil {
		cmd.Stderr = file
	}
	failed := cmd.Run()
	printed, err := os.ReadFile(file.Name())
	if err != nil {
		m.t.Fatal(err)
	}
	return string(printed), failed
}

// run runs a Windows program to its end, which must be a good one.
func (m *machine) run(program string, args ...string) string {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), time.Minute)
	defer cancel()
	return m.must(exec.CommandContext(ctx, "wine", append([]string{program}, args...)...))
}

// try runs a Windows program that may fail.
func (m *machine) try(program string, args ...string) (string, error) {
	return m.output(exec.Command("wine", append([]string{program}, args...)...))
}

// file is what this system calls a file of the machine's drive C.
func (m *machine) file(name ...string) string {
	return filepath.Join(append([]string{m.prefix, "drive_c"}, name...)...)
}

// install copies plugins into a new plugin directory.
func (m *machine) install(plugins ...string) string {
	m.t.Helper()
	dir := m.file("plugins")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		m.t.Fatal(err)
	}
	for _, name := range plugins {
		data, err := os.ReadFile(filepath.Join(m.windows, "plugins", name))
		if err != nil {
			m.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o755); err != nil {
			m.t.Fatal(err)
		}
	}
	return `C:\plugins`
}

// agent is a Windows agent. Calls and commands come from this system, over loopback, which both share.
type agent struct {
	*harness.Agent
	m    *machine
	cmd  *exec.Cmd
	log  string // file
	kill func() // ends the process with no chance to clean up, and waits for it
}

// alone is the configuration of an agent that is server and node.
const alone = "server { enabled = true }\nclient { enabled = true }\n"

// configure writes an agent's configuration to C:\agent.hcl and returns the agent's address.
func (m *machine) configure(config string) string {
	m.t.Helper()
	ports := harness.FreePorts(m.t)
	text := fmt.Sprintf("data_dir = %q\nports {\n http = %d\n rpc = %d\n serf = %d\n}\n%s", `C:\data`, ports.HTTP, ports.RPC, ports.Serf, config)
	if err := os.WriteFile(m.file("agent.hcl"), []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
	return fmt.Sprintf("http://127.0.0.1:%d", ports.HTTP)
}

// start runs an agent that is server and node until the test ends. config is added to its configuration.
func (m *machine) start(pluginDir, config string) *agent {
	m.t.Helper()
	a := &agent{Agent: harness.Reach(m.t, m.configure(alone+config)), m: m}
	ended := a.launch(pluginDir)
	harness.Eventually(m.t, 2*time.Minute, "agent ready", func() error {
		select {
		case <-ended:
			m.t.Fatal("the agent ended")
		default:
		}
		return a.Get("/v1/agent/health", nil)
	})
	return a
}

// launch starts the configured agent's process, which runs until kill or the end of the test.
func (a *agent) launch(pluginDir string) (ended <-chan struct{}) {
	t := a.m.t
	t.Helper()
	log, err := os.CreateTemp(a.m.prefix, "agent*.log")
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	a.log = log.Name()
	a.cmd = exec.Command("wine", filepath.Join(a.m.windows, "drover.exe"), "agent", "-config", `C:\agent.hcl`, "-plugin-dir", pluginDir)
	a.cmd.Env = a.m.environ()
	a.cmd.Stdout, a.cmd.Stderr = log, log
	if err := a.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func(cmd *exec.Cmd) {
		_ = cmd.Wait()
		close(done)
	}(a.cmd)
	process := a.cmd.Process
	kill := func() {
		_ = process.Kill()
		<-done
	}
	a.kill = kill
	t.Cleanup(func() {
		kill()
		if t.Failed() {
			t.Logf("agent log:\n%s", printed(log.Name()))
		}
	})
	return done
}

// printed is what the agent that was launched last has logged.
func (a *agent) printed() string { return printed(a.log) }

func printed(log string) string {
	text, err := os.ReadFile(log)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// driverInfo is what a node says of a driver.
type driverInfo struct {
	Detected, Healthy bool
	HealthDescription string
}

// nodeInfo is what the tests look at of a node.
type nodeInfo struct {
	ID, Name, Status string
	Attributes       map[string]string
	Drivers          map[string]driverInfo
}

// node is what the cluster knows of the node with this name; empty: of the only one.
func node(a *harness.Agent, name string) (*nodeInfo, error) {
	var nodes []struct{ ID, Name string }
	if err := a.Get("/v1/nodes", &nodes); err != nil {
		return nil, err
	}
	for _, n := range nodes {
		if name == "" || n.Name == name {
			found := new(nodeInfo)
			return found, a.Get("/v1/node/"+n.ID, found)
		}
	}
	return nil, fmt.Errorf("no node %q among %v", name, nodes)
}

// waitDriver waits until the node offers a driver.
func (a *agent) waitDriver(name string) map[string]string {
	a.m.t.Helper()
	var found *nodeInfo
	harness.Eventually(a.m.t, 2*time.Minute, "driver "+name+" healthy", func() (err error) {
		if found, err = node(a.Agent, ""); err != nil {
			return err
		}
		if d := found.Drivers[name]; !d.Healthy {
			return fmt.Errorf("detected %t: %s", d.Detected, d.HealthDescription)
		}
		return nil
	})
	return found.Attributes
}
