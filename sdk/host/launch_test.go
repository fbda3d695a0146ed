package host_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/host"
	"github.com/droverhq/drover/sdk/plugin"
	basev1 "github.com/droverhq/drover/sdk/proto/base/v1"
)

// modeVar makes this test binary act as a plugin, good or bad.
const modeVar = "HOST_TEST_MODE"

func TestMain(m *testing.M) {
	if mode := os.Getenv(modeVar); mode != "" {
		act(mode)
		return
	}
	os.Exit(m.Run())
}

func act(mode string) {
	switch mode {
	case "plugin":
		fmt.Fprintln(os.Stderr, "starting")
		plugin.Serve(driver.New(driver.Info{Name: "t", Version: "0.1.0"}, chatty{}))
	case "go-plugin":
		serveGoPlugin()
	case "prose":
		fmt.Println("Welcome to my plugin!")
		select {}
	case "no newline":
		fmt.Print(strings.Repeat("x", 1<<20))
		select {}
	case "crash":
		panic("no such luck")
	case "silent":
		select {}
	case "closes stdout":
		os.Stdout.Close()
		select {}
	case "old version":
		fmt.Println("1|1|unix|/tmp/none|grpc|")
		select {}
	case "nobody listens":
		fmt.Println("1|2|unix|/tmp/drover-no-such-socket|grpc|")
		select {}
	case "not grpc":
		l, _ := net.Listen("tcp", "127.0.0.1:0")
		fmt.Printf("1|2|tcp|%s|grpc|\n", l.Addr())
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(c, "HTTP/1.1 400 Bad Request\r\n\r\n")
			c.Close()
		}
	case "bare":
		serveBare()
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
		l, _ := net.Listen("tcp", "127.0.0.1:0")
		fmt.Printf("1|2|tcp|%s|grpc\n", l.Addr())
		s := grpc.NewServer()
		basev1.RegisterServer(s, bareBase{})
		_ = s.Serve(l)
	}
}

// serveBare is a plugin in the manner of other languages: TCP, five fields, and of all services only the base one.
func serveBare() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Printf("1|2|tcp|%s|grpc\n", l.Addr())
	s := grpc.NewServer()
	basev1.RegisterServer(s, bareBase{})
	_ = s.Serve(l)
}

type bareBase struct{ basev1.Server }

func (bareBase) PluginInfo(context.Context, *basev1.PluginInfoRequest) (*basev1.PluginInfoResponse, error) {
	return &basev1.PluginInfoResponse{Type: basev1.PluginType_DRIVER, Name: "iis", PluginVersion: "0.20.0", PluginApiVersions: []string{"0.1.0"}}, nil
}

func (bareBase) ConfigSchema(context.Context, *basev1.ConfigSchemaRequest) (*basev1.ConfigSchemaResponse, error) {
	return &basev1.ConfigSchemaResponse{}, nil
}

// chatty prints where no plugin should.
type chatty struct{}

func (chatty) Fingerprint(context.Context) (*driver.Fingerprint, error) {
	fmt.Println("printed to stdout")
	fmt.Fprintln(os.Stderr, "printed to stderr")
	return &driver.Fingerprint{Health: driver.Healthy}, nil
}
func (chatty) Start(context.Context, *driver.StartRequest[struct{}]) (*driver.StartResponse[struct{}], error) {
	return &driver.StartResponse[struct{}]{}, nil
}
func (chatty) Recover(context.Context, *driver.RecoverRequest[struct{}, struct{}]) error { return nil }
func (chatty) Wait(ctx context.Context, _ string) (*driver.ExitResult, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}
func (chatty) Stop(context.Context, *driver.StopRequest) error       { return nil }
func (chatty) Destroy(context.Context, *driver.DestroyRequest) error { return nil }

func launchConfig(t *testing.T, mode string) host.LaunchConfig {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return host.LaunchConfig{Path: self, Env: []string{modeVar + "=" + mode}, Timeout: 20 * time.Second}
}

