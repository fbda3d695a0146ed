// Package telemetry serves metrics: gauges that the parts of an agent compute when they are asked, under the names that
// existing dashboards use, as JSON and in Prometheus' text form.
package telemetry

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Gauge is one value now. Name is dotted, without the service's prefix: "client.allocations.running".
type Gauge struct {
	Name   string
	Labels map[string]string
	Value  float64
	// Counter: it only grows, until the agent starts anew.
	Counter bool
}

// Source computes gauges when metrics are asked for.
type Source func() []Gauge

// prefix starts every name.
const prefix = "nomad"

// Handler answers /v1/metrics: JSON, or Prometheus' text with format=prometheus when that is enabled. host becomes the
// label of that name on every value.
func Handler(host string, prometheus bool, sources ...Source) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch f := r.URL.Query().Get("format"); {
		case f == "prometheus" && !prometheus:
			http.Error(w, "Prometheus is not enabled: set telemetry { prometheus_metrics = true }", http.StatusUnsupportedMediaType)
			return
		case f != "" && f != "prometheus":
			http.Error(w, fmt.Sprintf("format must be prometheus or absent, got %q", f), http.StatusBadRequest)
			return
		}
		var all []Gauge
		for _, s := range append(sources, process) {
			all = append(all, s()...)
		}
		slices.SortStableFunc(all, func(a, b Gauge) int { return strings.Compare(a.Name, b.Name) })
		if r.URL.Query().Get("format") == "prometheus" {
			w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
			w.Write(text(all, host))
			return
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(summary(all, host))
	})
}

// process describes this process.
func process() []Gauge {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return []Gauge{
		{Name: "runtime.num_goroutines", Value: float64(runtime.NumGoroutine())},
		{Name: "runtime.alloc_bytes", Value: float64(m.Alloc)},
		{Name: "runtime.sys_bytes", Value: float64(m.Sys)},
		{Name: "runtime.heap_objects", Value: float64(m.HeapObjects)},
		{Name: "runtime.total_gc_runs", Value: float64(m.NumGC)},
	}
}

// text writes Prometheus' exposition format: dots and dashes become underscores, one TYPE line per name.
func text(gauges []Gauge, host string) []byte {
	var b strings.Builder
	last := ""
	for _, g := range gauges {
		if math.IsNaN(g.Value) || math.IsInf(g.Value, 0) {
			continue
		}
		name := flatten(prefix + "." + g.Name)
		if name != last {
			fmt.Fprintf(&b, "# TYPE %s %s\n", name, map[bool]string{false: "gauge", true: "counter"}[g.Counter])
			last = name
		}
		b.WriteString(name)
		labels := labelled(g.Labels, host)
		for i, k := range slices.Sorted(maps.Keys(labels)) {
			b.WriteByte(map[bool]byte{true: '{', false: ','}[i == 0])
			fmt.Fprintf(&b, "%s=%q", flatten(k), labels[k])
		}
		if len(labels) > 0 {
			b.WriteByte('}')
		}
		fmt.Fprintf(&b, " %v\n", g.Value)
	}
	return []byte(b.String())
}

func flatten(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == ':' {
			return r
		}
		return '_'
	}, s)
}

func labelled(labels map[string]string, host string) map[string]string {
	out := map[string]string{}
	if host != "" {
		out["host"] = host
	}
	maps.Copy(out, labels)
	return out
}

type jsonGauge struct {
	Name   string
	Value  float64
	Labels map[string]string
}

// summary is the API's own form. Everything here is a gauge; the other lists are there because clients expect them.
func summary(gauges []Gauge, host string) any {
	out := struct {
		Timestamp string
		Gauges    []jsonGauge
		Points    []any
		Counters  []any
		Samples   []any
	}{Timestamp: time.Now().UTC().Format("2006-01-02 15:04:05 +0000 UTC"), Gauges: []jsonGauge{}, Points: []any{}, Counters: []any{}, Samples: []any{}}
	for _, g := range gauges {
		if math.IsNaN(g.Value) || math.IsInf(g.Value, 0) {
			continue
		}
		out.Gauges = append(out.Gauges, jsonGauge{prefix + "." + g.Name, g.Value, labelled(g.Labels, host)})
	}
	return out
}
