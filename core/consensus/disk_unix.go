//go:build unix

package consensus

import "syscall"

const errNoQuota = syscall.EDQUOT
