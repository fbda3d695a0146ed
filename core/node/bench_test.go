package node

import (
	"fmt"
	"testing"

	"github.com/droverhq/drover/core/model"
)

// BenchmarkStart is the node's own part of starting a task: from the push of an allocation to the report that it runs,
// with a driver that does nothing. All allocations of a run are pushed at once.
func BenchmarkStart(b *testing.B) {
	b.ReportAllocs()
	dir := b.TempDir()
	r := &rig{t: b, dir: dir, allocs: dir + "/alloc", world: newWorld(), logs: newLogs(), ctl: newControl(b)}
	r.boot()
	r.ctl.conn()
	b.ResetTimer()
	for i := range b.N {
		r.ctl.run(alloc(fmt.Sprintf("a%d", i), "service", task("web")))
	}
	for i := range b.N {
		r.ctl.awaitStatus(fmt.Sprintf("a%d", i), model.AllocClientRunning)
	}
	b.StopTimer()
}
