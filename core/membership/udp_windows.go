package membership

import (
	"errors"

	"golang.org/x/sys/windows"
)

func unsupported(err error) bool { return errors.Is(err, windows.WSAEOPNOTSUPP) }
