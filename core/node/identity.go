package node

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Identity is who the node is to the servers, for as long as its state directory lives.
type Identity struct {
	id     string
	secret string // proves that a call comes from this node
}

// ID is the node's, a UUID. It is no secret.
func (i Identity) ID() string { return i.id }

var uuidForm = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// LoadIdentity reads the node's ids from its state directory, making them the first time. dir "" makes ids that end with
// the process.
func LoadIdentity(dir string) (Identity, error) {
	if dir == "" {
		return Identity{newUUID(), newUUID()}, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Identity{}, fmt.Errorf("make client state directory: %w", err)
	}
	id, err := loadID(filepath.Join(dir, "client-id"))
	if err != nil {
		return Identity{}, err
	}
	secret, err := loadID(filepath.Join(dir, "secret-id"))
	if err != nil {
		return Identity{}, err
	}
	return Identity{id, secret}, nil
}

func loadID(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err == nil {
		id := strings.ToLower(strings.TrimSpace(string(b)))
		if !uuidForm.MatchString(id) {
			return "", fmt.Errorf("node identity %s holds no UUID; restore it, or remove it to make this a new node", path)
		}
		return id, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read node identity: %w", err)
	}
	id := newUUID()
	tmp := path + ".new"
	if err := os.WriteFile(tmp, []byte(id), 0o600); err != nil {
		return "", fmt.Errorf("write node identity: %w", err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return "", fmt.Errorf("write node identity: %w", err)
	}
	return id, nil
}

// newUUID is a random UUID, version 4.
func newUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// introFile is where an operator may leave the token that introduces the node; it is read whenever the node registers.
const introFile = "intro_token.jwt"

// introToken is what the node shows to servers that do not know it yet, "" if it has nothing.
func (n *Node) introToken() string {
	if n.cfg.IntroToken != "" || n.cfg.StateDir == "" {
		return n.cfg.IntroToken
	}
	const most = 4096 // bytes
	f, err := os.Open(filepath.Join(n.cfg.StateDir, introFile))
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			n.logger.Warn("the introduction token cannot be read", "error", err)
		}
		return ""
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		n.logger.Warn("the introduction token cannot be read", "error", err)
		return ""
	}
	return strings.TrimSpace(string(b))
}
