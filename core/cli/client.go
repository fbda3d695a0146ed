package cli

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/droverhq/drover/core/model"
)

// clientFlags are the flags of every command that calls the API.
type clientFlags struct {
	address, region, namespace, token         string
	caCert, caPath, clientCert, clientKey     string
	tlsServerName                             string
	skipVerify, insecure, noColor, forceColor bool
}

func (f *clientFlags) add(fs *pflag.FlagSet) {
	fs.StringVar(&f.address, "address", "", "address of the agent (DROVER_ADDR, NOMAD_ADDR; default http://127.0.0.1:4646)")
	fs.StringVar(&f.region, "region", "", "region to talk to (DROVER_REGION)")
	fs.StringVar(&f.namespace, "namespace", "", "namespace, * for all where lists allow it (DROVER_NAMESPACE)")
	fs.StringVar(&f.token, "token", "", "access token (DROVER_TOKEN)")
	fs.StringVar(&f.caCert, "ca-cert", "", "file with the certificate authority (DROVER_CACERT)")
	fs.StringVar(&f.caPath, "ca-path", "", "directory of certificate authorities (DROVER_CAPATH)")
	fs.StringVar(&f.clientCert, "client-cert", "", "file with this client's certificate (DROVER_CLIENT_CERT)")
	fs.StringVar(&f.clientKey, "client-key", "", "file with this client's key (DROVER_CLIENT_KEY)")
	fs.StringVar(&f.tlsServerName, "tls-server-name", "", "name to expect in the server's certificate (DROVER_TLS_SERVER_NAME)")
	fs.BoolVar(&f.skipVerify, "tls-skip-verify", false, "do not verify the server's certificate (DROVER_SKIP_VERIFY)")
	fs.BoolVar(&f.insecure, "insecure", false, "same as -tls-skip-verify")
	fs.BoolVar(&f.noColor, "no-color", false, "no colours (DROVER_CLI_NO_COLOR)")
	fs.BoolVar(&f.forceColor, "force-color", false, "colours even when the output is no terminal")
	for _, name := range []string{"insecure", "no-color", "force-color"} {
		fs.MarkHidden(name)
	}
}

// client calls the HTTP API.
type client struct {
	base      *url.URL
	http      *http.Client
	token     string
	basicAuth string
	region    string
	namespace string
}

// apiError is an answer other than 2xx.
type apiError struct {
	Code int
	Body string
}

func (e *apiError) Error() string {
	return fmt.Sprintf("Unexpected response code: %d (%s)", e.Code, strings.TrimSpace(e.Body))
}

func notFound(err error) bool {
	var ae *apiError
	return errors.As(err, &ae) && ae.Code == http.StatusNotFound
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

func (a *app) api() (*client, error) {
	f := a.client
	addr := first(f.address, a.env("ADDR"), "http://127.0.0.1:4646")
	if !strings.Contains(addr, "://") {
		addr = "http://" + addr
	}
	u, err := url.Parse(addr)
	if err != nil {
		return nil, fmt.Errorf("address %q: %w", addr, err)
	}
	c := &client{
		base: u, token: first(f.token, a.env("TOKEN")), basicAuth: a.env("HTTP_AUTH"),
		region: first(f.region, a.env("REGION")), namespace: first(f.namespace, a.env("NAMESPACE")),
	}
	tr := http.DefaultTransport.(*http.Transport).Clone()
	tr.DisableCompression = false
	if u.Scheme == "unix" {
		path := u.Path
		tr.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		}
		c.base = &url.URL{Scheme: "http", Host: "localhost"}
	}
	if u.Scheme == "https" {
		if tr.TLSClientConfig, err = a.tls(); err != nil {
			return nil, err
		}
	}
	c.http = &http.Client{Transport: tr}
	return c, nil
}

