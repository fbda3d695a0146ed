package checks

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/droverhq/drover/core/model"
)

// defaultTimeout is used where a check names none.
const defaultTimeout = 2 * time.Second

// maxOutput bounds what is kept of an answer, in bytes.
const maxOutput = 3 << 10

// Replace resolves ${...} in a check's fields.
type Replace func(string) string

// Target is what a check asks: an address, or for a script the task it runs in.
type Target struct {
	Addr    string
	Port    int
	Replace Replace
	// Exec runs a program in the task and returns what it wrote and its exit code. Nil where no task runs.
	Exec func(ctx context.Context, argv []string, output io.Writer) (exit int, err error)
}

// Answer is what asking once gave.
type Answer struct {
	Err        error  // nil is success
	Output     string // what there is to show a person, at most 3 KiB
	StatusCode int    // HTTP status or a script's exit code
}

// Probe asks once.
func Probe(ctx context.Context, c *model.ServiceCheck, t Target) Answer {
	timeout := c.Timeout
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	target := net.JoinHostPort(t.Addr, strconv.Itoa(t.Port))
	var a Answer
	switch c.Type {
	case "tcp":
		a = probeTCP(ctx, target)
	case "http":
		a = probeHTTP(ctx, c, target, t.Replace)
	case "grpc":
		a = probeGRPC(ctx, c, target)
	case Script:
		a = probeScript(ctx, c, t)
	default:
		a.Err = fmt.Errorf("checks of type %q are not supported", c.Type)
	}
	if a.Err != nil && a.Output == "" {
		a.Output = a.Err.Error()
	}
	a.Output = shown(a.Output)
	return a
}

// shown makes anything that was answered fit to show.
func shown(output string) string {
	if len(output) > maxOutput {
		output = output[:maxOutput]
	}
	return strings.ToValidUTF8(strings.TrimSpace(output), "\uFFFD")
}

func probeTCP(ctx context.Context, target string) Answer {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", target)
	if err != nil {
		return Answer{Err: err}
	}
	return Answer{Output: "connected to " + target, Err: conn.Close()}
}

// tlsOf: verification is left out where the job asks for it.
func tlsOf(c *model.ServiceCheck) *tls.Config {
	return &tls.Config{InsecureSkipVerify: c.TLSSkipVerify, ServerName: c.TLSServerName}
}

// probeHTTP: every status of 2xx is success. The connection is not kept: a check must see what a new client sees.
func probeHTTP(ctx context.Context, c *model.ServiceCheck, target string, replace Replace) Answer {
	scheme, method := c.Protocol, c.Method
	if scheme == "" {
		scheme = "http"
	}
	if method == "" {
		method = http.MethodGet
	}
	path := "/" + strings.TrimPrefix(replace(c.Path), "/")
	req, err := http.NewRequestWithContext(ctx, method, scheme+"://"+target+path, strings.NewReader(replace(c.Body)))
	if err != nil {
		return Answer{Err: err}
	}
	for name, values := range c.Header {
		for _, v := range values {
			if strings.EqualFold(name, "Host") {
				req.Host = replace(v)
				continue
			}
			req.Header.Add(name, replace(v))
		}
	}
	transport := &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   tlsOf(c),
	}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return Answer{Err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxOutput))
	a := Answer{Output: string(body), StatusCode: resp.StatusCode}
	switch {
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		a.Err = fmt.Errorf("%s %s answered %s", method, path, resp.Status)
	case err != nil:
		a.Err = fmt.Errorf("%s %s answered %s and broke off: %w", method, path, resp.Status, err)
	}
	return a
}
