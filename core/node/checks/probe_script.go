package checks

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/droverhq/drover/core/model"
)

// probeScript runs a program in the task; exit code 0 is success.
func probeScript(ctx context.Context, c *model.ServiceCheck, t Target) Answer {
	if t.Exec == nil {
		return Answer{Err: errors.New("the task in which the script runs does not run")}
	}
	argv := []string{t.Replace(c.Command)}
	for _, a := range c.Args {
		argv = append(argv, t.Replace(a))
	}
	var output head
	exit, err := t.Exec(ctx, argv, &output)
	a := Answer{Output: output.String(), StatusCode: exit}
	switch {
	case ctx.Err() != nil:
		a.Err = fmt.Errorf("script %s did not end in time: %w", argv[0], ctx.Err())
	case err != nil:
		a.Err = fmt.Errorf("script %s: %w", argv[0], err)
	case exit != 0:
		a.Err = fmt.Errorf("script %s ended with exit code %d", argv[0], exit)
	}
	return a
}

// head keeps the first bytes of what is written to it. Both outputs of a program write to one.
type head struct {
	mu   sync.Mutex
	text []byte
}

func (h *head) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.text = append(h.text, b[:min(len(b), maxOutput-len(h.text))]...)
	return len(b), nil
}

func (h *head) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return string(h.text)
}