// TestLaunchReportsBadBinaries: each kind of bad binary is told apart, in words, and is gone afterwards.
func TestLaunchReportsBadBinaries(t *testing.T) {
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("not a program"), 0o755); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		mode    string
		path    string
		timeout time.Duration
		want    []string
		class   error
	}{
		"greets":           {mode: "prose", want: []string{`"Welcome to my plugin!"`}, class: host.ErrNoHandshake},
		"floods stdout":    {mode: "no newline", want: []string{`"xxx`}, class: host.ErrNoHandshake},
		"crashes":          {mode: "crash", want: []string{"exit status 2", "no such luck"}, class: host.ErrNoHandshake},
		"says nothing":     {mode: "silent", timeout: 200 * time.Millisecond, want: []string{"printed nothing in time"}, class: host.ErrNoHandshake},
		"closes stdout":    {mode: "closes stdout", timeout: 200 * time.Millisecond, want: []string{"closed its stdout"}, class: host.ErrNoHandshake},
		"old protocol":     {mode: "old version", want: []string{"plugin protocol version 1, want 2"}, class: host.ErrNoHandshake},
		"nobody listens":   {mode: "nobody listens", want: []string{"drover-no-such-socket"}, class: host.ErrPluginDown},
		"does not do gRPC": {mode: "not grpc", want: []string{"does not speak gRPC"}, class: host.ErrPluginDown},
		"is not there":     {path: "/nonexistent", want: []string{"/nonexistent", "no such file"}, class: os.ErrNotExist},
		"is no program":    {path: script, want: []string{script, "exec format error"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			config := launchConfig(t, test.mode)
			if test.path != "" {
				config.Path = test.path
			}
			if test.timeout != 0 {
				config.Timeout = test.timeout
			}
			_, err := host.Launch(t.Context(), config)
			if err == nil {
				t.Fatal("launched")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %v\nwant it to contain %q", err, want)
				}
			}
			if test.class != nil && !errors.Is(err, test.class) {
				t.Errorf("%v is not a %v", err, test.class)
			}
		})
	}
}

func TestLaunchWithoutCookieExplains(t *testing.T) {
	config := launchConfig(t, "plugin")
	cmd := exec.Command(config.Path)
	cmd.Env = append(os.Environ(), config.Env...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(out), "is a plugin: an agent launches it") {
		t.Errorf("got %v: %s", err, out)
	}
}

// TestPluginProcess walks through the life of a plugin's process: interrupt, reattach, broken stderr, end.
func TestPluginProcess(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	config := launchConfig(t, "plugin")
	config.Stderr, config.SocketDir = w, t.TempDir()
	p, err := host.Launch(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Kill(context.Background()) })
	w.Close()
	if filepath.Dir(p.Reattach.Addr) != config.SocketDir {
		t.Errorf("the socket is at %s", p.Reattach.Addr)
	}

	// What the plugin prints goes to its stderr, whether or not a host listens to its redirected output.
	fingerprint(t, p.Client)
	lines := make([]byte, 1<<16)
	seen := ""
	for !strings.Contains(seen, "printed to stdout") || !strings.Contains(seen, "printed to stderr") {
		n, err := r.Read(lines)
		if err != nil {
			t.Fatalf("stderr ended with %q: %v", seen, err)
		}
		seen += string(lines[:n])
	}

	// The reader of its stderr dies; a Ctrl-C arrives; the host comes back under the stored address.
	r.Close()
	if err := p.Process().Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := p.Client.Close(); err != nil {
		t.Fatal(err)
	}
	c, err := host.Dial(t.Context(), p.Reattach)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 3 {
		fingerprint(t, c)
	}
	if err := c.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	if err := c.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	<-p.Done()
	if code := p.State().ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if _, err := os.Stat(p.Reattach.Addr); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
	if err := c.Ping(t.Context()); !errors.Is(err, host.ErrPluginDown) {
		t.Errorf("got %v", err)
	}
	if _, err := host.Dial(t.Context(), p.Reattach); !errors.Is(err, host.ErrPluginDown) {
		t.Errorf("got %v", err)
	}
}

func fingerprint(t *testing.T, c *host.Client) {
	t.Helper()
	got := errors.New("got it")
	err := c.Driver().Fingerprint(t.Context(), func(driver.Fingerprint) error { return got })
	if err != got {
		t.Fatal(err)
	}
}

// TestBarePlugin: five fields, TCP, no health service, no broker, no stdio, no controller (plugin protocol, traps 25, 26).
func TestBarePlugin(t *testing.T) {
	p, err := host.Launch(t.Context(), launchConfig(t, "bare"))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Kill(context.Background())
	info, err := p.Client.Info(t.Context())
	if err != nil || info.Name != "iis" || info.Type != plugin.TypeDriver || info.APIVersions[0] != "0.1.0" {
		t.Errorf("got %+v, %v", info, err)
	}
	if spec, err := p.Client.ConfigSchema(t.Context()); spec != nil || err != nil {
		t.Errorf("got %v, %v, want no schema", spec, err)
	}
	for name, err := range map[string]error{
		"ping":     p.Client.Ping(t.Context()),
		"init":     p.Client.Driver().Init(t.Context()),
		"shutdown": p.Client.Driver().Shutdown(t.Context()),
		"stop":     p.Client.Stop(t.Context()),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if ext, err := p.Client.Negotiate(t.Context(), plugin.HostInfo{}); err != nil || len(ext.Names) != 0 {
		t.Errorf("got %+v, %v, want no extensions", ext, err)
	}
	if _, err := p.Client.Driver().Capabilities(t.Context()); !errors.Is(err, host.ErrUnimplemented) {
		t.Errorf("got %v", err)
	}
}

func TestKillEndsAStubbornPlugin(t *testing.T) {
	p, err := host.Launch(t.Context(), launchConfig(t, "stubborn"))
	if err != nil {
		t.Fatal(err)
	}
	p.Kill(t.Context())
	<-p.Done()
}
