package config

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"

	"github.com/droverhq/drover/core/certs"
)

// TLS configures how connections are protected. One certificate serves all of them.
type TLS struct {
	HTTP                 bool   `cfg:"http"`
	RPC                  bool   `cfg:"rpc"`
	CAFile               string `cfg:"ca_file"`
	CertFile             string `cfg:"cert_file"`
	KeyFile              string `cfg:"key_file"`
	VerifyServerHostname bool   `cfg:"verify_server_hostname"`
	VerifyHTTPSClient    bool   `cfg:"verify_https_client"`
	RPCUpgradeMode       bool   `cfg:"rpc_upgrade_mode"`
	MinVersion           string `cfg:"tls_min_version"`
	CipherSuites         string `cfg:"tls_cipher_suites"` // names with commas between them
}

// Enabled tells whether certificates are needed.
func (t *TLS) Enabled() bool { return t.HTTP || t.RPC }

// Options are what the block says of the certificate and of the connections. It lists everything that is wrong.
func (t *TLS) Options() (certs.Options, error) {
	o := certs.Options{Files: certs.Files{CA: t.CAFile, Cert: t.CertFile, Key: t.KeyFile}}
	var errs []error
	for _, f := range []struct{ name, v string }{{"ca_file", t.CAFile}, {"cert_file", t.CertFile}, {"key_file", t.KeyFile}} {
		if f.v == "" && t.Enabled() {
			errs = append(errs, fmt.Errorf("tls.%s is required with tls.http and tls.rpc; `drover tls` makes the files", f.name))
		}
	}
	switch t.MinVersion {
	case "", "tls12":
		o.MinVersion = tls.VersionTLS12
	case "tls13":
		o.MinVersion = tls.VersionTLS13
	default:
		errs = append(errs, fmt.Errorf("tls.tls_min_version must be tls12 or tls13, got %q: older versions are not safe", t.MinVersion))
	}
	known := map[string]uint16{}
	for _, s := range tls.CipherSuites() {
		known[s.Name] = s.ID
	}
	for _, name := range strings.Split(t.CipherSuites, ",") {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		id, ok := known[name]
		if !ok {
			errs = append(errs, fmt.Errorf("tls.tls_cipher_suites: %q is not known or not safe", name))
		}
		o.CipherSuites = append(o.CipherSuites, id)
	}
	return o, errors.Join(errs...)
}
