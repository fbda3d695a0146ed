// Package image brings images to the node and takes them away again: names, credentials, pulls and reference counts.
package image

import (
	"fmt"
	"strings"

	"github.com/distribution/reference"
)

// Reference is an image's name, completed as the engine completes it.
type Reference struct {
	Name   string // as pulled: with registry and path as the user wrote them, and always with a tag or digest
	Host   string // the registry: "docker.io", "127.0.0.1:5000"
	Tag    string
	Digest string
}

// latest is the tag of a name without one.
const latest = "latest"

// Parse reads what a job calls an image. A leading https:// is dropped. Bare image ids are not accepted.
func Parse(text string) (Reference, error) {
	text = strings.TrimPrefix(strings.TrimSpace(text), "https://")
	named, err := reference.ParseNormalizedNamed(text)
	if err != nil {
		return Reference{}, fmt.Errorf("image %q: %w", text, err)
	}
	named = reference.TagNameOnly(named)
	r := Reference{Name: reference.FamiliarString(named), Host: reference.Domain(named)}
	if t, ok := named.(reference.Tagged); ok {
		r.Tag = t.Tag()
	}
	if d, ok := named.(reference.Digested); ok {
		r.Digest = d.Digest().String()
	}
	return r, nil
}

// Moves reports whether the same name may stand for another image tomorrow by convention, so that it is always pulled.
func (r Reference) Moves() bool { return r.Digest == "" && r.Tag == latest }
