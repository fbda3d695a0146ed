package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/droverhq/drover/sdk/host"
	"github.com/droverhq/drover/sdk/plugin"
	gopluginv1 "github.com/droverhq/drover/sdk/proto/goplugin/v1"
)

func processChecks() []check {
	return []check{
		{name: "process/handshake", run: checkHandshake,
			reason: "a host finds a plugin by the first line on its stdout: core version 1, plugin version 2, address, grpc"},
		{name: "process/cookie", run: checkCookie,
			reason: "a person who runs the binary should be told that it is a plugin, instead of seeing it hang"},
		{name: "process/health", run: checkHealthService,
			reason: "hosts ask the standard health service for \"plugin\" whether the plugin still serves"},
		{name: "process/sigint-ignored", run: checkInterrupt,
			reason: "Ctrl-C in a terminal reaches the agent and its plugins; only the agent decides what ends"},
		{name: "process/host-disconnect", run: checkDisconnect,
			reason: "an agent that restarts leaves its plugins running and comes back to the same socket"},
		{name: "process/shutdown", run: checkShutdown,
			reason: "hosts ask plugins to end with GRPCController.Shutdown and kill them after 2 s"},
		{name: "process/two-at-once", run: checkTwoAtOnce,
			reason: "hosts launch a binary several times, and run two generations side by side while one replaces the other"},
	}
}

func checkHandshake(ctx context.Context, s *session) error {
	p, err := s.plugin.Launch(ctx)
	if err != nil {
		return err
	}
	p.Kill(ctx)
	return nil
}

func checkCookie(ctx context.Context, s *session) error {
	ctx, cancel := context.WithTimeout(ctx, promptly)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.config.Path, s.config.Args...)
	for _, entry := range append(os.Environ(), s.plugin.Env...) {
		if !strings.HasPrefix(entry, plugin.CookieKey+"=") {
			cmd.Env = append(cmd.Env, entry)
		}
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	if _, bad := host.ParseHandshake(stdout.String()); bad == nil {
		return warn(errors.New("it starts without the host's cookie in its environment"))
	}
	if err == nil {
		return warn(errors.New("it exits with 0 when it is started by hand; a failure would tell scripts"))
	}
	if stdout.Len() == 0 && stderr.Len() == 0 {
		return warn(errors.New("it says nothing when it is started by hand"))
	}
	return nil
}

func checkHealthService(ctx context.Context, s *session) error {
	p, err := s.process(ctx)
	if err != nil {
		return err
	}
	conn, err := raw(p)
	if err != nil {
		return err
	}
	defer conn.Close()
	resp, err := healthv1.NewHealthClient(conn).Check(ctx, &healthv1.HealthCheckRequest{Service: gopluginv1.HealthService})
	if err != nil {
		return warn(fmt.Errorf("ask for the health of %q: %w", gopluginv1.HealthService, err))
	}
	if resp.GetStatus() != healthv1.HealthCheckResponse_SERVING {
		return fmt.Errorf("it says that it is %s", resp.GetStatus())
	}
	return nil
}

func checkInterrupt(ctx context.Context, s *session) error {
	if !canInterrupt {
		return skip("this system has no SIGINT")
	}
	p, err := s.process(ctx)
	if err != nil {
		return err
	}
	for range 3 {
		if err := p.Process().Signal(os.Interrupt); err != nil {
			return err
		}
	}
	select {
	case <-p.Done():
		return fmt.Errorf("SIGINT ended the plugin: %s", p.State())
	case <-time.After(300 * time.Millisecond): // nothing tells that a signal was ignored
	}
	_, err = p.Client.Info(ctx)
	return err
}

func checkDisconnect(ctx context.Context, s *session) error {
	p, err := s.plugin.Start(ctx)
	if err != nil {
		return err
	}
	defer p.Kill(ctx)
	before, err := p.Client.Info(ctx)
	if err != nil {
		return err
	}
	for range 3 {
		if err := p.Client.Close(); err != nil {
			return err
		}
		c, err := host.Dial(ctx, p.Reattach)
		if err != nil {
			return fmt.Errorf("connect again after the host left: %w", err)
		}
		p.Client = c
		after, err := c.Info(ctx)
		if err != nil {
			return err
		}
		if after.Name != before.Name || after.Version != before.Version {
			return fmt.Errorf("it was %s %s and is %s %s after a reconnect", before.Name, before.Version, after.Name, after.Version)
		}
		if err := c.Driver().Init(ctx); err != nil { // as after a restart of the agent, and without SetConfig
			return err
		}
	}
	return nil
}

func checkShutdown(ctx context.Context, s *session) error {
	p, err := s.plugin.Start(ctx)
	if err != nil {
		return err
	}
	defer p.Kill(ctx)
	if err := p.Client.Stop(ctx); err != nil {
		return err
	}
	select {
	case <-p.Done():
	case <-time.After(promptly):
		return fmt.Errorf("it still runs %s after it was asked to end", promptly)
	}
	if code := p.State().ExitCode(); code != 0 {
		return warn(fmt.Errorf("it was asked to end and ended with %s", p.State()))
	}
	if p.Reattach.Network == "unix" {
		if _, err := os.Stat(p.Reattach.Addr); err == nil {
			return warn(fmt.Errorf("it left its socket %s behind", p.Reattach.Addr))
		}
	}
	return nil
}

func checkTwoAtOnce(ctx context.Context, s *session) error {
	first, err := s.process(ctx)
	if err != nil {
		return err
	}
	second, err := s.plugin.Start(ctx)
	if err != nil {
		return warn(fmt.Errorf("a second process of it does not start: %w", err))
	}
	defer second.Kill(ctx)
	if _, err := first.Client.Info(ctx); err != nil {
		return fmt.Errorf("the first process, while a second one runs: %w", err)
	}
	return nil
}
