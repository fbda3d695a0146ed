package conformance

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/host"
	"github.com/droverhq/drover/sdk/plugin"
	driverv1 "github.com/droverhq/drover/sdk/proto/driver/v1"
)

func execChecks() []check {
	return []check{
		{name: "driver/exec", of: plugin.TypeDriver, run: checkExec,
			reason: "health checks and change scripts run inside tasks; their exit code and output count"},
		{name: "driver/exec-streaming", of: plugin.TypeDriver, run: checkExecStreaming,
			reason: "people work inside tasks: input, output and exit code travel on one stream"},
		{name: "driver/exec-without-setup", of: plugin.TypeDriver, run: checkExecWithoutSetup,
			reason: "a stream that does not begin with its setup must be refused, not take the process down"},
	}
}

// executing starts a task for commands to be run in.
func (s *session) executing(ctx context.Context) (*host.Driver, *task, error) {
	d, t, err := s.long(ctx)
	if err != nil {
		return nil, nil, err
	}
	if !s.caps.Exec {
		_, err := d.ExecTask(ctx, t.Config.ID, []string{"true"}, promptly)
		if errors.Is(err, host.ErrPluginDown) {
			return nil, nil, err
		}
		if err == nil {
			return nil, nil, warn(errors.New("it runs commands, but does not say so in its capabilities"))
		}
		return nil, nil, skip("the driver cannot run commands in tasks")
	}
	if s.config.Exec == nil {
		return nil, nil, skip("no command is given (Config.Exec)")
	}
	return d, t, nil
}

func checkExec(ctx context.Context, s *session) error {
	d, t, err := s.executing(ctx)
	if err != nil {
		return err
	}
	e := s.config.Exec
	r, err := d.ExecTask(ctx, t.Config.ID, e.Command, 2*promptly)
	if err != nil {
		return err
	}
	if err := e.expect(string(r.Stdout), &r.Exit); err != nil {
		return err
	}
	return stillRuns(ctx, d, t)
}

func (e *Exec) expect(stdout string, exit *driver.ExitResult) error {
	if !strings.Contains(stdout, e.Stdout) {
		return fmt.Errorf("%v should write %q, it wrote %s", e.Command, e.Stdout, quote(stdout))
	}
	if exit.ExitCode != e.ExitCode {
		return fmt.Errorf("%v ended with %s; expected exit code %d", e.Command, exitText(exit), e.ExitCode)
	}
	return nil
}

func checkExecStreaming(ctx context.Context, s *session) error {
	d, t, err := s.executing(ctx)
	if err != nil {
		return err
	}
	e := s.config.Exec
	var stdout, stderr strings.Builder
	req := &driver.ExecRequest{TaskID: t.Config.ID, Command: e.Command, Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr}
	exit, err := d.ExecTaskStreaming(ctx, req)
	if err != nil {
		return err
	}
	if err := e.expect(stdout.String(), exit); err != nil {
		return err
	}
	if e.Cat == nil {
		return nil
	}
	input := strings.Repeat("0123456789abcdef\n", 8<<10) // 136 KiB: more than a pipe holds
	stdout.Reset()
	req.Command, req.Stdin = e.Cat, strings.NewReader(input)
	if exit, err = d.ExecTaskStreaming(ctx, req); err != nil {
		return fmt.Errorf("%v with %d bytes of input: %w", e.Cat, len(input), err)
	}
	if stdout.String() != input || exit.ExitCode != 0 {
		return fmt.Errorf("%v got %d bytes of input and returned %d bytes with %s", e.Cat, len(input), stdout.Len(), exitText(exit))
	}
	return nil
}

func checkExecWithoutSetup(ctx context.Context, s *session) error {
	_, _, err := s.executing(ctx)
	if err != nil {
		return err
	}
	conn, err := raw(s.shared)
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, promptly)
	defer cancel()
	stream, err := driverv1.NewClient(conn).ExecTaskStreaming(ctx)
	if err != nil {
		return err
	}
	if err := stream.Send(&driverv1.ExecTaskStreamingRequest{}); err != nil {
		return err
	}
	if _, err := stream.Recv(); err == nil || ctx.Err() != nil {
		return errors.New("a first message that is not the setup was not refused")
	}
	return s.shared.Client.Ping(context.WithoutCancel(ctx))
}
