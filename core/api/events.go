package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/core/state"
)

// eventHeartbeat is how often an empty line shows that the stream lives.
const eventHeartbeat = 30 * time.Second

// topicFilter is what a subscriber asked for: topic -> keys, "*" for all.
type topicFilter map[string][]string

func parseTopics(values []string) (topicFilter, error) {
	f := topicFilter{}
	for _, v := range values {
		topic, key, ok := strings.Cut(v, ":")
		if topic == "" {
			return nil, rpc.Errorf(rpc.ErrInvalid, "invalid key value pair for topic: %s", v)
		}
		if !ok || key == "" {
			key = "*"
		}
		f[topic] = append(f[topic], key)
	}
	if len(f) == 0 {
		f["*"] = []string{"*"}
	}
	return f, nil
}

func (f topicFilter) wants(e *state.Event) bool {
	for _, topic := range []string{string(e.Topic), "*"} {
		for _, key := range f[topic] {
			if key == "*" || key == e.Key || slices.Contains(e.FilterKeys, key) {
				return true
			}
		}
	}
	return false
}

func (a *API) eventStream(rq *request) (any, error) {
	filter, err := parseTopics(rq.query["topic"])
	if err != nil {
		return nil, err
	}
	sub := a.srv.State().Events(rq.MinIndex)
	rq.w.Header().Set("Content-Type", "application/json")
	rq.w.WriteHeader(http.StatusOK)
	flush := flusher(rq.w)
	enc := json.NewEncoder(rq.w)
	if enc.Encode(struct{}{}) != nil {
		return written{}, nil
	}
	flush()
	for {
		ctx, cancel := context.WithTimeout(rq.Context(), eventHeartbeat)
		batch, err := sub.Next(ctx)
		cancel()
		if rq.Context().Err() != nil {
			return written{}, nil
		}
		if errors.Is(err, context.DeadlineExceeded) {
			if enc.Encode(struct{}{}) != nil {
				return written{}, nil
			}
			flush()
			continue
		}
		if err != nil {
			panic(http.ErrAbortHandler) // fell behind, or the state was replaced: the subscriber must start over
		}
		out := struct {
			Index  uint64
			Events []state.Event
		}{Index: batch.Index}
		for _, e := range batch.Events {
			inNS := rq.Namespace == "*" || e.Namespace == "" || e.Namespace == rq.Namespace
			if inNS && filter.wants(&e) {
				out.Events = append(out.Events, e)
			}
		}
		if len(out.Events) == 0 {
			continue
		}
		if enc.Encode(out) != nil {
			return written{}, nil
		}
		flush()
	}
}
