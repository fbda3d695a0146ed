package docker

import (
	"errors"
	"fmt"
	"net"
	"regexp"

	cerrdefs "github.com/containerd/errdefs"

	"github.com/droverhq/drover/sdk/driver"
)

var (
	// unreadable: the container's log driver does not keep what it gets.
	unreadable = regexp.MustCompile(`(?i)configured logging driver does not support reading`)
	// nameTaken: a container of that name exists.
	nameTaken = regexp.MustCompile(`(?i)container name .+ is already in use|Conflict\. The name`)
	// passing are troubles of the engine that another attempt may not meet.
	passing = regexp.MustCompile(`(?i)timeout|timed out|duplicate mount point|EOF|connection refused|device or resource busy|no such image|cannot connect to the docker daemon|No such container|context deadline exceeded|transport is closing|Unavailable|failed to update store for object`)
	// foreignProgram is how a kernel refuses a program for another processor.
	foreignProgram = regexp.MustCompile(`(?i)exec format error`)
)

func isNetwork(err error) bool {
	var n net.Error
	var op *net.OpError
	return errors.As(err, &op) || errors.As(err, &n) && n.Timeout()
}

// noChild is what runc says when the container's first process could not be set up.
var noChild = regexp.MustCompile(`(?i)can't get final child's PID from pipe|oom_score_adj`)

// explainScore says what a start with an oom_score_adj may have died of: the kernel lets only a process with CAP_SYS_RESOURCE
// lower it below its own. Another attempt would die of the same, so the answer is final.
func explainScore(err error, score int) error {
	if score < 0 && noChild.MatchString(err.Error()) {
		return fmt.Errorf("oom_score_adj = %d: the engine may not go below its own here, which needs CAP_SYS_RESOURCE: %s", score, err)
	}
	return err
}

// classed marks an engine's refusal to make or start a container as worth another attempt, if it is.
func classed(err error) error {
	if err == nil {
		return nil
	}
	if unreachable(err) || cerrdefs.IsNotFound(err) || passing.MatchString(err.Error()) {
		return driver.Recoverable(err)
	}
	return err
}
