package plugin

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"
)

// ClientCertVariable is how a host asks for TLS: its value is the host's certificate in PEM. The plugin then serves that
// host alone, and prints its own certificate in the sixth field of its introduction. A host that keeps its key can come
// back to the plugin after a restart.
const ClientCertVariable = "PLUGIN_CLIENT_CERT"

// SelfSigned makes a key and its certificate as go-plugin's protocol wants them for both sides: for "localhost", signed
// by itself, valid for as long as a process may run (30 years; clocks may differ by a day).
func SelfSigned() (tls.Certificate, error) {
	const day = 24 * time.Hour
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 128))
	if err != nil {
		return tls.Certificate{}, err
	}
	const name = "localhost"
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name, Organization: []string{"Drover"}}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-day), NotAfter: time.Now().Add(30 * 365 * day),
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment | x509.KeyUsageKeyAgreement | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// OnlyPeer is for tls.Config.VerifyPeerCertificate: it accepts exactly one certificate, given in DER. That is more than
// any chain says, because the certificate came from the process itself.
func OnlyPeer(der []byte) func(certificates [][]byte, _ [][]*x509.Certificate) error {
	return func(certificates [][]byte, _ [][]*x509.Certificate) error {
		if len(certificates) == 0 || !bytes.Equal(certificates[0], der) {
			return errors.New("the other side has another certificate than the one it was introduced with")
		}
		return nil
	}
}

// overTLS wraps a listener for the host with that certificate, and returns what the introduction's sixth field is.
func overTLS(l net.Listener, clientCert string) (_ net.Listener, field string, err error) {
	block, _ := pem.Decode([]byte(clientCert))
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, "", fmt.Errorf("%s holds no certificate in PEM", ClientCertVariable)
	}
	own, err := SelfSigned()
	if err != nil {
		return nil, "", fmt.Errorf("make a certificate: %w", err)
	}
	config := &tls.Config{
		Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2"},
		ClientAuth: tls.RequireAnyClientCert, VerifyPeerCertificate: OnlyPeer(block.Bytes),
		SessionTicketsDisabled: true, // a resumed session would not be verified
	}
	return tls.NewListener(l, config), base64.RawStdEncoding.EncodeToString(own.Certificate[0]), nil
}
