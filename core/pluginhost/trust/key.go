package trust

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// Keys are the public keys that an operator trusts, by the name the operator gave them.
type Keys map[string]ed25519.PublicKey

// maxKeyFile bounds what is read of a key file; one has about 120 bytes.
const maxKeyFile = 16 << 10

// PEM block types of the standard encodings, which other tools write and read too.
const (
	privateBlock = "PRIVATE KEY"
	publicBlock  = "PUBLIC KEY"
)

// Generate makes a key pair.
func Generate() (ed25519.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	return key, err
}

// EncodePrivate is the key as a PKCS #8 PEM block.
func EncodePrivate(key ed25519.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: privateBlock, Bytes: der}), nil
}

// EncodePublic is the key as a PEM block, and as the one line that stands in an agent's configuration.
func EncodePublic(key ed25519.PublicKey) (block []byte, line string, err error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, "", err
	}
	return pem.EncodeToMemory(&pem.Block{Type: publicBlock, Bytes: der}), base64.StdEncoding.EncodeToString(der), nil
}

// ID names a key in signature files and messages: the first 16 digits of its SHA-256.
func ID(key ed25519.PublicKey) string {
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:8])
}

// ParsePrivate reads a PKCS #8 PEM block.
func ParsePrivate(text []byte) (ed25519.PrivateKey, error) {
	block, _ := pem.Decode(text)
	switch {
	case block == nil:
		return nil, errors.New("it holds no PEM block; make a key with `drover plugin keygen`")
	case block.Type == publicBlock:
		return nil, errors.New("it is a public key; signing takes the private one")
	case block.Type != privateBlock:
		return nil, fmt.Errorf("it holds a %q, want an unencrypted PKCS #8 %q", block.Type, privateBlock)
	}
	any, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := any.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("it is a %T, want an Ed25519 key", any)
	}
	return key, nil
}

// ParsePublic reads a public key: a PEM block, its content as one line of base64, or the 32 bytes alone in base64.
func ParsePublic(text string) (ed25519.PublicKey, error) {
	text = strings.TrimSpace(text)
	var der []byte
	if strings.HasPrefix(text, "-----BEGIN") {
		block, _ := pem.Decode([]byte(text))
		if block == nil || block.Type != publicBlock {
			return nil, fmt.Errorf("it holds no PEM block %q", publicBlock)
		}
		der = block.Bytes
	} else {
		var err error
		if der, err = base64.StdEncoding.DecodeString(text); err != nil {
			return nil, errors.New("it is neither base64 nor PEM")
		}
		if len(der) == ed25519.PublicKeySize {
			return der, nil
		}
	}
	any, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, fmt.Errorf("it is no public key: %w", err)
	}
	key, ok := any.(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("it is a %T, want an Ed25519 key", any)
	}
	return key, nil
}

// ParseKeys reads the trusted keys of a configuration: by name, a key or the absolute path of a file with one.
func ParseKeys(texts map[string]string) (Keys, error) {
	keys := Keys{}
	var errs []error
	for _, name := range sorted(texts) {
		text := texts[name]
		if filepath.IsAbs(text) && !isBase64Key(text) {
			data, err := readSmall(text)
			if err != nil {
				errs = append(errs, fmt.Errorf("trusted key %q: %w", name, err))
				continue
			}
			text = string(data)
		}
		key, err := ParsePublic(text)
		if err != nil {
			errs = append(errs, fmt.Errorf("trusted key %q: %w", name, err))
			continue
		}
		keys[name] = key
	}
	return keys, errors.Join(errs...)
}

// isBase64Key tells a key whose base64 begins with a slash from a path.
func isBase64Key(text string) bool {
	_, err := ParsePublic(text)
	return err == nil
}

func readSmall(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxKeyFile {
		return nil, fmt.Errorf("%s is not a key file: want a regular file of at most %d bytes", path, maxKeyFile)
	}
	return os.ReadFile(path)
}

// list shows the trusted keys in a message.
func (k Keys) list() string {
	if len(k) == 0 {
		return "none"
	}
	var parts []string
	for _, name := range sorted(k) {
		parts = append(parts, name+" "+ID(k[name]))
	}
	return strings.Join(parts, ", ")
}

func sorted[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}
