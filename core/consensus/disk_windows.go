package consensus

import "golang.org/x/sys/windows"

const errNoQuota = windows.ERROR_DISK_FULL
