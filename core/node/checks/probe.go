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

// Replace resolves ${...} in a check's fields.
type Replace func(string) string

// Probe asks once. A nil error is success.
func Probe(ctx context.Context, c *model.ServiceCheck, addr string, port int, replace Replace) error {
	timeout := c.Timeout
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	target := net.JoinHostPort(addr, strconv.Itoa(port))
	switch c.Type {
	case "tcp":
		return probeTCP(ctx, target)
	case "http":
		return probeHTTP(ctx, c, target, replace)
	}
	return fmt.Errorf("checks of type %q are not supported", c.Type)
}

func probeTCP(ctx context.Context, target string) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", target)
	if err != nil {
		return err
	}
	return conn.Close()
}

// probeHTTP: every status of 2xx is success. The connection is not kept: a check must see what a new client sees.
func probeHTTP(ctx context.Context, c *model.ServiceCheck, target string, replace Replace) error {
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
		return err
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
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: c.TLSSkipVerify, ServerName: c.TLSServerName}, //nolint:gosec // the job asks for it
	}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("%s %s answered %s", method, path, resp.Status)
	}
	return nil
}
