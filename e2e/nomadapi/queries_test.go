package nomadapi

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
)

func testQueries(t *testing.T, f *fixture) {
	t.Run("a blocking query returns at a change", func(t *testing.T) {
		_, meta, err := f.c.Jobs().List(nil)
		if err != nil {
			t.Fatal(err)
		}
		type answer struct {
			list []*api.JobListStub
			meta *api.QueryMeta
			err  error
		}
		got := make(chan answer, 1)
		go func() {
			l, m, err := f.c.Jobs().List(&api.QueryOptions{WaitIndex: meta.LastIndex, WaitTime: limit})
			got <- answer{l, m, err}
		}()
		f.run(t, f.batch("change", shell("true")))
		select {
		case a := <-got:
			if a.err != nil || a.meta.LastIndex <= meta.LastIndex {
				t.Fatalf("index %d after %d, %v", a.meta.LastIndex, meta.LastIndex, a.err)
			}
			found := false
			for _, j := range a.list {
				found = found || j.ID == "change"
			}
			if !found {
				t.Error("it returned without the change")
			}
		case <-time.After(limit):
			t.Error("it did not return")
		}
	})
	t.Run("of one object, not of others", func(t *testing.T) {
		f.waitAllocs(t, "web", "running", 2)
		_, meta, err := f.c.Allocations().Info(f.alloc.ID, nil)
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		a, after, err := f.c.Allocations().Info(f.alloc.ID, &api.QueryOptions{WaitIndex: meta.LastIndex, WaitTime: 300 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		if d := time.Since(begin); d < 300*time.Millisecond || d > 10*time.Second {
			t.Errorf("unchanged it returned after %v, want 300 ms and up to a sixteenth", d)
		}
		if after.LastIndex < meta.LastIndex || a.ID != f.alloc.ID {
			t.Errorf("index %d after %d", after.LastIndex, meta.LastIndex)
		}
	})
	t.Run("index 0 and an old index do not block", func(t *testing.T) {
		for _, index := range []uint64{0, 1} {
			begin := time.Now()
			get(f.c.Nodes().List(&api.QueryOptions{WaitIndex: index, WaitTime: limit}))(t)
			if d := time.Since(begin); d > limit/2 {
				t.Errorf("index %d waited %v", index, d)
			}
		}
	})
	t.Run("waiting for an object to appear", func(t *testing.T) {
		done := make(chan error, 1)
		go func() {
			_, meta, err := f.c.Jobs().Deployments("appears", true, nil)
			for err == nil {
				var l []*api.Deployment
				l, meta, err = f.c.Jobs().Deployments("appears", true, &api.QueryOptions{WaitIndex: meta.LastIndex, WaitTime: limit})
				if len(l) > 0 {
					break
				}
			}
			done <- err
		}()
		f.run(t, f.service("appears", 1, shell(webScript)))
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(limit):
			t.Error("it never appeared")
		}
	})

	const n = 5
	for i := range n {
		j := f.batch(fmt.Sprintf("page-%d", i), shell("true"))
		j.Meta = map[string]string{"parity": []string{"even", "odd"}[i%2]}
		f.run(t, j)
	}
	ids := func(l []*api.JobListStub) (out []string) {
		for _, j := range l {
			out = append(out, j.ID)
		}
		return out
	}
	t.Run("prefix", func(t *testing.T) {
		if got := ids(get(f.c.Jobs().PrefixList("page-"))(t)); len(got) != n {
			t.Errorf("jobs %v", got)
		}
		if got := get(f.c.Jobs().PrefixList("nosuch"))(t); got == nil || len(got) != 0 {
			t.Errorf("an empty list is %v, want []", got)
		}
	})
	t.Run("pages", func(t *testing.T) {
		var all []string
		q := &api.QueryOptions{Prefix: "page-", PerPage: 2}
		for pages := 1; ; pages++ {
			l, meta, err := f.c.Jobs().List(q)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, ids(l)...)
			if meta.NextToken == "" {
				if pages != 3 {
					t.Errorf("%d pages, want 3", pages)
				}
				break
			}
			if len(l) != 2 || pages > 3 {
				t.Fatalf("page %d has %v", pages, ids(l))
			}
			q.NextToken = meta.NextToken
		}
		if strings.Join(all, " ") != "page-0 page-1 page-2 page-3 page-4" {
			t.Errorf("in pages: %v", all)
		}
	})
	t.Run("pages of allocations, newest first", func(t *testing.T) {
		var last uint64 = 1 << 62
		seen := map[string]bool{}
		q := &api.QueryOptions{PerPage: 3, Reverse: true}
		for {
			l, meta, err := f.c.Allocations().List(q)
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range l {
				if a.CreateIndex > last || seen[a.ID] {
					t.Errorf("%s of index %d after %d, seen before: %v", a.ID, a.CreateIndex, last, seen[a.ID])
				}
				last, seen[a.ID] = a.CreateIndex, true
			}
			if meta.NextToken == "" {
				break
			}
			q.NextToken = meta.NextToken
		}
		if !seen[f.alloc.ID] {
			t.Errorf("%d allocations without ours", len(seen))
		}
	})
	for name, tc := range map[string]struct {
		filter, want string
	}{
		"equal":          {`ID == "page-3"`, "page-3"},
		"map and prefix": {`Meta.parity == "odd" and ID matches "^page-"`, "page-1 page-3"},
		"not":            {`ID matches "^page-" and not (Meta["parity"] == "odd")`, "page-0 page-2 page-4"},
		"in":             {`ID in ["page-1"]`, ""},
		"contains":       {`"dc1" in Datacenters and ID == "page-1"`, "page-1"},
		"nothing":        {`Type == "sysbatch"`, ""},
	} {
		t.Run("filter, "+name, func(t *testing.T) {
			l, _, err := f.c.Jobs().List(&api.QueryOptions{Filter: tc.filter})
			if name == "in" {
				// A string is no collection that a list could hold: the grammar refuses it.
				status(t, err, 400)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(ids(l), " "); got != tc.want {
				t.Errorf("%s: %q, want %q", tc.filter, got, tc.want)
			}
		})
	}
	t.Run("filter and pages", func(t *testing.T) {
		l, meta, err := f.c.Jobs().List(&api.QueryOptions{Filter: `Meta.parity == "even"`, Prefix: "page-", PerPage: 2})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(ids(l), " "); got != "page-0 page-2" || meta.NextToken == "" {
			t.Errorf("%q, next %q", got, meta.NextToken)
		}
	})
	t.Run("meta on demand", func(t *testing.T) {
		l := get(f.c.Jobs().ListOptions(&api.JobListOptions{Fields: &api.JobListFields{Meta: true}}, &api.QueryOptions{Prefix: "page-1"}))(t)
		if len(l) != 1 || l[0].Meta["parity"] != "odd" {
			t.Errorf("meta %v", l)
		}
	})
	t.Run("all namespaces", func(t *testing.T) {
		if got := ids(get(f.c.Jobs().List(&api.QueryOptions{Namespace: "*", Prefix: "web"}))(t)); len(got) != 1 {
			t.Errorf("jobs %v", got)
		}
		if got := ids(get(f.c.Jobs().List(&api.QueryOptions{Namespace: "other"}))(t)); len(got) != 0 {
			t.Errorf("jobs of another namespace %v", got)
		}
	})
	t.Run("stale", func(t *testing.T) {
		if got := ids(get(f.c.Jobs().List(&api.QueryOptions{AllowStale: true, Prefix: "web"}))(t)); len(got) != 1 {
			t.Errorf("jobs %v", got)
		}
	})
}

// Every refusal has the status and the words that clients look for.
func testErrors(t *testing.T, f *fixture) {
	const unknown = "00000000-0000-0000-0000-000000000000"
	nothing := &api.Allocation{ID: unknown, NodeID: f.nodeID}
	for name, tc := range map[string]struct {
		call func() error
		code int
		text string
	}{
		"job":                {func() error { _, _, err := f.c.Jobs().Info("nosuch", nil); return err }, 404, "job not found"},
		"summary":            {func() error { _, _, err := f.c.Jobs().Summary("nosuch", nil); return err }, 404, ""},
		"versions":           {func() error { _, _, _, err := f.c.Jobs().Versions("nosuch", false, nil); return err }, 404, "job versions not found"},
		"submission":         {func() error { _, _, err := f.c.Jobs().Submission("nosuch", 0, nil); return err }, 404, "job source not found"},
		"scale status":       {func() error { _, _, err := f.c.Jobs().ScaleStatus("nosuch", nil); return err }, 404, ""},
		"allocation":         {func() error { _, _, err := f.c.Allocations().Info(unknown, nil); return err }, 404, "alloc not found"},
		"stop":               {func() error { _, err := f.c.Allocations().Stop(nothing, nil); return err }, 404, ""},
		"restart":            {func() error { return f.c.Allocations().Restart(nothing, "", nil) }, 404, ""},
		"signal":             {func() error { return f.c.Allocations().Signal(nothing, nil, "", "SIGHUP") }, 404, ""},
		"stats":              {func() error { _, err := f.c.Allocations().Stats(nothing, nil); return err }, 404, ""},
		"files":              {func() error { _, _, err := f.c.AllocFS().List(nothing, "/", nil); return err }, 404, ""},
		"node":               {func() error { _, _, err := f.c.Nodes().Info(unknown, nil); return err }, 404, "node not found"},
		"node stats":         {func() error { _, err := f.c.Nodes().Stats(unknown, nil); return err }, 404, ""},
		"evaluation":         {func() error { _, _, err := f.c.Evaluations().Info(unknown, nil); return err }, 404, "eval not found"},
		"deployment":         {func() error { _, _, err := f.c.Deployments().Info(unknown, nil); return err }, 404, "deployment not found"},
		"namespace":          {func() error { _, _, err := f.c.Namespaces().Info("nosuch", nil); return err }, 404, "Namespace not found"},
		"node pool":          {func() error { _, _, err := f.c.NodePools().Info("nosuch", nil); return err }, 404, "node pool not found"},
		"route":              {func() error { _, err := f.c.Raw().Query("/v1/nosuch", nil, nil); return err }, 404, ""},
		"method":             {func() error { _, err := f.c.Raw().Delete("/v1/nodes", nil, nil); return err }, 405, ""},
		"filter":             {func() error { _, _, err := f.c.Jobs().List(&api.QueryOptions{Filter: "=="}); return err }, 400, ""},
		"filter of no field": {func() error { _, _, err := f.c.Jobs().List(&api.QueryOptions{Filter: `Nosuch == "x"`}); return err }, 400, "Nosuch"},
		"filter with filters": {func() error {
			_, _, err := f.c.Evaluations().List(&api.QueryOptions{Filter: `ID == "x"`, Params: map[string]string{"job": "web"}})
			return err
		}, 400, "Filter expression cannot be used with other filter parameters"},
		"wait":     {func() error { _, err := f.c.Raw().Query("/v1/jobs?wait=soon", nil, nil); return err }, 400, "Invalid wait time"},
		"index":    {func() error { _, err := f.c.Raw().Query("/v1/jobs?index=x", nil, nil); return err }, 400, "Invalid index"},
		"per page": {func() error { _, err := f.c.Raw().Query("/v1/jobs?per_page=x", nil, nil); return err }, 400, ""},
		"wrong-typed body": {func() error {
			_, err := f.c.Raw().Write("/v1/jobs", map[string]any{"Job": map[string]any{"ID": 7}}, nil, nil)
			return err
		}, 400, ""},
		"no job in the body": {func() error { _, err := f.c.Raw().Write("/v1/jobs", map[string]any{}, nil, nil); return err }, 400, ""},
		"another job's id": {func() error {
			_, err := f.c.Raw().Write("/v1/job/other", map[string]any{"Job": f.web}, nil, nil)
			return err
		}, 400, ""},
		"invalid job": {func() error {
			_, _, err := f.c.Jobs().Register(f.service("bad", 1, api.NewTask("", "")), nil)
			return err
		}, 400, "driver is missing"},
		"drain of nothing": {func() error { _, err := f.c.Nodes().UpdateDrain(unknown, nil, true, nil); return err }, 404, ""},
		"purge of nothing": {func() error { _, _, err := f.c.Nodes().Purge(unknown, nil); return err }, 404, ""},
		"another region":   {func() error { _, _, err := f.c.Jobs().List(&api.QueryOptions{Region: "mars"}); return err }, 500, "No path to region"},
	} {
		t.Run(name, func(t *testing.T) {
			err := tc.call()
			if err == nil {
				t.Fatal("it succeeded")
			}
			status(t, err, tc.code, tc.text)
		})
	}
}
