package host

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"

	"google.golang.org/grpc/credentials"

	"github.com/droverhq/drover/sdk/plugin"
)

// Credentials are a host's key for plugins that listen on TCP, where anybody on the machine could connect. One key does
// for all plugins of a host. A host that wants to reattach keeps it, readable for nobody else.
type Credentials struct{ certificate tls.Certificate }

const (
	certificateBlock = "CERTIFICATE"
	keyBlock         = "PRIVATE KEY"
)

// NewCredentials makes a key.
func NewCredentials() (*Credentials, error) {
	c, err := plugin.SelfSigned()
	if err != nil {
		return nil, fmt.Errorf("make a key for plugins: %w", err)
	}
	return &Credentials{c}, nil
}

// ParseCredentials reads what PEM wrote.
func ParseCredentials(text []byte) (*Credentials, error) {
	c, err := tls.X509KeyPair(text, text)
	if err != nil {
		return nil, fmt.Errorf("key for plugins: %w", err)
	}
	return &Credentials{c}, nil
}

// PEM is the certificate and the private key, to be kept.
func (c *Credentials) PEM() ([]byte, error) {
	key, ok := c.certificate.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("key for plugins is a %T", c.certificate.PrivateKey)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.Write(c.public())
	err = pem.Encode(&b, &pem.Block{Type: keyBlock, Bytes: der})
	return b.Bytes(), err
}

func (c *Credentials) public() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Bytes: c.certificate.Certificate[0]})
}

// Env asks a plugin for TLS; it belongs into the environment that the plugin is launched with. It holds no secret.
func (c *Credentials) Env() string { return plugin.ClientCertVariable + "=" + string(c.public()) }

// WithTLS connects to a plugin that was asked for TLS and answered with a certificate (Handshake.ServerCert). Only the
// process that has that certificate's key is talked to.
func WithTLS(c *Credentials, serverCert string) DialOption {
	return func(d *dialConfig) {
		der, err := base64.RawStdEncoding.DecodeString(serverCert)
		if err == nil {
			_, err = x509.ParseCertificate(der)
		}
		if err != nil {
			d.err = fmt.Errorf("the certificate in its introduction cannot be read: %w", err)
			return
		}
		d.credentials = credentials.NewTLS(&tls.Config{
			Certificates: []tls.Certificate{c.certificate}, MinVersion: tls.VersionTLS12, ServerName: "localhost",
			InsecureSkipVerify: true, VerifyPeerCertificate: plugin.OnlyPeer(der), // more than a chain would say
		})
	}
}
