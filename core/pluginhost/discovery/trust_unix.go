//go:build unix

package discovery

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// checkOwner refuses what belongs to anybody but root and the agent's user, or can be written by others. A group may
// write if it is root's or the user's private group (same number as the user), which is what a umask of 002 makes. A
// directory that lies above plugin_dir may be open if it has the sticky bit: nobody can replace there what another owns.
func checkOwner(path string, info fs.FileInfo, above bool) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("%s: its owner cannot be found out", path)
	}
	me := os.Geteuid()
	if st.Uid != 0 && int(st.Uid) != me {
		return fmt.Errorf("%s belongs to user %d; only files and directories of root and of the agent's user (%d) are loaded: chown it",
			path, st.Uid, me)
	}
	if info.Mode()&fs.ModeSymlink != 0 || above && info.Mode()&fs.ModeSticky != 0 {
		return nil // a link's own mode means nothing
	}
	perm := info.Mode().Perm()
	if perm&0o002 != 0 {
		return fmt.Errorf("%s can be written by everybody (mode %04o): chmod o-w it", path, perm)
	}
	private := st.Gid == 0 || (int(st.Gid) == me && int(st.Gid) == os.Getegid())
	if perm&0o020 != 0 && !private {
		return fmt.Errorf("%s can be written by group %d (mode %04o): chmod g-w it", path, st.Gid, perm)
	}
	return nil
}

func executable(_ string, info fs.FileInfo) bool { return info.Mode().Perm()&0o111 != 0 }

func notExecutable(path string) string {
	return fmt.Sprintf("%s is not executable: chmod 0755 it if it is a plugin", path)
}

func openNoFollow(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
}

func fileID(info fs.FileInfo) string {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%d:%d:%d", st.Dev, st.Ino, st.Uid)
}
