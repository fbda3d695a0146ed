package isolation

import (
	"fmt"
	"os"
	"path"
	"strings"

	"github.com/droverhq/drover/drivers-exec/executor/launch"
)

// FindCommand finds a task's command in its root and returns its path there. A
// relative one is looked for in /local, then at the root, then below each
// mount, and a bare name also where programs are. A file in the task's own
// directories is made executable.
func FindCommand(command string, root *launch.Root) (string, error) {
	if command == "" {
		return "", fmt.Errorf("command is empty")
	}
	var candidates []string
	switch {
	case path.IsAbs(command):
		candidates = []string{path.Clean(command)}
	default:
		candidates = []string{path.Join("/local", command), path.Join("/", command)}
		for _, e := range root.Entries {
			if e.Kind == launch.Bind && !e.ReadOnly {
				candidates = append(candidates, path.Join(e.Target, command))
			}
		}
		if !strings.Contains(command, "/") {
			for _, dir := range []string{"/usr/local/bin", "/usr/bin", "/bin"} {
				candidates = append(candidates, path.Join(dir, command))
			}
		}
	}
	for _, c := range candidates {
		found, err := look(c, root)
		if err != nil {
			return "", err
		}
		if found {
			return c, nil
		}
	}
	return "", fmt.Errorf("command %q not found in the task's root: looked for %s", command, strings.Join(candidates, ", "))
}

// look reports whether a path inside the root is a program.
func look(inside string, root *launch.Root) (bool, error) {
	e, rest := owner(inside, root)
	if e == nil {
		return false, nil
	}
	if e.File {
		return rest == "" && executable(e), nil
	}
	dir, err := OpenRoot(e)
	if err != nil {
		return false, nil
	}
	defer dir.Close()
	if rest == "" {
		return false, nil
	}
	// A link counts by being there: an absolute one means a path inside the
	// task's root, which cannot be followed from here.
	st, err := dir.Lstat(rest)
	if err != nil || st.IsDir() {
		return false, nil
	}
	if st.Mode()&os.ModeSymlink != 0 || st.Mode()&0o111 != 0 {
		return true, nil
	}
	if e.ReadOnly {
		return false, fmt.Errorf("command %s is not executable", inside)
	}
	if err := dir.Chmod(rest, st.Mode().Perm()|0o111); err != nil {
		return false, fmt.Errorf("make command %s executable: %w", inside, err)
	}
	return true, nil
}

// owner finds the mount that a path inside the root lies on, and the rest of
// the path below it. An overlay shows what the bind mount below it does.
func owner(inside string, root *launch.Root) (*launch.Entry, string) {
	var best *launch.Entry
	for i := range root.Entries {
		e := &root.Entries[i]
		if e.Kind != launch.Bind && e.Kind != launch.Filesystem || e.Source == overlay {
			continue
		}
		if inside == e.Target || strings.HasPrefix(inside, e.Target+"/") {
			if best == nil || len(e.Target) >= len(best.Target) {
				best = e
			}
		}
	}
	if best == nil || best.Kind != launch.Bind {
		return nil, ""
	}
	return best, strings.TrimPrefix(strings.TrimPrefix(inside, best.Target), "/")
}

func executable(e *launch.Entry) bool {
	stat := os.Stat
	if e.Beneath != "" {
		stat = os.Lstat
	}
	st, err := stat(e.Source)
	return err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0
}
