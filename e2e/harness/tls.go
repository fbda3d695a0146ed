package harness

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TLS is a user's certificate; nil is plain text.
type TLS struct{ CA, Cert, Key string }

func (u *TLS) env() []string {
	if u == nil {
		return nil
	}
	return []string{"DROVER_CACERT=" + u.CA, "DROVER_CLIENT_CERT=" + u.Cert, "DROVER_CLIENT_KEY=" + u.Key}
}

func (u *TLS) client(t testing.TB) *http.Client {
	if u == nil {
		return http.DefaultClient
	}
	t.Helper()
	roots := x509.NewCertPool()
	text, err := os.ReadFile(u.CA)
	if err != nil || !roots.AppendCertsFromPEM(text) {
		t.Fatalf("authority %s: %v", u.CA, err)
	}
	pair, err := tls.LoadX509KeyPair(u.Cert, u.Key)
	if err != nil {
		t.Fatal(err)
	}
	// A connection for each call: a renewed certificate is seen at once, and nothing is left open.
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}},
	}}
}

// Authority makes certificates with the command line, in a directory of its own.
type Authority struct {
	t   testing.TB
	dir string
}

// NewAuthority makes one.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{t, t.TempDir()}
	a.drover(a.dir, "ca", "create")
	return a
}

// CA is the file that agents and users need.
func (a *Authority) CA() string { return filepath.Join(a.dir, "drover-agent-ca.pem") }

// Make makes a certificate of a kind (server, client or cli) for the region global.
func (a *Authority) Make(kind string) *TLS {
	a.t.Helper()
	dir := a.t.TempDir()
	a.drover(dir, "cert", "create", "-"+kind, "-ca", a.CA(), "-key", filepath.Join(a.dir, "drover-agent-ca-key.pem"))
	name := filepath.Join(dir, "global-"+kind+"-drover")
	return &TLS{CA: a.CA(), Cert: name + ".pem", Key: name + "-key.pem"}
}

func (a *Authority) drover(dir string, args ...string) {
	a.t.Helper()
	cmd := exec.Command(filepath.Join(Bin(a.t), "drover"), append([]string{"tls"}, args...)...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		a.t.Fatalf("drover tls %v: %v\n%s", args, err, out)
	}
}
