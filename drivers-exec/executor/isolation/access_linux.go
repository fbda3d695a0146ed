package isolation

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/droverhq/drover/drivers-exec/executor/cgroup"
	"github.com/droverhq/drover/sdk/driver"
)

// Access lists the devices that a task may open: those of every root (see kernelTrees), terminals of its own, and what the
// job was given, with the permissions it was given. Nodes may be made, as containers may: no file system of the task's lets
// them be opened.
func Access(given []driver.Device) ([]cgroup.Device, error) {
	const all = -1
	list := []cgroup.Device{
		{Major: all, Minor: all, Access: "m"}, {Block: true, Major: all, Minor: all, Access: "m"},
		{Major: 5, Minor: 0, Access: "rwm"}, {Major: 5, Minor: 2, Access: "rwm"}, // tty, ptmx
		{Major: 136, Minor: all, Access: "rwm"}, // pts
	}
	for _, minor := range []int64{3, 5, 7, 8, 9} { // null, zero, full, random, urandom
		list = append(list, cgroup.Device{Major: 1, Minor: minor, Access: "rwm"})
	}
	for _, d := range given {
		access := d.Permissions
		if access == "" {
			access = "rwm"
		}
		if strings.Trim(access, "rwm") != "" {
			return nil, fmt.Errorf("device %s: permissions %q: they are made of r, w and m", d.HostPath, d.Permissions)
		}
		host, err := filepath.EvalSymlinks(d.HostPath)
		if err != nil {
			return nil, fmt.Errorf("device: %w", err)
		}
		err = filepath.WalkDir(host, func(at string, e fs.DirEntry, err error) error {
			if err != nil || e.Type()&fs.ModeDevice == 0 {
				return err
			}
			info, err := e.Info()
			if err != nil {
				return err
			}
			if st, ok := info.Sys().(*syscall.Stat_t); ok {
				list = append(list, cgroup.Device{
					Block: e.Type()&fs.ModeCharDevice == 0, Access: access,
					Major: int64(unix.Major(uint64(st.Rdev))), Minor: int64(unix.Minor(uint64(st.Rdev))),
				})
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("device %s: %w", d.HostPath, err)
		}
	}
	return list, nil
}
