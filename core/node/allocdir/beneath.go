package allocdir

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// OpenBeneath opens a directory of an allocation for the node to write into. The tasks can rename and replace each other's
// directories, so a link anywhere between the allocation's directory, which is the node's own, and dir is refused; one
// that appears meanwhile leads to nothing outside of the allocation.
func OpenBeneath(allocation, dir string) (*os.Root, error) {
	below, err := filepath.Rel(allocation, dir)
	if err != nil || !filepath.IsLocal(below) {
		return nil, fmt.Errorf("%s does not lie in the allocation's directory %s", dir, allocation)
	}
	root, err := os.OpenRoot(allocation)
	if err != nil || below == "." {
		return root, err
	}
	defer root.Close()
	path := ""
	for part := range strings.SplitSeq(below, string(filepath.Separator)) {
		path = filepath.Join(path, part)
		st, err := root.Lstat(path)
		if err != nil {
			return nil, err
		}
		if !st.IsDir() {
			return nil, fmt.Errorf("%s is no directory any more: a task has replaced it", filepath.Join(allocation, path))
		}
	}
	return root.OpenRoot(below)
}

// OpenLocal opens a task's scratch directory, see [OpenBeneath].
func (d Dir) OpenLocal(task string) (*os.Root, error) { return OpenBeneath(d.root, d.Local(task)) }
