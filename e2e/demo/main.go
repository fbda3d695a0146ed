// demo shows Drover to somebody who sees it for the first time: it starts a throw-away agent, runs the example jobs,
// fetches the web page from both instances, prints what a user would look at, and leaves the agent running until
// Ctrl-C. Whatever it started is gone when it ends.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	bin := flag.String("bin", "../bin", "directory with drover, plugins/ and examples/")
	examples := flag.String("examples", "../docs/examples", "directory with the job files")
	once := flag.Bool("once", false, "end after the tour instead of waiting for Ctrl-C")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	d, err := newDemo(*bin, *examples)
	if err == nil {
		err = d.run(ctx, *once)
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

type demo struct {
	drover   string
	plugins  string
	web      string // the web server's binary
	examples string
	tmp      string
	driver   string
	webPath  string // as the task sees it
	addr     string
	agent    *exec.Cmd
}

func newDemo(bin, examples string) (*demo, error) {
	abs, err := filepath.Abs(bin)
	if err != nil {
		return nil, err
	}
	d := &demo{drover: filepath.Join(abs, "drover"), plugins: filepath.Join(abs, "plugins"), web: filepath.Join(abs, "examples", "hello-web")}
	if d.examples, err = filepath.Abs(examples); err != nil {
		return nil, err
	}
	for _, f := range []string{d.drover, d.plugins, d.web} {
		if _, err := os.Stat(f); err != nil {
			return nil, fmt.Errorf("%w; `make build` makes it", err)
		}
	}
	return d, nil
}

func (d *demo) run(ctx context.Context, once bool) error {
	var err error
	if d.tmp, err = os.MkdirTemp("", "drover-demo-"); err != nil {
		return err
	}
	defer os.RemoveAll(d.tmp)
	if err := d.configure(); err != nil {
		return err
	}
	defer d.stop() // also when it starts and is then not as it should be, or Ctrl-C comes early
	if err := d.start(ctx); err != nil {
		return err
	}
	if err := d.tour(ctx); err != nil {
		return err
	}
	if once {
		return nil
	}
	title("The agent goes on until Ctrl-C")
	fmt.Printf("API:  %s/v1/jobs\nTry:  export DROVER_ADDR=%s; %s job status hello\n", d.addr, d.addr, d.drover)
	<-ctx.Done()
	return nil
}

// configure chooses the driver: exec isolates tasks but needs root.
func (d *demo) configure() error {
	d.driver, d.webPath = "raw_exec", d.web
	text := "ports {\n"
	for _, name := range []string{"http", "rpc", "serf"} {
		port, err := freePort()
		if err != nil {
			return err
		}
		if name == "http" {
			d.addr = fmt.Sprintf("http://127.0.0.1:%d", port)
		}
		text += fmt.Sprintf("  %s = %d\n", name, port)
	}
	text += "}\n"
	if os.Geteuid() == 0 {
		d.driver, d.webPath = "exec", "/opt/hello/hello-web"
		// An isolated task sees the directories named here, read-only, and nothing else of the machine.
		text += fmt.Sprintf(`plugin "exec" {
  config {
    chroot_env = {
      %q = "/opt/hello"
      "/bin" = "/bin", "/usr" = "/usr", "/lib" = "/lib", "/lib64" = "/lib64", "/etc" = "/etc"
    }
  }
}
`, filepath.Dir(d.web))
	}
	return os.WriteFile(filepath.Join(d.tmp, "agent.hcl"), []byte(text), 0o600)
}

func freePort() (int, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port, nil
}

func (d *demo) start(ctx context.Context) error {
	title("Starting an agent with an empty data directory")
	if d.driver == "exec" {
		fmt.Println("You are root: tasks run isolated, with the exec driver.")
	} else {
		fmt.Println("You are not root: tasks run as they are, with the raw_exec driver.")
	}
	log, err := os.Create(filepath.Join(d.tmp, "agent.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	d.agent = exec.Command(d.drover, "agent", "-dev", "-config", filepath.Join(d.tmp, "agent.hcl"), "-plugin-dir", d.plugins)
	d.agent.Stdout, d.agent.Stderr = log, log
	d.agent.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C reaches this program first, which then stops the agent
	if err := d.agent.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		d.agent.Wait()
		close(ended)
	}()
	err = progress(ctx, "waiting for the agent and its plugins", 60*time.Second, func() (bool, error) {
		select {
		case <-ended:
			text, _ := os.ReadFile(log.Name())
			return false, fmt.Errorf("the agent ended at once:\n%s", text)
		default:
		}
		resp, err := http.Get(d.addr + "/v1/agent/health")
		if err != nil {
			return false, nil
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK, nil
	})
	if err != nil {
		return err
	}
	return d.haveDriver(ctx)
}

// haveDriver makes sure that the driver is there before jobs wait for it, and shows what is wrong if it is not.
func (d *demo) haveDriver(ctx context.Context) error {
	err := progress(ctx, "waiting for the "+d.driver+" driver", 20*time.Second, func() (bool, error) {
		out, err := exec.CommandContext(ctx, d.drover, "-address", d.addr, "node", "status", "-self", "-json").Output()
		var node struct {
			Drivers map[string]struct{ Detected, Healthy bool }
		}
		if err != nil || json.Unmarshal(out, &node) != nil {
			return false, nil
		}
		return node.Drivers[d.driver].Detected && node.Drivers[d.driver].Healthy, nil
	})
	if err != nil {
		_ = d.command(ctx, "plugin", "list")
	}
	return err
}

// stop ends the agent, and with it (-dev) everything it runs.
func (d *demo) stop() {
	if d.agent == nil || d.agent.Process == nil {
		return
	}
	fmt.Println("\nStopping tasks and agent ...")
	d.agent.Process.Signal(os.Interrupt)
	deadline := time.Now().Add(60 * time.Second)
	for time.Now().Before(deadline) {
		if d.agent.Process.Signal(syscall.Signal(0)) != nil {
			fmt.Println("Done. Nothing is left behind.")
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	d.agent.Process.Kill()
	fmt.Fprintln(os.Stderr, "the agent did not end within a minute and was killed")
}

func (d *demo) tour(ctx context.Context) error {
	title("Running a service: docs/examples/hello.nomad.hcl, two instances")
	if err := d.command(ctx, "job", "run", "-var", "driver="+d.driver, "-var", "web="+d.webPath, filepath.Join(d.examples, "hello.nomad.hcl")); err != nil {
		return err
	}
	title("Running a batch job: docs/examples/count.nomad.hcl")
	if err := d.command(ctx, "job", "run", "-var", "driver="+d.driver, filepath.Join(d.examples, "count.nomad.hcl")); err != nil {
		return err
	}
	title("Fetching the page from both instances")
	if err := d.pages(ctx); err != nil {
		return err
	}
	title("drover job status hello")
	if err := d.command(ctx, "job", "status", "hello"); err != nil {
		return err
	}
	title("drover alloc logs -job count")
	err := progress(ctx, "waiting for the batch job to finish", 30*time.Second, func() (bool, error) {
		var allocs []struct{ ClientStatus string }
		if err := d.get("/v1/job/count/allocations", &allocs); err != nil {
			return false, err
		}
		return len(allocs) == 1 && allocs[0].ClientStatus == "complete", nil
	})
	if err != nil {
		return err
	}
	if err := d.command(ctx, "alloc", "logs", "-job", "count"); err != nil {
		return err
	}
	title("drover node status -self")
	if err := d.command(ctx, "node", "status", "-self"); err != nil {
		return err
	}
	title("drover plugin list")
	return d.command(ctx, "plugin", "list")
}

// pages asks the catalog where the service is and fetches from each instance.
func (d *demo) pages(ctx context.Context) error {
	var regs []struct {
		Address string
		Port    int
	}
	err := progress(ctx, "waiting for both instances in the catalog", 30*time.Second, func() (bool, error) {
		err := d.get("/v1/service/hello", &regs)
		return len(regs) == 2, err
	})
	if err != nil {
		return err
	}
	for _, r := range regs {
		url := "http://" + net.JoinHostPort(r.Address, fmt.Sprint(r.Port)) + "/"
		var text []byte
		err := progress(ctx, "GET "+url, 10*time.Second, func() (bool, error) {
			resp, err := http.Get(url)
			if err != nil {
				return false, nil
			}
			defer resp.Body.Close()
			text, err = io.ReadAll(resp.Body)
			return resp.StatusCode == http.StatusOK, err
		})
		if err != nil {
			return err
		}
		fmt.Printf("  %s", text)
	}
	return nil
}

func (d *demo) get(path string, into any) error {
	resp, err := http.Get(d.addr + path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(resp.Body)
		return fmt.Errorf("GET %s: %s: %s", path, resp.Status, text)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

// command shows a command's output as it comes.
func (d *demo) command(ctx context.Context, args ...string) error {
	shown := make([]string, len(args))
	for i, a := range args {
		shown[i] = strings.TrimPrefix(a, filepath.Dir(filepath.Dir(d.examples))+"/")
	}
	fmt.Printf("$ drover %s\n", strings.Join(shown, " "))
	cmd := exec.CommandContext(ctx, d.drover, args...)
	cmd.Env = append(os.Environ(), "DROVER_ADDR="+d.addr)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	sc := bufio.NewScanner(out)
	for sc.Scan() {
		fmt.Println("  " + sc.Text())
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("drover %s: %w", strings.Join(args[:2], " "), err)
	}
	return nil
}

func title(s string) { fmt.Printf("\n== %s\n", s) }

// progress asks until done says so, showing that it waits.
func progress(ctx context.Context, what string, limit time.Duration, done func() (bool, error)) error {
	fmt.Printf("  %s ", what)
	start := time.Now()
	dot := start
	for {
		ok, err := done()
		if err != nil {
			fmt.Println()
			return err
		}
		if ok {
			fmt.Printf(" ok (%.1fs)\n", time.Since(start).Seconds())
			return nil
		}
		if time.Since(start) > limit {
			fmt.Println()
			return fmt.Errorf("%s: not within %s", what, limit)
		}
		if time.Since(dot) > 500*time.Millisecond {
			fmt.Print(".")
			dot = time.Now()
		}
		select {
		case <-ctx.Done():
			fmt.Println()
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}
