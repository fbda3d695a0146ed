package isolation

import (
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/droverhq/drover/drivers-exec/executor/launch"
)

// Hidden knows what of the host's configuration is not for everybody. A task sees the host's /etc, and capabilities such as
// CAP_DAC_OVERRIDE or CAP_SETUID would open every file there; so what the task's user could not read on the host is covered
// in its root.
type Hidden struct {
	mu    sync.Mutex
	trees map[string]tree
}

type tree struct {
	at    time.Time
	files []private
}

// private is a file or directory that not everybody may read.
type private struct {
	path     string // below the tree
	dir      bool
	mode     fs.FileMode
	uid, gid uint32
}

// fresh is for how long a look at a tree counts: starts come in bursts.
const fresh = 10 * time.Second

// In returns what is private in a host tree, parents first.
func (h *Hidden) in(source string, now time.Time) []private {
	h.mu.Lock()
	defer h.mu.Unlock()
	if t, ok := h.trees[source]; ok && now.Sub(t.at) < fresh {
		return t.files
	}
	if h.trees == nil {
		h.trees = map[string]tree{}
	}
	t := tree{at: now, files: scan(source)}
	h.trees[source] = t
	return t.files
}

// scan looks at all files of a tree. What cannot be looked at cannot be shown to a task either.
func scan(source string) []private {
	var found []private
	_ = filepath.WalkDir(source, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink != 0 {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return nil
		}
		needed := fs.FileMode(0o004)
		if d.IsDir() {
			needed = 0o005
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok || info.Mode()&needed == needed || d.IsDir() && path == source {
			return nil
		}
		found = append(found, private{
			path: strings.TrimPrefix(path, source), dir: d.IsDir(), mode: info.Mode(), uid: st.Uid, gid: st.Gid,
		})
		return nil
	})
	return found
}

// readable reports whether a user may read the file by being who they are. Being root is no reason: root in a task is not
// the host's.
func (p private) readable(u launch.User) bool {
	owner, group := fs.FileMode(0o400), fs.FileMode(0o040)
	if p.dir {
		owner, group = 0o500, 0o050
	}
	if u.UID != 0 && p.uid == u.UID {
		return p.mode&owner == owner
	}
	return p.gid != 0 && (p.gid == u.GID || slices.Contains(u.Groups, p.gid)) && p.mode&group == group
}

// covers are the mounts that hide what user may not read of the host trees that lie in /etc.
func (h *Hidden) covers(chroot map[string]string, u launch.User, now time.Time) []launch.Entry {
	var list []launch.Entry
	for source, target := range chroot {
		if !inEtc(source) && !inEtc(target) {
			continue
		}
		covered := ""
		for _, p := range h.in(source, now) {
			if p.readable(u) || covered != "" && strings.HasPrefix(p.path, covered+"/") {
				continue
			}
			e := launch.Entry{Kind: launch.Bind, Source: "/dev/null", Target: filepath.Join(target, p.path), File: true, ReadOnly: true, NoExec: true}
			if p.dir {
				covered = p.path
				e = launch.Entry{Kind: launch.Filesystem, Source: "tmpfs", Target: e.Target, Data: "size=0,mode=555", ReadOnly: true, NoDev: true, NoExec: true}
			}
			list = append(list, e)
		}
	}
	return list
}

func inEtc(path string) bool { return path == "/etc" || strings.HasPrefix(path, "/etc/") }
