package keeper

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/droverhq/drover/drivers-exec/executor/launch"
)

// BenchmarkStart starts processes one after the other, as a client sees it:
// from the request to the answer that the program runs.
func BenchmarkStart(b *testing.B) {
	dir := b.TempDir() + "/k"
	c, err := Connect(b.Context(), dir, nil, func(Task) {})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	files := null(b)
	n := 0
	for b.Loop() {
		n++
		_, fd, err := c.Start(b.Context(), fmt.Sprint(n), &launch.Spec{Path: "/bin/sleep", Args: []string{"sleep", "1000"}}, files, nil)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
		unix.Close(fd)
		b.StartTimer()
	}
}
