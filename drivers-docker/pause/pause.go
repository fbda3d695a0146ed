// Package pause holds the image whose container keeps an allocation's network namespace: one static program of about
// half a KiB, built into the driver, so that no registry is needed.
package pause

//go:generate ./src/build.sh

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// repository is the image's name; its tag is a digest, so that another version of the driver has another image.
const repository = "drover-pause"

// ErrNoProgram is returned where the driver was built without a pause program.
var ErrNoProgram = errors.New("no pause image is built in for this platform; set infra_image of the docker plugin")

// Image is an image as an engine loads it.
type Image struct {
	Name    string // reference with a tag
	Archive []byte // for the engine's image load
}

// Build makes the image for an architecture. The same program always gives the same bytes.
func Build(architecture string) (*Image, error) {
	binary := program()
	if len(binary) == 0 {
		return nil, ErrNoProgram
	}
	layer, err := archive([]file{{"pause", 0o755, binary}})
	if err != nil {
		return nil, err
	}
	config, err := json.Marshal(map[string]any{
		"architecture": architecture,
		"os":           "linux",
		"created":      time.Unix(0, 0).UTC(),
		"config":       map[string]any{"Entrypoint": []string{"/pause"}},
		"rootfs":       map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + digest(layer)}},
	})
	if err != nil {
		return nil, fmt.Errorf("encode the pause image's config: %w", err)
	}
	id := digest(config)
	name := repository + ":" + id[:16]
	manifest, err := json.Marshal([]map[string]any{{
		"Config": id + ".json", "RepoTags": []string{name}, "Layers": []string{"layer.tar"},
	}})
	if err != nil {
		return nil, fmt.Errorf("encode the pause image's manifest: %w", err)
	}
	data, err := archive([]file{{id + ".json", 0o644, config}, {"layer.tar", 0o644, layer}, {"manifest.json", 0o644, manifest}})
	if err != nil {
		return nil, err
	}
	return &Image{Name: name, Archive: data}, nil
}

type file struct {
	name string
	mode int64
	data []byte
}

func archive(files []file) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		err := w.WriteHeader(&tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.data)), ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR})
		if err != nil {
			return nil, fmt.Errorf("write %s of the pause image: %w", f.name, err)
		}
		if _, err := w.Write(f.data); err != nil {
			return nil, fmt.Errorf("write %s of the pause image: %w", f.name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("write the pause image: %w", err)
	}
	return b.Bytes(), nil
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
