package agent

import (
	"fmt"
	"net"
	"time"

	"github.com/droverhq/drover/core/certs"
	"github.com/droverhq/drover/core/config"
	"github.com/droverhq/drover/core/rpc"
)

// renewBefore is how long before its end a certificate's end is told.
const renewBefore = 14 * 24 * time.Hour

// openCertificates reads this agent's certificate, when it needs one.
func (a *Agent) openCertificates() error {
	c := &a.config.TLS
	if !c.Enabled() {
		return nil
	}
	o, err := c.Options()
	if err != nil {
		return err
	}
	if a.certs, err = certs.Open(o); err != nil {
		return err
	}
	a.tellCertificate()
	if c.RPC {
		a.security = &rpc.Security{Source: a.certs, Region: a.config.Region, AnyName: !c.VerifyServerHostname, PlainToo: c.RPCUpgradeMode}
		a.checkOwnName()
	}
	return nil
}

// checkOwnName warns of a certificate with which this agent will be refused.
func (a *Agent) checkOwnName() {
	roles := []certs.Role{certs.Server}
	if !a.config.Server.Enabled {
		roles = append(roles, certs.Client)
	}
	if err := certs.Require(a.certs.Leaf(), a.config.Region, roles...); err != nil && !a.security.AnyName {
		a.logger.Warn("other agents will refuse this one", "reason", err)
	}
}

// readCertificates reads the certificate again. renew takes it for new connections; those that are open go on.
func (a *Agent) readCertificates(next *config.Config) (renew func(), err error) {
	is, was := next.TLS, a.config.TLS
	if is.HTTP != was.HTTP || is.RPC != was.RPC || is.VerifyHTTPSClient != was.VerifyHTTPSClient || is.VerifyServerHostname != was.VerifyServerHostname ||
		is.RPCUpgradeMode != was.RPCUpgradeMode {
		a.logger.Warn("of the tls block, a reload applies the files, tls_min_version and tls_cipher_suites; the rest needs a restart")
	}
	if a.certs == nil || !is.Enabled() {
		return func() {}, nil
	}
	o, err := is.Options()
	if err != nil {
		return nil, err
	}
	read, err := certs.Read(o)
	if err != nil {
		return nil, err
	}
	return func() {
		a.certs.Use(read)
		a.tellCertificate()
		if a.security != nil {
			a.checkOwnName()
		}
	}, nil
}

func (a *Agent) tellCertificate() {
	leaf, left := a.certs.Leaf(), time.Until(a.certs.Expires())
	a.logger.Info("certificate in use", "names", leaf.DNSNames, "valid_until", leaf.NotAfter.UTC().Format(time.RFC3339))
	if left < renewBefore {
		a.logger.Warn("the certificate ends soon: renew it and reload the agent (SIGHUP)", "valid_until", leaf.NotAfter.UTC().Format(time.RFC3339))
	}
}

func (a *Agent) scheme() string {
	if a.config.TLS.HTTP {
		return "https"
	}
	return "http"
}

// warnExposed says what strangers can reach.
func (a *Agent) warnExposed() {
	for _, e := range exposed(a.config) {
		a.logger.Warn("reachable from other machines: "+e.what, "service", e.service, "address", e.address)
	}
}

// exposure is a port that is open to strangers, and what they can do there.
type exposure struct{ service, address, what string }

// exposed lists them. Ports on loopback are not reachable, those that check certificates not open.
func exposed(c *config.Config) []exposure {
	const commands = "whoever reaches this port can run commands here"
	var out []exposure
	add := func(service, address, what string) {
		host, _, err := net.SplitHostPort(address)
		if ip := net.ParseIP(host); err == nil && ip != nil && !ip.IsLoopback() {
			out = append(out, exposure{service, address, what})
		}
	}
	switch {
	case !c.TLS.HTTP:
		add("HTTP API", c.HTTPAddr(), "no encryption and no access control: "+commands+" (tls { http = true, verify_https_client = true })")
	case !c.TLS.VerifyHTTPSClient:
		add("HTTP API", c.HTTPAddr(), "encrypted, but without access control: "+commands+" (tls { verify_https_client = true })")
	}
	if !c.Server.Enabled {
		return out
	}
	switch {
	case !c.TLS.RPC:
		add("RPC", c.RPCAddr(), "no encryption and no access control: "+commands+" (tls { rpc = true })")
	case c.TLS.RPCUpgradeMode:
		add("RPC", c.RPCAddr(), "agents without TLS are let in: "+commands+" (tls { rpc_upgrade_mode = false })")
	case !c.TLS.VerifyServerHostname:
		add("RPC", c.RPCAddr(), fmt.Sprintf("every certificate of %s makes a server (tls { verify_server_hostname = true })", c.TLS.CAFile))
	}
	if c.Server.Encrypt == "" && !c.DevMode {
		add("gossip", c.SerfAddr(), "no encryption: whoever reaches this port can pretend to be a server (server { encrypt })")
	}
	return out
}
