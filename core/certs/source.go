package certs

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"
)

// Files are PEM files: the authorities that are believed, and this agent's own certificate (with intermediates) and key.
type Files struct{ CA, Cert, Key string }

// Options are how connections are protected.
type Options struct {
	Files
	MinVersion   uint16   // 0: TLS 1.2
	CipherSuites []uint16 // of TLS 1.2; none: those of the library
}

// Source is the certificate in use. It can be renewed while connections run: those go on, new ones use the new one.
type Source struct{ current atomic.Pointer[material] }

type material struct {
	cert         tls.Certificate
	roots        *x509.CertPool
	minVersion   uint16
	cipherSuites []uint16
}

// Open reads the files. It refuses what no other agent would believe: a certificate of another authority, or one that is
// not valid now.
func Open(o Options) (*Source, error) {
	found, err := Read(o)
	if err != nil {
		return nil, err
	}
	s := &Source{}
	s.Use(found)
	return s, nil
}

// Checked are files that were read and found good, for Use.
type Checked struct{ m *material }

// Read reads and checks the files and changes nothing yet.
func Read(o Options) (Checked, error) {
	roots, err := readRoots(o.CA)
	if err != nil {
		return Checked{}, fmt.Errorf("tls.ca_file: %w", err)
	}
	cert, err := tls.LoadX509KeyPair(o.Cert, o.Key)
	if err != nil {
		return Checked{}, fmt.Errorf("tls.cert_file and tls.key_file: %w", err)
	}
	if cert.Leaf == nil {
		if cert.Leaf, err = x509.ParseCertificate(cert.Certificate[0]); err != nil {
			return Checked{}, fmt.Errorf("tls.cert_file %s: %w", o.Cert, err)
		}
	}
	chain := []*x509.Certificate{cert.Leaf}
	for _, der := range cert.Certificate[1:] {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return Checked{}, fmt.Errorf("tls.cert_file %s: %w", o.Cert, err)
		}
		chain = append(chain, c)
	}
	if err := verify(chain, roots, x509.ExtKeyUsageAny); err != nil {
		return Checked{}, fmt.Errorf("tls.cert_file %s: %w", o.Cert, err)
	}
	m := &material{cert: cert, roots: roots, minVersion: o.MinVersion, cipherSuites: o.CipherSuites}
	if m.minVersion == 0 {
		m.minVersion = tls.VersionTLS12
	}
	return Checked{m}, nil
}

// Use takes what Read returned for new connections.
func (s *Source) Use(c Checked) { s.current.Store(c.m) }

// Leaf is the certificate in use.
func (s *Source) Leaf() *x509.Certificate { return s.current.Load().cert.Leaf }

// Expires is when the certificate in use ceases to be valid.
func (s *Source) Expires() time.Time { return s.Leaf().NotAfter }

// Listening is for listeners that ask callers for a certificate of the authority: with must, those without one are
// refused. check, if any, sees every connection after that; its error refuses it.
func (s *Source) Listening(protocols []string, must bool, check func(tls.ConnectionState) error) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			m := s.current.Load()
			c := &tls.Config{
				Certificates: []tls.Certificate{m.cert}, ClientCAs: m.roots, ClientAuth: tls.VerifyClientCertIfGiven,
				MinVersion: m.minVersion, CipherSuites: m.cipherSuites, NextProtos: protocols, VerifyConnection: check,
				SessionTicketsDisabled: true, // every connection shows its certificate, so that a renewed authority counts at once
			}
			if must {
				c.ClientAuth = tls.RequireAndVerifyClientCert
			}
			return c, nil
		},
	}
}

// Dialling is for connections to other agents. The name asked for is only a hint to the other end: check decides by the
// names of its certificate, whatever the address that was dialled.
func (s *Source) Dialling(name, protocol string, check func(*x509.Certificate) error) *tls.Config {
	m := s.current.Load()
	return &tls.Config{
		Certificates: []tls.Certificate{m.cert}, ServerName: name, NextProtos: []string{protocol},
		MinVersion: m.minVersion, CipherSuites: m.cipherSuites,
		InsecureSkipVerify: true, // the chain is verified below; what is left out is the match of name and address
		VerifyConnection: func(cs tls.ConnectionState) error {
			if err := verify(cs.PeerCertificates, m.roots, x509.ExtKeyUsageServerAuth); err != nil {
				return err
			}
			return check(cs.PeerCertificates[0])
		},
	}
}

func verify(chain []*x509.Certificate, roots *x509.CertPool, usage x509.ExtKeyUsage) error {
	if len(chain) == 0 {
		return errors.New("no certificate was shown")
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{usage}})
	return err
}

func readRoots(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	n := 0
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		roots.AddCert(c)
		n++
	}
	if n == 0 {
		return nil, fmt.Errorf("%s holds no certificate in PEM", file)
	}
	return roots, nil
}
