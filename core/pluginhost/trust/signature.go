package trust

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"strings"
)

// SignatureSuffix is what the name of a binary's signature file ends in. The file has a header line and a line for each
// signature:
//
//	drover-plugin-signature-v1
//	ed25519 1f2e3d4c5b6a7988 BASE64
//
// The second field is the key's ID. What is signed is a text with the digest of the binary, see message: a binary of any
// size is signed and checked without being held in memory, and a signature means nothing anywhere else.
const SignatureSuffix = ".sig"

// MaxSignatureFile bounds a signature file, in bytes.
const MaxSignatureFile = 64 << 10

const (
	header    = "drover-plugin-signature-v1"
	algorithm = "ed25519"
)

func message(digest string) []byte {
	return []byte("drover plugin signature v1\nsha256 " + strings.ToLower(digest) + "\n")
}

// Sign returns the signature file for a binary's digest. before, if not nil, is a signature file that is kept and added
// to; an earlier signature of the same key is replaced.
func Sign(key ed25519.PrivateKey, digest string, before []byte) ([]byte, error) {
	if err := CheckPin(digest); err != nil {
		return nil, err
	}
	id := ID(key.Public().(ed25519.PublicKey))
	var kept []signature
	if before != nil {
		list, err := parse(before)
		if err != nil {
			return nil, err
		}
		for _, s := range list {
			if s.key != id {
				kept = append(kept, s)
			}
		}
	}
	kept = append(kept, signature{id, ed25519.Sign(key, message(digest))})
	var b strings.Builder
	b.WriteString(header + "\n")
	for _, s := range kept {
		fmt.Fprintf(&b, "%s %s %s\n", algorithm, s.key, base64.StdEncoding.EncodeToString(s.bytes))
	}
	return []byte(b.String()), nil
}

// Verify checks a signature file against a binary's digest and returns the name of the key that signed it.
func Verify(keys Keys, digest string, signatures []byte) (string, error) {
	return keys.verify(digest, signatures)
}

type signature struct {
	key   string // ID
	bytes []byte
}

// parse reads a signature file. Everything in it is somebody else's input.
func parse(data []byte) ([]signature, error) {
	if len(data) > MaxSignatureFile {
		return nil, refuse("its signature file has %d bytes, more than the limit of %d", len(data), MaxSignatureFile)
	}
	lines := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	if strings.TrimSpace(lines[0]) != header {
		return nil, refuse("its signature file begins with %.40q, want %q; make it with `drover plugin sign`", lines[0], header)
	}
	var list []signature
	for i, line := range lines[1:] {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		if len(fields) != 3 || fields[0] != algorithm {
			return nil, refuse("line %d of its signature file is %.60q, want \"%s KEY-ID SIGNATURE\": it is damaged or cut short", i+2, line, algorithm)
		}
		b, err := base64.StdEncoding.DecodeString(fields[2])
		if err != nil || len(b) != ed25519.SignatureSize {
			return nil, refuse("line %d of its signature file: the signature has %d bytes of base64, want %d: it is damaged or cut short",
				i+2, len(fields[2]), base64.StdEncoding.EncodedLen(ed25519.SignatureSize))
		}
		list = append(list, signature{fields[1], b})
	}
	if len(list) == 0 {
		return nil, refuse("its signature file holds no signature: it is cut short")
	}
	return list, nil
}

// verify returns the name of the first trusted key that signed the digest.
func (k Keys) verify(digest string, signatures []byte) (string, error) {
	if signatures == nil {
		return "", refuse("it is not signed, and require = \"signature\": its signature file (its name with %s) is missing; make it with `drover plugin sign`",
			SignatureSuffix)
	}
	list, err := parse(signatures)
	if err != nil {
		return "", err
	}
	var unknown, wrong []string
	for _, s := range list {
		name, key := k.byID(s.key)
		switch {
		case key == nil:
			unknown = append(unknown, s.key)
		case ed25519.Verify(key, message(digest), s.bytes):
			return name, nil
		default:
			wrong = append(wrong, name)
		}
	}
	if len(wrong) > 0 {
		return "", refuse("the signature of key %s is not of this file (SHA-256 %s): the file was changed after it was signed, or the signature is another file's",
			strings.Join(wrong, ", "), digest)
	}
	return "", refuse("it is signed by key %s, which is not trusted here; trusted keys: %s", strings.Join(unknown, ", "), k.list())
}

func (k Keys) byID(id string) (string, ed25519.PublicKey) {
	for _, name := range sorted(k) {
		if ID(k[name]) == id {
			return name, k[name]
		}
	}
	return "", nil
}
