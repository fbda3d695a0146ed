package discovery

import (
	"fmt"
	"io/fs"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/windows"
)

// checkOwner refuses what belongs to anybody but the system, its administrators, its installer and the agent's user, or
// what a group of ordinary users may write. Above plugin_dir only rights over the directory itself count: ordinary users
// may add folders to a drive and to ProgramData, which replaces nothing that is there.
func checkOwner(path string, _ fs.FileInfo, above bool) error {
	sd, err := windows.GetNamedSecurityInfo(path, windows.SE_FILE_OBJECT,
		windows.OWNER_SECURITY_INFORMATION|windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		return fmt.Errorf("%s: its owner cannot be found out: %w", path, err)
	}
	owner, _, err := sd.Owner()
	if err != nil {
		return fmt.Errorf("%s: its owner cannot be found out: %w", path, err)
	}
	if !trusted(owner) {
		return fmt.Errorf("%s belongs to %s; only files and directories of administrators, the system and the agent's user are loaded",
			path, owner)
	}
	dacl, _, err := sd.DACL()
	if err != nil || dacl == nil {
		return fmt.Errorf("%s can be written by everybody: it has no access list", path)
	}
	write := windows.ACCESS_MASK(windows.FILE_WRITE_DATA | windows.WRITE_DAC | windows.WRITE_OWNER | windows.GENERIC_WRITE |
		windows.GENERIC_ALL)
	if above {
		write &^= windows.FILE_WRITE_DATA
	}
	for i := uint32(0); i < uint32(dacl.AceCount); i++ {
		var ace *windows.ACCESS_ALLOWED_ACE
		if err := windows.GetAce(dacl, i, &ace); err != nil {
			return fmt.Errorf("%s: read its access list: %w", path, err)
		}
		inheritOnly := ace.Header.AceFlags&windows.INHERIT_ONLY_ACE != 0
		if ace.Header.AceType != windows.ACCESS_ALLOWED_ACE_TYPE || inheritOnly || ace.Mask&write == 0 {
			continue
		}
		if sid := (*windows.SID)(unsafe.Pointer(&ace.SidStart)); crowd(sid) {
			return fmt.Errorf("%s can be written by %s: take that right away", path, sid)
		}
	}
	return nil
}

func trusted(sid *windows.SID) bool {
	const installer = "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"
	if sid.IsWellKnown(windows.WinLocalSystemSid) || sid.IsWellKnown(windows.WinBuiltinAdministratorsSid) ||
		sid.String() == installer {
		return true
	}
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	return err == nil && user.User.Sid.Equals(sid)
}

// crowd is true for the groups that stand for ordinary users.
func crowd(sid *windows.SID) bool {
	for _, kind := range []windows.WELL_KNOWN_SID_TYPE{windows.WinWorldSid, windows.WinBuiltinUsersSid,
		windows.WinAuthenticatedUserSid, windows.WinInteractiveSid, windows.WinBuiltinGuestsSid, windows.WinAnonymousSid} {
		if sid.IsWellKnown(kind) {
			return true
		}
	}
	return false
}

func executable(path string, _ fs.FileInfo) bool {
	return strings.HasSuffix(strings.ToLower(path), ".exe")
}

func notExecutable(path string) string { return fmt.Sprintf("%s does not end in .exe", path) }

func openNoFollow(path string) (*os.File, error) { return os.Open(path) }

func fileID(fs.FileInfo) string { return "" }
