package trust

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
	other  = "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752"
)

func key(t *testing.T) (ed25519.PrivateKey, ed25519.PublicKey) {
	t.Helper()
	k, err := Generate()
	if err != nil {
		t.Fatal(err)
	}
	return k, k.Public().(ed25519.PublicKey)
}

func sign(t *testing.T, k ed25519.PrivateKey, digest string, before []byte) []byte {
	t.Helper()
	sig, err := Sign(k, digest, before)
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

func TestCheck(t *testing.T) {
	private, public := key(t)
	foreign, _ := key(t)
	keys := Keys{"release": public}
	good := sign(t, private, digest, nil)
	tests := map[string]struct {
		policy     Policy
		signatures []byte
		basis      string
		want       string // part of the refusal
	}{
		"nothing asked":              {Policy{Require: None}, nil, "", ""},
		"nothing asked, bad sig":     {Policy{Require: None, Keys: keys}, []byte("x"), "", ""},
		"pin":                        {Policy{Require: Pin, Pins: []string{digest}}, nil, "pinned", ""},
		"one of two pins":            {Policy{Require: Pin, Pins: []string{other, strings.ToUpper(digest)}}, nil, "pinned", ""},
		"wrong pin":                  {Policy{Require: Pin, Pins: []string{other}}, nil, "", "its SHA-256 is " + digest + ", and its plugin block pins " + other},
		"wrong pin, nothing asked":   {Policy{Require: None, Pins: []string{other}}, nil, "", "pins " + other},
		"no pin":                     {Policy{Require: Pin}, nil, "", "has no sha256; that of this file is " + digest},
		"a signature is no pin":      {Policy{Require: Pin, Keys: keys}, good, "", "has no sha256"},
		"signature":                  {Policy{Require: Signature, Keys: keys}, good, "signed by release", ""},
		"signature and pin":          {Policy{Require: Signature, Keys: keys, Pins: []string{digest}}, good, "pinned, signed by release", ""},
		"signature and wrong pin":    {Policy{Require: Signature, Keys: keys, Pins: []string{other}}, good, "", "pins"},
		"second of two signatures":   {Policy{Require: Signature, Keys: keys}, sign(t, private, digest, sign(t, foreign, digest, nil)), "signed by release", ""},
		"not signed":                 {Policy{Require: Signature, Keys: keys}, nil, "", "it is not signed"},
		"wrong key":                  {Policy{Require: Signature, Keys: keys}, sign(t, foreign, digest, nil), "", "not trusted here; trusted keys: release " + ID(public)},
		"no keys at all":             {Policy{Require: Signature}, good, "", "trusted keys: none"},
		"another file's":             {Policy{Require: Signature, Keys: keys}, sign(t, private, other, nil), "", "the signature of key release is not of this file"},
		"truncated in the signature": {Policy{Require: Signature, Keys: keys}, good[:len(good)-20], "", "cut short"},
		"truncated in the key":       {Policy{Require: Signature, Keys: keys}, good[:len(header)+12], "", "cut short"},
		"only the header":            {Policy{Require: Signature, Keys: keys}, []byte(header + "\n"), "", "holds no signature"},
		"empty":                      {Policy{Require: Signature, Keys: keys}, []byte{}, "", "begins with"},
		"no signature file":          {Policy{Require: Signature, Keys: keys}, []byte("\x7fELF"), "", "begins with"},
		"huge":                       {Policy{Require: Signature, Keys: keys}, make([]byte, MaxSignatureFile+1), "", "more than the limit"},
		"key ID of a trusted key":    {Policy{Require: Signature, Keys: keys}, bytes.Replace(sign(t, foreign, digest, nil), []byte(ID(foreign.Public().(ed25519.PublicKey))), []byte(ID(public)), 1), "", "is not of this file"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			basis, err := tt.policy.Check(digest, tt.signatures)
			if basis != tt.basis || (err == nil) != (tt.want == "") {
				t.Fatalf("basis %q, error %v", basis, err)
			}
			if err != nil && (!errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestSigningAgainReplacesTheKeysOwn(t *testing.T) {
	k, public := key(t)
	sig := sign(t, k, digest, sign(t, k, other, nil))
	if n := bytes.Count(sig, []byte(algorithm+" ")); n != 1 {
		t.Errorf("%d signatures", n)
	}
	if name, err := Verify(Keys{"a": public}, digest, sig); err != nil || name != "a" {
		t.Errorf("%q, %v", name, err)
	}
}

func TestKeysSurviveTheirFiles(t *testing.T) {
	private, public := key(t)
	text, err := EncodePrivate(private)
	if err != nil {
		t.Fatal(err)
	}
	if back, err := ParsePrivate(text); err != nil || !back.Equal(private) {
		t.Errorf("private: %v", err)
	}
	block, line, err := EncodePublic(public)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "release.pub")
	if err := os.WriteFile(file, block, 0o644); err != nil {
		t.Fatal(err)
	}
	keys, err := ParseKeys(map[string]string{"line": line, "pem": string(block), "file": file})
	if err != nil {
		t.Fatal(err)
	}
	for name, k := range keys {
		if !k.Equal(public) {
			t.Errorf("%s is another key", name)
		}
	}
}

func TestBadKeys(t *testing.T) {
	private, public := key(t)
	secret, _ := EncodePrivate(private)
	shown, _, _ := EncodePublic(public)
	rsa := "-----BEGIN PUBLIC KEY-----\nMFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAKj34GkxFhD90vcNLYLInFEX6Ppy1tPf\n9Cnzj4p4WGeKLs1Pt8QuKUpRKfFLfRYC9AIKjbJTWit+CqvjWYzvQwECAwEAAQ==\n-----END PUBLIC KEY-----\n"
	for text, want := range map[string]string{
		"":                "no public key",
		"what":            "",
		"bm90IGEga2V5":    "no public key",
		string(secret):    "no PEM block \"PUBLIC KEY\"",
		rsa:               "want an Ed25519 key",
		"-----BEGIN X---": "no PEM block",
	} {
		if _, err := ParsePublic(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v, want %q", text, err, want)
		}
	}
	for text, want := range map[string]string{"": "no PEM block", string(shown): "it is a public key"} {
		if _, err := ParsePrivate([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v, want %q", text, err, want)
		}
	}
	if _, err := ParseKeys(map[string]string{"gone": "/nonexistent/key", "dir": os.TempDir()}); err == nil ||
		!strings.Contains(err.Error(), `trusted key "gone"`) || !strings.Contains(err.Error(), "is not a key file") {
		t.Errorf("%v", err)
	}
}

func FuzzSignatureFile(f *testing.F) {
	f.Add([]byte(header + "\ned25519 x y\n"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		if name, err := Verify(Keys{}, digest, data); err == nil {
			t.Errorf("trusted by %q", name)
		}
	})
}
