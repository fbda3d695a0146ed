package pause

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"io"
	"runtime"
	"strings"
	"testing"
)

func TestImageIsReproducible(t *testing.T) {
	first, err := Build(runtime.GOARCH)
	if err != nil {
		t.Fatal(err)
	}
	second, _ := Build(runtime.GOARCH)
	if !bytes.Equal(first.Archive, second.Archive) || first.Name != second.Name {
		t.Error("two builds differ: every start of the plugin would make another image")
	}
	if len(first.Archive) > 16<<10 {
		t.Errorf("the image has %d bytes", len(first.Archive))
	}
}

func TestManifestNamesWhatIsThere(t *testing.T) {
	image, err := Build(runtime.GOARCH)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string][]byte{}
	for r := tar.NewReader(bytes.NewReader(image.Archive)); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names[h.Name], _ = io.ReadAll(r)
	}
	var manifest []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	if err := json.Unmarshal(names["manifest.json"], &manifest); err != nil {
		t.Fatal(err)
	}
	m := manifest[0]
	if names[m.Config] == nil || names[m.Layers[0]] == nil || m.RepoTags[0] != image.Name {
		t.Errorf("manifest %+v, files %v", m, len(names))
	}
	if want := "sha256:" + digest(names["layer.tar"]); !strings.Contains(string(names[m.Config]), want) {
		t.Errorf("config lacks %s", want)
	}
}
