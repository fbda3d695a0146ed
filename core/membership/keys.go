package membership

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/hashicorp/memberlist"
	"github.com/hashicorp/serf/serf"
)

// errNoKeys says that there is nothing to manage.
var errNoKeys = errors.New("the gossip is not encrypted: set server.encrypt on every server and restart them one by one")

func parseKeyring(path string, text []byte) (*memberlist.Keyring, error) {
	var texts []string
	if err := json.Unmarshal(text, &texts); err != nil || len(texts) == 0 {
		return nil, fmt.Errorf("the gossip's keys in %s cannot be read: they are a JSON list of base64 texts; delete the file to begin anew with server.encrypt", path)
	}
	var keys [][]byte
	for i, t := range texts {
		k, err := base64.StdEncoding.DecodeString(t)
		if err != nil {
			return nil, fmt.Errorf("key %d in %s is no base64", i+1, path)
		}
		keys = append(keys, k)
	}
	ring, err := memberlist.NewKeyring(keys, keys[0])
	if err != nil {
		return nil, fmt.Errorf("the gossip's keys in %s: %w", path, err)
	}
	return ring, nil
}

// KeyAnswer is what the servers said to a change of keys.
type KeyAnswer struct {
	Messages    map[string]string // of servers that refused, by name
	Keys        map[string]int    // how many servers hold each key
	PrimaryKeys map[string]int
	NumNodes    int
}

// Keys lists, installs, uses or removes a key on every server. op is list, install, use or remove.
func (g *Group) Keys(op, key string) (*KeyAnswer, error) {
	if !g.serf.EncryptionEnabled() {
		return nil, errNoKeys
	}
	m := g.serf.KeyManager()
	if op != "list" {
		if _, err := DecodeKey(key); err != nil {
			return nil, err
		}
	}
	var r *serf.KeyResponse
	var err error
	switch op {
	case "list":
		r, err = m.ListKeys()
	case "install":
		r, err = m.InstallKey(key)
	case "use":
		r, err = m.UseKey(key)
	case "remove":
		r, err = m.RemoveKey(key)
	default:
		return nil, fmt.Errorf("unknown operation %q on keys", op)
	}
	if r == nil {
		return nil, err
	}
	a := &KeyAnswer{Messages: r.Messages, Keys: r.Keys, PrimaryKeys: r.PrimaryKeys, NumNodes: r.NumNodes}
	if err != nil {
		return a, fmt.Errorf("%s the key: %w", op, err)
	}
	return a, nil
}
