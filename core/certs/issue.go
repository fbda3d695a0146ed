package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"
)

// Pair is a certificate and its key, both in PEM.
type Pair struct{ Cert, Key []byte }

// CA makes certificates.
type CA struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// CARequest is what a new authority is to be.
type CARequest struct {
	Subject pkix.Name
	Valid   time.Duration
	Domains []string // that it may make names in; none: all
}

// NewCA makes an authority with a key of its own (ECDSA P-256).
func NewCA(q CARequest) (Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return Pair{}, err
	}
	id := sha256.Sum256(public)
	t, err := template(q.Subject, q.Valid)
	if err != nil {
		return Pair{}, err
	}
	t.IsCA, t.BasicConstraintsValid = true, true
	t.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature
	t.SubjectKeyId = id[:20]
	t.PermittedDNSDomains, t.PermittedDNSDomainsCritical = q.Domains, len(q.Domains) > 0
	return sign(t, t, key, key)
}

// OpenCA reads an authority's certificate and key.
func OpenCA(p Pair) (*CA, error) {
	pair, err := tls.X509KeyPair(p.Cert, p.Key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return nil, err
	}
	key, ok := pair.PrivateKey.(crypto.Signer)
	switch {
	case !ok:
		return nil, errors.New("this kind of key cannot sign")
	case !cert.IsCA:
		return nil, errors.New("this is the certificate of no authority")
	case time.Now().After(cert.NotAfter):
		return nil, fmt.Errorf("the authority's certificate expired on %s", cert.NotAfter.Format(time.DateOnly))
	}
	return &CA{cert, key}, nil
}

// Request is what a new certificate is to be. The first of Names is also the common name.
type Request struct {
	Role  Role
	Names []string
	IPs   []net.IP
	Valid time.Duration // not longer than the authority's
}

// Issue makes a certificate with a key of its own. Those of agents serve and call; those of the command line only call.
func (ca *CA) Issue(q Request) (Pair, error) {
	if len(q.Names) == 0 {
		return Pair{}, errors.New("a certificate needs a name")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, err
	}
	t, err := template(pkix.Name{CommonName: q.Names[0]}, q.Valid)
	if err != nil {
		return Pair{}, err
	}
	if t.NotAfter.After(ca.cert.NotAfter) {
		t.NotAfter = ca.cert.NotAfter
	}
	t.DNSNames, t.IPAddresses = q.Names, q.IPs
	t.KeyUsage = x509.KeyUsageDigitalSignature
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if q.Role != CLI {
		t.ExtKeyUsage = append(t.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	return sign(t, ca.cert, key, ca.key)
}

func template(subject pkix.Name, valid time.Duration) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial, Subject: subject,
		NotBefore: now.Add(-time.Minute), // clocks differ
		NotAfter:  now.Add(valid),
	}, nil
}

func sign(t, parent *x509.Certificate, key *ecdsa.PrivateKey, by crypto.Signer) (Pair, error) {
	der, err := x509.CreateCertificate(rand.Reader, t, parent, key.Public(), by)
	if err != nil {
		return Pair{}, err
	}
	secret, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return Pair{}, err
	}
	return Pair{
		Cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		Key:  pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret}),
	}, nil
}
