package taskfiles

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/droverhq/drover/core/node/taskfiles/protocol"
)

// TestMain is the helper when a test starts it as one.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == protocol.VerbRender {
		fakeRenderer()
		return
	}
	os.Exit(m.Run())
}

// fakeRenderer answers with the text; "hang" gets no answer and "crash" ends it.
func fakeRenderer() {
	dec, enc := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var q protocol.Render
		if dec.Decode(&q) != nil {
			return
		}
		switch q.Text {
		case "hang":
		case "crash":
			fmt.Fprintln(os.Stderr, "out of memory")
			os.Exit(1)
		default:
			enc.Encode(protocol.Rendered{ID: q.ID, Output: []byte(q.Text)})
		}
	}
}

func fakeHelper(t *testing.T) *Helper {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	h := New(exe)
	t.Cleanup(h.Close)
	return h
}

func TestOneRendererForAll(t *testing.T) {
	h := fakeHelper(t)
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			text := fmt.Sprint("text ", i)
			if a, err := h.Render(context.Background(), &protocol.Render{Text: text}); err != nil || string(a.Output) != text {
				t.Errorf("%s: %+v, %v", text, a, err)
			}
		})
	}
	all.Wait()
	first := h.live
	if _, err := h.Render(context.Background(), &protocol.Render{Text: "more"}); err != nil || h.live != first {
		t.Errorf("another process, %v", err)
	}
}

// A template that ends or hangs the renderer fails by name; those that waited beside it are rendered all the same.
func TestHarmfulTemplates(t *testing.T) {
	for text, want := range map[string]string{"crash": "out of memory", "hang": "takes longer"} {
		t.Run(text, func(t *testing.T) {
			h := fakeHelper(t)
			if text == "hang" {
				h.limit = 300 * time.Millisecond
			}
			var all sync.WaitGroup
			for range 10 {
				all.Go(func() {
					if a, err := h.Render(context.Background(), &protocol.Render{Text: "good"}); err != nil || string(a.Output) != "good" && !strings.Contains(a.Error, "takes longer") {
						t.Errorf("%+v, %v", a, err)
					}
				})
			}
			all.Go(func() {
				if a, err := h.Render(context.Background(), &protocol.Render{Text: text}); err != nil || !strings.Contains(a.Error, want) {
					t.Errorf("%+v, %v", a, err)
				}
			})
			all.Wait()
			h.limit = renderLimit
			if a, err := h.Render(context.Background(), &protocol.Render{Text: "after"}); err != nil || string(a.Output) != "after" {
				t.Errorf("afterwards: %+v, %v", a, err)
			}
		})
	}
}

func TestHelperMissing(t *testing.T) {
	h := New("/nonexistent/" + protocol.Binary)
	if _, err := h.Render(context.Background(), &protocol.Render{}); err == nil || !strings.Contains(err.Error(), "beside the drover binary") {
		t.Error(err)
	}
	if err := h.Fetch(context.Background(), &protocol.Fetch{}, nil); err == nil || !strings.Contains(err.Error(), "beside the drover binary") {
		t.Error(err)
	}
}
