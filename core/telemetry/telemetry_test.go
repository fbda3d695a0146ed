package telemetry

import (
	"encoding/json"
	"math"
	"net/http/httptest"
	"strings"
	"testing"
)

func source() []Gauge {
	return []Gauge{
		{Name: "client.allocations.running", Labels: map[string]string{"node_id": "n1", "job": "a\"b"}, Value: 3},
		{Name: "broken", Value: math.NaN()},
		{Name: "client.allocations.running", Labels: map[string]string{"node_id": "n2"}, Value: 1},
	}
}

func TestPrometheusText(t *testing.T) {
	w := httptest.NewRecorder()
	Handler("h", true, source).ServeHTTP(w, httptest.NewRequest("GET", "/v1/metrics?format=prometheus", nil))
	want := "# TYPE nomad_client_allocations_running gauge\n" +
		`nomad_client_allocations_running{host="h",job="a\"b",node_id="n1"} 3` + "\n" +
		`nomad_client_allocations_running{host="h",node_id="n2"} 1` + "\n"
	if got := w.Body.String(); !strings.Contains(got, want) || strings.Contains(got, "broken") {
		t.Errorf("got:\n%s\nwant in it:\n%s", got, want)
	}
}

func TestPrometheusMustBeEnabled(t *testing.T) {
	w := httptest.NewRecorder()
	Handler("h", false, source).ServeHTTP(w, httptest.NewRequest("GET", "/v1/metrics?format=prometheus", nil))
	if w.Code != 415 {
		t.Errorf("status %d, want 415", w.Code)
	}
}

func TestJSON(t *testing.T) {
	w := httptest.NewRecorder()
	Handler("h", false, source).ServeHTTP(w, httptest.NewRequest("GET", "/v1/metrics", nil))
	var out struct {
		Gauges []struct {
			Name  string
			Value float64
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, g := range out.Gauges {
		if g.Name == "nomad.client.allocations.running" {
			found++
		}
	}
	if found != 2 {
		t.Errorf("found %d values, want 2: %s", found, w.Body)
	}
}
