package spec

import (
	"fmt"
	"path/filepath"
	"strings"
)

// agentsOwn are names in a task's directory that no container gets: what the agent keeps of a task for itself.
const agentsOwn = "private"

// ownPrefixInDir begins the names of this driver's own files in a task's directory.
const ownPrefixInDir = ".docker"

// hostPath makes a job's path one of the host. It is relative to the task's directory. Unless the operator allows more it
// lies in the allocation's alloc directory, or is or lies in something inside the task's directory; the directories
// that hold these are the agent's. create: what does not exist is made, as a directory.
func hostPath(in Input, option, name string, create bool) (string, error) {
	full := name
	if !filepath.IsAbs(full) {
		full = filepath.Join(in.Task.TaskDir(), name)
	}
	full = filepath.Clean(full)
	if in.Plugin.Volumes.Enabled {
		return full, nil
	}
	area, rel, err := area(in, full)
	if err != nil {
		return "", fmt.Errorf("%s: host path %s %w; the operator can set volumes.enabled of the docker plugin", option, full, err)
	}
	if in.Pin == nil {
		return full, nil
	}
	pinned, err := in.Pin(area, rel, create)
	if err != nil {
		return "", fmt.Errorf("%s: host path %s %w", option, full, err)
	}
	return pinned, nil
}

// area splits a host path into a directory, or file, that no task can replace because no task reaches the directory it is in,
// and the rest of the path, which tasks can change at any time ("." if there is none).
func area(in Input, full string) (area, rel string, err error) {
	if rel, ok := below(full, in.Task.SharedDir()); ok {
		return in.Task.SharedDir(), rel, nil
	}
	if !within(full, in.Task.AllocDir) {
		return "", "", fmt.Errorf("is outside the allocation's directory, which is not allowed on this node")
	}
	rel, ok := below(full, in.Task.TaskDir())
	if !ok || rel == "." {
		return "", "", fmt.Errorf("is not the task's own: only what is in its directory (local, secrets, tmp, ...) and ../alloc can be mounted, not the directories that hold them")
	}
	first, rest, _ := strings.Cut(filepath.ToSlash(rel), "/")
	plain := strings.ToLower(strings.TrimRight(first, ". ")) // as Windows takes names
	if plain == agentsOwn || strings.HasPrefix(plain, ownPrefixInDir) {
		return "", "", fmt.Errorf("is the agent's own")
	}
	if rest == "" {
		rest = "."
	}
	return filepath.Join(in.Task.TaskDir(), first), filepath.FromSlash(rest), nil
}

// below returns a path's rest under root; "." for root itself.
func below(name, root string) (rel string, ok bool) {
	rel, err := filepath.Rel(root, name)
	return rel, err == nil && filepath.IsLocal(rel)
}

func within(name, root string) bool {
	_, ok := below(name, root)
	return ok
}
