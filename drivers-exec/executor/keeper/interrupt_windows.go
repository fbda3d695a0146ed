package keeper

import (
	"errors"
	"syscall"

	"golang.org/x/sys/windows"
)

// wmClose is what a window gets when its user closes it.
const wmClose = 0x0010

// interrupt asks a process to end in the ways that Windows has: Ctrl-Break to the console group that the process leads, and
// to its windows what a user's click on the cross sends. It fails if the process can hear neither.
func interrupt(pid uint32) error {
	err := windows.GenerateConsoleCtrlEvent(windows.CTRL_BREAK_EVENT, pid)
	if err != nil {
		err = errors.New("it has no console that Ctrl-Break could be sent to, and no window: " + err.Error())
	}
	post := windows.NewLazySystemDLL("user32.dll").NewProc("PostMessageW")
	if post.Find() != nil {
		return err // a system without windows
	}
	each := syscall.NewCallback(func(window windows.HWND, _ uintptr) uintptr {
		var owner uint32
		if _, e := windows.GetWindowThreadProcessId(window, &owner); e == nil && owner == pid {
			if sent, _, _ := post.Call(uintptr(window), wmClose, 0, 0); sent != 0 {
				err = nil
			}
		}
		return 1 // go on
	})
	_ = windows.EnumWindows(each, nil)
	return err
}
