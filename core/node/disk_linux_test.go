package node

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/droverhq/drover/core/model"
)

// The disk under the data directory is full: what runs is not touched, what cannot start says why, and works later.
func TestFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount a small disk")
	}
	small := t.TempDir()
	if err := unix.Mount("tmpfs", small, "tmpfs", 0, "size=3m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(small, unix.MNT_DETACH) })
	r := &rig{t: t, dir: small, allocs: small + "/alloc", world: newWorld(), logs: newLogs(), ctl: newControl(t)}
	r.boot()
	r.ctl.run(alloc("before", "batch", task("job")))
	r.ctl.awaitStatus("before", model.AllocClientRunning)

	filler, err := os.Create(small + "/filler")
	if err != nil {
		t.Fatal(err)
	}
	for block := make([]byte, 4096); err == nil; {
		_, err = filler.Write(block)
	}
	filler.Close()
	a := alloc("during", "batch", task("job"))
	a.Job.TaskGroups[0].RestartPolicy.Attempts = 0
	r.ctl.run(a)
	r.ctl.awaitStatus("during", model.AllocClientFailed)
	if !r.hasEvent("during", "job", model.EventSetupFailure, "no space left on device") {
		t.Errorf("not explained: %v", eventTypes(r.ctl.report("during"), "job"))
	}
	r.world.task("job").exit(0)
	r.ctl.awaitStatus("before", model.AllocClientComplete)

	os.Remove(small + "/filler")
	r.ctl.run(alloc("after", "batch", task("job")))
	r.ctl.awaitStatus("after", model.AllocClientRunning)
}