func (a *app) tls() (*tls.Config, error) {
	f := a.client
	skip, _ := strconv.ParseBool(a.env("SKIP_VERIFY"))
	cfg := &tls.Config{ServerName: first(f.tlsServerName, a.env("TLS_SERVER_NAME")), InsecureSkipVerify: f.skipVerify || f.insecure || skip}
	files := []string{}
	if ca := first(f.caCert, a.env("CACERT")); ca != "" {
		files = append(files, ca)
	}
	if dir := first(f.caPath, a.env("CAPATH")); dir != "" {
		more, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil {
			return nil, err
		}
		files = append(files, more...)
	}
	if len(files) > 0 {
		cfg.RootCAs = x509.NewCertPool()
		for _, name := range files {
			pem, err := os.ReadFile(name)
			if err != nil {
				return nil, fmt.Errorf("certificate authority: %w", err)
			}
			if !cfg.RootCAs.AppendCertsFromPEM(pem) {
				return nil, fmt.Errorf("certificate authority: %s holds no certificate", name)
			}
		}
	}
	cert, key := first(f.clientCert, a.env("CLIENT_CERT")), first(f.clientKey, a.env("CLIENT_KEY"))
	if cert != "" || key != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("client certificate: %w", err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}

// forJob has the calls that follow go to the job's region and namespace, unless others were asked for. "global" is what
// a job file that names no region has, and is any region.
func (c *client) forJob(j *model.Job) {
	if c.region == "" && j.Region != "global" {
		c.region = j.Region
	}
	if c.namespace == "" {
		c.namespace = j.Namespace
	}
}

// query are parameters of a call.
type query map[string]string

// url makes the address of a call; the path's arguments must be escaped (see seg).
func (c *client) url(path string, q query) *url.URL {
	u := *c.base
	escaped := strings.TrimSuffix(c.base.Path, "/") + path
	u.RawPath = escaped
	if p, err := url.PathUnescape(escaped); err == nil {
		u.Path = p
	}
	values := url.Values{}
	if c.region != "" {
		values.Set("region", c.region)
	}
	if c.namespace != "" {
		values.Set("namespace", c.namespace)
	}
	for k, v := range q {
		if v != "" {
			values.Set(k, v)
		}
	}
	u.RawQuery = values.Encode()
	return &u
}

// seg escapes one argument of a path.
func seg(s string) string { return url.PathEscape(s) }

func (c *client) do(ctx context.Context, method, path string, q query, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.url(path, q).String(), body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	c.authorize(req.Header)
	resp, err := c.http.Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) && ctx.Err() == nil {
			return nil, fmt.Errorf("cannot reach the agent at %s: %w (is it running? -address or DROVER_ADDR names another one)", c.base, ue.Err)
		}
		return nil, err
	}
	if resp.StatusCode/100 != 2 {
		defer resp.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
		return nil, &apiError{resp.StatusCode, string(text)}
	}
	return resp, nil
}

func (c *client) authorize(h http.Header) {
	if c.token != "" {
		h.Set("X-Nomad-Token", c.token)
	}
	if user, pass, ok := strings.Cut(c.basicAuth, ":"); ok {
		r := http.Request{Header: h}
		r.SetBasicAuth(user, pass)
	}
}

// get decodes the answer into out and returns the index that a blocking query goes on from.
func (c *client) get(ctx context.Context, path string, q query, out any) (uint64, error) {
	resp, err := c.do(ctx, http.MethodGet, path, q, nil)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	index, _ := strconv.ParseUint(resp.Header.Get("X-Nomad-Index"), 10, 64)
	return index, decode(resp.Body, out)
}

// put sends in as JSON and decodes the answer into out, if there is one.
func (c *client) put(ctx context.Context, path string, q query, in, out any) error {
	return c.send(ctx, http.MethodPut, path, q, in, out)
}

func (c *client) delete(ctx context.Context, path string, q query, out any) error {
	return c.send(ctx, http.MethodDelete, path, q, nil, out)
}

func (c *client) send(ctx context.Context, method, path string, q query, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	resp, err := c.do(ctx, method, path, q, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return decode(resp.Body, out)
}

func decode(r io.Reader, out any) error {
	if out == nil {
		_, err := io.Copy(io.Discard, r)
		return err
	}
	if err := json.NewDecoder(r).Decode(out); err != nil && err != io.EOF {
		return fmt.Errorf("read the agent's answer: %w", err)
	}
	return nil
}

// watch calls fn with each new state of a resource until fn says it has seen enough.
func watch[T any](ctx context.Context, c *client, path string, q query, fn func(T) (done bool, err error)) error {
	index := uint64(0)
	for {
		var v T
		qq := query{"wait": "60000ms"}
		for k, val := range q {
			qq[k] = val
		}
		if index > 0 {
			qq["index"] = strconv.FormatUint(index, 10)
		}
		next, err := c.get(ctx, path, qq, &v)
		if err != nil {
			return err
		}
		done, err := fn(v)
		if done || err != nil {
			return err
		}
		if next == 0 || next < index { // the server lost its state: start over
			next = 1
		}
		if next == index && index == 1 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(100 * time.Millisecond):
			}
		}
		index = next
	}
}
