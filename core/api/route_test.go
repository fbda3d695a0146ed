package api

import (
	"maps"
	"testing"
)

func TestFindRoute(t *testing.T) {
	table := newTable((&API{}).routes())
	for name, tc := range map[string]struct {
		method, path string
		want         string
		params       map[string]string
		known        bool
	}{
		"plain":                   {"GET", "/v1/jobs", "/v1/jobs", nil, true},
		"literal beats parameter": {"PUT", "/v1/jobs/parse", "/v1/jobs/parse", nil, true},
		"id":                      {"GET", "/v1/job/web", "/v1/job/:id", map[string]string{"id": "web"}, true},
		"escaped slash":           {"GET", "/v1/job/a%2Fdispatch-1/allocations", "/v1/job/:id/allocations", map[string]string{"id": "a/dispatch-1"}, true},
		"raw slash":               {"GET", "/v1/job/a/dispatch-1/allocations", "/v1/job/:id/allocations", map[string]string{"id": "a/dispatch-1"}, true},
		"job named like a suffix": {"GET", "/v1/job/allocations", "/v1/job/:id", map[string]string{"id": "allocations"}, true},
		"post is put":             {"POST", "/v1/jobs", "/v1/jobs", nil, true},
		"two parameters":          {"PUT", "/v1/job/a/b/versions/v1/tag", "/v1/job/:id/versions/:tag/tag", map[string]string{"id": "a/b", "tag": "v1"}, true},
		"node pool is no node":    {"GET", "/v1/node/pools", "/v1/node/pools", nil, true},
		"pool of a node":          {"GET", "/v1/node/pool/gpu/nodes", "/v1/node/pool/:name/nodes", map[string]string{"name": "gpu"}, true},
		"wrong method":            {"DELETE", "/v1/jobs", "", nil, true},
		"unknown":                 {"GET", "/v1/unknown", "", nil, false},
		"missing id":              {"GET", "/v1/allocation/", "", nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			r, params, known := table.find(tc.method, tc.path)
			got := ""
			if r != nil {
				got = r.path
			}
			if got != tc.want || known != tc.known || !maps.Equal(params, tc.params) {
				t.Errorf("got %q %v known=%v, want %q %v known=%v", got, params, known, tc.want, tc.params, tc.known)
			}
		})
	}
}

func TestCursorOrder(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		want int
	}{{"9.x", "10.a", -1}, {"10.a", "10.b", -1}, {"default.web", "default.api", 1}, {"a", "a", 0}} {
		if got := compareCursors(tc.a, tc.b); got != tc.want {
			t.Errorf("compareCursors(%q, %q) = %d, want %d", tc.a, tc.b, got, tc.want)
		}
	}
}
