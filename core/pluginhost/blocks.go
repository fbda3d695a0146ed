package pluginhost

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/droverhq/drover/core/pluginhost/lifecycle"
)

// blocks are the operator's plugin blocks by name.
type blocks map[string]Block

// newBlocks merges blocks of the same name when they say the same and refuses them otherwise.
func newBlocks(list []Block) (blocks, error) {
	b := blocks{}
	for _, next := range list {
		if next.Name == "" {
			return nil, fmt.Errorf("a plugin block has no name")
		}
		switch next.Upgrade {
		case "", lifecycle.PolicyDrain, lifecycle.PolicyManual, lifecycle.PolicyHandOver:
		default:
			return nil, fmt.Errorf("plugin %q: upgrade = %q is none of %s, %s, %s", next.Name, next.Upgrade,
				lifecycle.PolicyDrain, lifecycle.PolicyManual, lifecycle.PolicyHandOver)
		}
		if first, twice := b[next.Name]; twice && !sameBlock(first, next) {
			return nil, fmt.Errorf("plugin %q is configured twice with different contents; keep one block", next.Name)
		}
		b[next.Name] = next
	}
	return b, nil
}

// match finds the block of a plugin: by its file's name first, then by the name it reports. Two that differ are refused,
// because nobody could tell which one was meant.
func (b blocks) match(file, reported string) (Block, error) {
	byFile, okFile := b[file]
	byName, okName := b[reported]
	switch {
	case okFile && okName && file != reported && !sameBlock(byFile, byName):
		return Block{}, fmt.Errorf("the blocks plugin %q (its file) and plugin %q (its name) both apply and differ; keep one",
			file, reported)
	case okFile:
		return byFile, nil
	case okName:
		return byName, nil
	}
	return Block{}, nil
}

// guessName predicts what a plugin will call itself from its file's name, so that its block's args are there at the
// first launch. A wrong guess costs a second launch.
func guessName(file string) string {
	for _, prefix := range []string{"drover-driver-", "drover-device-", "drover-network-", "nomad-driver-", "nomad-device-"} {
		if name, ok := strings.CutPrefix(file, prefix); ok {
			return strings.ReplaceAll(name, "-", "_")
		}
	}
	return file
}

// sameBlock compares everything but the label.
func sameBlock(a, b Block) bool {
	return a.digest() == b.digest() && a.Require == b.Require && a.Upgrade == b.Upgrade && slices.Equal(a.SHA256, b.SHA256)
}

// digest names what a process was started and configured with.
func (b Block) digest() string {
	text, err := json.Marshal(struct {
		Args   []string
		Config map[string]any
		Env    []string
		Strict bool
		User   string
	}{append([]string{}, b.Args...), b.Config, append([]string{}, b.EnvAllow...), b.EnvAllow != nil, b.User})
	if err != nil { // a value that JSON does not have; its text tells it apart as well
		text = fmt.Appendf(nil, "%v", b)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
