package executor

import (
	"github.com/droverhq/drover/drivers-exec/executor/keeper"
)

// CleanupVerb is the first argument of a driver binary that is to remove what
// dead tasks left, when no plugin runs.
const CleanupVerb = "cleanup"

// Main serves the verbs that every driver binary on this package answers. A
// driver's main function calls it first:
//
//	if code, ok := executor.Main("raw_exec", os.Args[1:]); ok {
//		os.Exit(code)
//	}
func Main(driver string, args []string) (code int, ok bool) {
	if len(args) == 0 {
		return 0, false
	}
	switch args[0] {
	case keeper.Verb:
		return keeper.Main(args[1:]), true
	case CleanupVerb:
		return cleanup(driver, args[1:]), true
	}
	return 0, false
}
