package isolation

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/droverhq/drover/drivers-exec/executor/launch"
)

// pointsDir holds, in a task's root, the empty files and directories that are mounted over.
const pointsDir = "/.mounts"

// withPoints adds mount points that a read-only directory of the host lacks, such as /etc/files below the host's /etc. They
// cannot be made there, so an overlay shows the host's directory and empty mount points together. The host's is the upper
// of its two layers: names, owners and modes stay what they are, and nothing is copied.
func withPoints(entries []launch.Entry, below func(dir string) ([]string, error)) ([]launch.Entry, error) {
	lacking := map[int][]launch.Entry{} // by the number of the read-only entry they lie on
	for i, e := range entries {
		if e.Kind != launch.Bind && e.Kind != launch.Filesystem {
			continue
		}
		if on := lies(e.Target, entries[:i]); on >= 0 && entries[on].ReadOnly && entries[on].Kind == launch.Bind {
			if _, missing := deepest(entries[on], e.Target); missing {
				lacking[on] = append(lacking[on], e)
			}
		}
	}
	var points, list []launch.Entry
	for i, e := range entries {
		list = append(list, e)
		targets := lacking[i]
		if targets == nil {
			continue
		}
		dir, _ := deepest(e, targets[0].Target)
		for _, t := range targets[1:] {
			for !strings.HasPrefix(t.Target, dir+"/") {
				dir = path.Dir(dir)
			}
		}
		skeleton := fmt.Sprintf("%s/%d", pointsDir, i)
		for _, t := range targets {
			points = append(points, launch.Entry{Kind: launch.Point, Target: skeleton + strings.TrimPrefix(t.Target, dir), File: t.File})
		}
		list = append(list, launch.Entry{
			Kind: launch.Filesystem, Source: overlay, Target: dir, ReadOnly: true, NoDev: true,
			Data: "lowerdir=" + layer(dir) + ":" + layer(skeleton),
		})
		// An overlay does not show what is mounted below its layers.
		source := filepath.Join(e.Source, strings.TrimPrefix(dir, e.Target))
		mounted, err := below(source)
		if err != nil {
			return nil, fmt.Errorf("mounts below %s: %w", source, err)
		}
		for _, at := range mounted {
			if st, err := os.Stat(at); err == nil {
				list = append(list, launch.Entry{
					Kind: launch.Bind, Source: at, Target: dir + strings.TrimPrefix(at, source), File: !st.IsDir(), ReadOnly: true, NoDev: true,
				})
			}
		}
	}
	return slices.Concat(points, list), nil
}

// overlay is the file system's type.
const overlay = "overlay"

// layer writes a path as an overlay's option takes it.
func layer(dir string) string {
	return strings.NewReplacer(`\`, `\\`, ":", `\:`, ",", `\,`).Replace(dir)
}

// lies is the number of the last entry that a target lies below, -1 if it lies on the root itself.
func lies(target string, entries []launch.Entry) int {
	on := -1
	for i, e := range entries {
		if (e.Kind == launch.Bind || e.Kind == launch.Filesystem) && !e.File && strings.HasPrefix(target, e.Target+"/") {
			if on < 0 || len(e.Target) >= len(entries[on].Target) {
				on = i
			}
		}
	}
	return on
}

// deepest is the deepest directory above target that is there in the host directory which e shows, as a path in the root;
// missing says that target itself is not. Where a link or a file is in the way nothing is missing: the mount follows the
// one and refuses the other.
func deepest(e launch.Entry, target string) (dir string, missing bool) {
	dir = e.Target
	for part := range strings.SplitSeq(strings.TrimPrefix(target, e.Target+"/"), "/") {
		st, err := os.Lstat(filepath.Join(e.Source, strings.TrimPrefix(dir, e.Target), part))
		if os.IsNotExist(err) {
			return dir, true
		}
		if err != nil || !st.IsDir() {
			return dir, false
		}
		dir = path.Join(dir, part)
	}
	return dir, false
}

// mountedBelow lists what this process sees mounted below a directory of the host, in the order it was mounted.
func mountedBelow(dir string) ([]string, error) {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	var list []string
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 4 {
			if at := unescape.Replace(f[4]); strings.HasPrefix(at, real+"/") {
				list = append(list, dir+strings.TrimPrefix(at, real))
			}
		}
	}
	return list, nil
}
