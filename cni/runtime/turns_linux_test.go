package runtime

import (
	"context"
	"errors"
	"testing"
)

func TestTurns(t *testing.T) {
	all := newTurns()
	var ends []func()
	for range all.most {
		done, err := all.take(t.Context(), "bridge")
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, done)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := all.take(over, "bridge"); !errors.Is(err, context.Canceled) {
		t.Errorf("one too many: %v", err)
	}
	if _, err := all.take(t.Context(), "cni/other"); err != nil {
		t.Errorf("another network: %v", err)
	}
	got := make(chan error)
	go func() {
		_, err := all.take(t.Context(), "bridge")
		got <- err
	}()
	ends[0]()
	if err := <-got; err != nil {
		t.Error(err)
	}
}
