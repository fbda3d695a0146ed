//go:build failpoints

package tasklog

import "os"

// builtinFailpoint kills the process where the environment says, for tests of the built binary.
func builtinFailpoint() failpoint {
	return parseFailpoint(os.Getenv(failpointEnv), func() {
		self, err := os.FindProcess(os.Getpid())
		if err == nil {
			self.Kill()
		}
		select {}
	})
}
