package iis

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1" // not for security: Windows names certificates by it
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"math/big"
	"net"
	"os"
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

// sniMark begins endpoints that are a host name, in a task's state.
const sniMark = "sni:"

// selfSignedFor is how long a certificate of the driver's own is valid; the task makes a new one at its next start.
const selfSignedFor = 397 * 24 * time.Hour

// secure gives an endpoint its certificate. What it did is noted in the plan's state before it is done, so that a failed
// start takes it back.
func (d *Driver) secure(ctx context.Context, p *plan, h *httpsPlan) error {
	thumbprint := h.certificate.Thumbprint
	if thumbprint == "" {
		pfx, password, err := h.certificate.pfx(h.endpoint)
		if err != nil {
			return fmt.Errorf("certificate of %s: %w", h.endpoint, err)
		}
		if thumbprint, err = d.machine.importPFX(pfx, password); err != nil {
			return fmt.Errorf("import certificate of %s: %w", h.endpoint, err)
		}
		p.Certificates = append(p.Certificates, thumbprint)
	}
	mark := ""
	if h.sni {
		mark = sniMark
	}
	p.Endpoints = append(p.Endpoints, mark+h.endpoint)
	return d.machine.bind(ctx, h.endpoint, h.sni, thumbprint)
}

// pfx returns key and certificate in the one form that Windows imports.
func (c certificate) pfx(endpoint string) (pfx []byte, password string, err error) {
	if c.PFXFile != "" {
		pfx, err = os.ReadFile(c.PFXFile)
		return pfx, c.Password, err
	}
	var pair tls.Certificate
	if c.SelfSigned {
		pair, err = selfSigned(endpoint)
	} else {
		pair, err = tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
	}
	if err != nil {
		return nil, "", err
	}
	var chain []*x509.Certificate
	for _, der := range pair.Certificate {
		parsed, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, "", err
		}
		chain = append(chain, parsed)
	}
	password = rand.Text()
	pfx, err = pkcs12.LegacyDES.Encode(pair.PrivateKey, chain[0], chain[1:], password) // the form that every Windows reads
	return pfx, password, err
}

// selfSigned makes a certificate for an endpoint's host.
func selfSigned(endpoint string) (tls.Certificate, error) {
	host, _, err := net.SplitHostPort(endpoint)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return tls.Certificate{}, err
	}
	if host == "0.0.0.0" {
		if host, err = os.Hostname(); err != nil {
			return tls.Certificate{}, err
		}
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(selfSignedFor),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// thumbprint is how Windows names a certificate.
func thumbprint(der []byte) string {
	sum := sha1.Sum(der)
	return hex.EncodeToString(sum[:])
}
