package server

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/state"
)

// BenchmarkJobs registers jobs of one instance each on one fake node that acknowledges them; it prints jobs placed per
// second, in memory and with a log on disk.
func BenchmarkJobs(b *testing.B) {
	for name, dir := range map[string]string{"memory": "", "disk": b.TempDir()} {
		b.Run(name, func(b *testing.B) {
			cfg := DefaultConfig()
			cfg.DataDir = dir
			s, err := New(cfg)
			if err != nil {
				b.Fatal(err)
			}
			defer s.Shutdown()
			s.Start()
			if err := s.WaitLeader(context.Background()); err != nil {
				b.Fatal(err)
			}
			t := &testing.T{}
			n := &fakeNode{t: t, id: "11111111-2222-3333-4444-555555555555", pushed: make(chan struct{}, 1), behave: runs,
				allocs: map[string]*model.Allocation{}, status: map[string]string{}, pushAt: map[string]time.Time{}}
			n.secret = "secret-" + n.id
			n.connect(s)
			defer n.leave()
			b.ResetTimer()
			var wg sync.WaitGroup
			work := make(chan int)
			for range 16 {
				wg.Go(func() {
					for i := range work {
						j := testJob(fmt.Sprintf("job-%s-%d-%d", name, b.N, i), 1)
						j.TaskGroups[0].Tasks[0].Resources = &model.Resources{CPU: 1, MemoryMB: 10}
						if _, err := s.RegisterJob(context.Background(), &JobRegisterRequest{Job: j}); err != nil {
							b.Error(err)
						}
					}
				})
			}
			for i := range b.N {
				work <- i
			}
			close(work)
			wg.Wait()
			for {
				snap := s.state.Snapshot()
				open := 0
				for j := range snap.Jobs(state.AllNamespaces, "") {
					if j.Status == model.JobStatusPending {
						open++
					}
				}
				if open == 0 {
					break
				}
				s.state.WaitIndex(context.Background(), snap.Index()+1)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
		})
	}
}
