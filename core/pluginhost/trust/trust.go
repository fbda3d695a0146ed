// Package trust decides whether a plugin binary may run: by a pin, which is the SHA-256 of its bytes, or by a detached
// Ed25519 signature of that digest. It opens no plugin and starts nothing: callers bring the digest of the bytes that
// will run (those of the agent's own copy) and the content of the signature file.
package trust

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// ErrRefused is the class of every refusal of a binary.
var ErrRefused = errors.New("not trusted")

// Level is what a binary must bring.
type Level string

// The levels. A pin that is given must match at every level.
const (
	None      Level = "none"
	Pin       Level = "pin"
	Signature Level = "signature"
)

// ParseLevel reads a level; empty is the one given.
func ParseLevel(text string, otherwise Level) (Level, error) {
	switch l := Level(text); l {
	case "":
		return otherwise, nil
	case None, Pin, Signature:
		return l, nil
	}
	return "", fmt.Errorf("require = %q is none of none, pin, signature", text)
}

// Policy is what one plugin's binary is measured by.
type Policy struct {
	Require Level
	Pins    []string // SHA-256 in hex; one that matches is enough
	Keys    Keys
}

// Check decides on a binary by its digest (SHA-256 in hex) and the content of its signature file, nil if there is none.
// basis says what the trust rests on: "pinned", "signed by release" or both; empty if nothing was asked for. Errors are
// ErrRefused and say what to do.
func (p Policy) Check(digest string, signatures []byte) (basis string, err error) {
	var grounds []string
	if len(p.Pins) > 0 {
		if !slices.ContainsFunc(p.Pins, func(pin string) bool { return strings.EqualFold(pin, digest) }) {
			return "", refuse("its SHA-256 is %s, and its plugin block pins %s", digest, strings.Join(p.Pins, " or "))
		}
		grounds = append(grounds, "pinned")
	}
	switch p.Require {
	case Pin:
		if len(p.Pins) == 0 {
			return "", refuse("require = \"pin\" and its plugin block has no sha256; that of this file is %s", digest)
		}
	case Signature:
		name, err := p.Keys.verify(digest, signatures)
		if err != nil {
			return "", err
		}
		grounds = append(grounds, "signed by "+name)
	}
	return strings.Join(grounds, ", "), nil
}

func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrRefused, fmt.Sprintf(format, args...))
}

// CheckPin reports why a text is no pin.
func CheckPin(text string) error {
	if b, err := hex.DecodeString(text); err != nil || len(b) != sha256.Size {
		return fmt.Errorf("sha256 = %q is not the SHA-256 of a file: want %d hexadecimal digits", text, 2*sha256.Size)
	}
	return nil
}

// Digest is the SHA-256 in hex of what r holds: what pins name and signatures are made over.
func Digest(r io.Reader) (string, error) {
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
