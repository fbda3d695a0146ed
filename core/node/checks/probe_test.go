package checks

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/droverhq/drover/core/model"
)

func TestProbeGRPC(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	status := health.NewServer()
	status.SetServingStatus("up", grpc_health_v1.HealthCheckResponse_SERVING)
	status.SetServingStatus("down", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	srv := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(srv, status)
	go srv.Serve(l)
	defer srv.Stop()
	at := l.Addr().(*net.TCPAddr)
	for name, c := range map[string]struct {
		check model.ServiceCheck
		fails string // part of the error; empty is success
	}{
		"the server":      {model.ServiceCheck{}, ""},
		"a service":       {model.ServiceCheck{GRPCService: "up"}, ""},
		"not serving":     {model.ServiceCheck{GRPCService: "down"}, "NOT_SERVING"},
		"unknown service": {model.ServiceCheck{GRPCService: "x"}, "NotFound"},
		"TLS is asked":    {model.ServiceCheck{GRPCUseTLS: true}, "Unavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			c.check.Type = "grpc"
			a := Probe(t.Context(), &c.check, Target{Addr: at.IP.String(), Port: at.Port})
			if (a.Err == nil) != (c.fails == "") || a.Err != nil && !strings.Contains(a.Err.Error(), c.fails) {
				t.Errorf("error %v, want %q", a.Err, c.fails)
			}
		})
	}
}

func TestProbeScript(t *testing.T) {
	exec := func(ctx context.Context, argv []string, w io.Writer) (int, error) {
		switch argv[0] {
		case "hangs":
			<-ctx.Done()
			return 0, ctx.Err()
		case "missing":
			return 0, errors.New("no such file")
		case "bad":
			io.WriteString(w, "two\nlines\n")
			return 2, nil
		case "loud":
			for range 1000 {
				io.WriteString(w, "0123456789")
			}
		case "binary":
			io.WriteString(w, "a\xffb")
		}
		return 0, nil
	}
	for command, want := range map[string]struct {
		fails, output string
		code          int
	}{
		"fine":    {},
		"bad":     {"exit code 2", "two\nlines", 2},
		"missing": {"no such file", "script missing: no such file", 0},
		"hangs":   {"did not end in time", "script hangs did not end in time: context deadline exceeded", 0},
		"loud":    {"", strings.Repeat("0123456789", 1000)[:maxOutput], 0},
		"binary":  {"", "a\uFFFDb", 0},
	} {
		t.Run(command, func(t *testing.T) {
			c := model.ServiceCheck{Type: Script, Command: command, Timeout: 50 * time.Millisecond}
			a := Probe(t.Context(), &c, Target{Exec: exec, Replace: func(s string) string { return s }})
			if (a.Err == nil) != (want.fails == "") || a.Err != nil && !strings.Contains(a.Err.Error(), want.fails) {
				t.Errorf("error %v, want %q", a.Err, want.fails)
			}
			if a.Output != want.output || a.StatusCode != want.code {
				t.Errorf("output %q, code %d; want %q, %d", a.Output, a.StatusCode, want.output, want.code)
			}
		})
	}
}
