package provider

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	"github.com/droverhq/drover/cni/child"
)

// catalog knows the versions of the CNI plugins in cni_path. A file is asked once, and again when it changed.
type catalog struct {
	mu    sync.Mutex
	known map[string]binary // by path
}

type binary struct {
	size     int64
	modified time.Time
	version  string
	until    time.Time // when it is asked again although it did not change; zero = never
}

func newCatalog() *catalog { return &catalog{known: map[string]binary{}} }

// versions returns the plugins that can be run, by name; of two of one name the first in path counts, as in libcni.
func (c *catalog) versions(ctx context.Context, family child.Family, path []string) map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	found := map[string]string{}
	for _, dir := range path {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, e := range entries {
			info, err := os.Stat(filepath.Join(dir, e.Name()))
			if err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
				continue
			}
			if _, taken := found[e.Name()]; !taken {
				found[e.Name()] = c.version(ctx, family, filepath.Join(dir, e.Name()), info)
			}
		}
	}
	return found
}

func (c *catalog) version(ctx context.Context, family child.Family, file string, info os.FileInfo) string {
	const pause = time.Minute // until one that did not answer is asked again
	b, ok := c.known[file]
	late := !b.until.IsZero() && time.Now().After(b.until)
	if !ok || late || b.size != info.Size() || !b.modified.Equal(info.ModTime()) {
		version, said := ask(ctx, family, file)
		b = binary{size: info.Size(), modified: info.ModTime(), version: version}
		if !said {
			b.until = time.Now().Add(pause)
		}
		if ctx.Err() == nil {
			c.known[file] = b
		}
	}
	return b.version
}

// protocol is what counts for a plugin that does not say which version it is: it speaks at least that.
const protocol = "0.4.0"

var release = regexp.MustCompile(`plugin v?(\d+\.\d+\.\d+\S*)`)

// ask runs a plugin without a command: the reference plugins then say who they are. It has not said so, and is to be asked
// again, if it was ended before it did.
func ask(ctx context.Context, family child.Family, file string) (version string, said bool) {
	const patience = 2 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := family.Command(ctx, file, []string{"PATH=" + os.Getenv("PATH")})
	var text bytes.Buffer
	cmd.Stdout, cmd.Stderr = &text, &text
	_ = child.Run(cmd)
	if m := release.FindSubmatch(text.Bytes()); m != nil {
		return "v" + string(m[1]), true
	}
	return protocol, ctx.Err() == nil
}
