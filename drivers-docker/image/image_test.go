package image

import (
	"context"
	"errors"
	"io"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moby/moby/api/types/jsonstream"

	"github.com/droverhq/drover/drivers-docker/config"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]Reference{
		"redis":                               {"redis:latest", "docker.io", "latest", ""},
		"redis:7":                             {"redis:7", "docker.io", "7", ""},
		"https://quay.io/a/b:1":               {"quay.io/a/b:1", "quay.io", "1", ""},
		"127.0.0.1:5000/x":                    {"127.0.0.1:5000/x:latest", "127.0.0.1:5000", "latest", ""},
		"a@sha256:" + strings.Repeat("0", 64): {"a@sha256:" + strings.Repeat("0", 64), "docker.io", "", "sha256:" + strings.Repeat("0", 64)},
	} {
		got, err := Parse(text)
		if err != nil || got != want {
			t.Errorf("%s: got %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "Upper", "a b", strings.Repeat("0", 64)} {
		if got, err := Parse(text); err == nil {
			t.Errorf("%q is accepted as %+v", text, got)
		}
	}
}

func TestKeyring(t *testing.T) {
	file := `{"auths":{"https://index.docker.io/v1/":{"auth":"aHViOnB3"},"quay.io":{},"bad.io":{"auth":"?"},"tok.io":{"identitytoken":"t"}},
		"credHelpers":{"helped.io":"one"},"credsStore":"two"}`
	for name, test := range map[string]struct {
		image string
		job   config.TaskAuth
		auth  config.Auth
		want  string // user/password/token
		fails string
	}{
		"job":                {"quay.io/x", config.TaskAuth{Username: "j", Password: "p"}, config.Auth{Config: "f"}, "j/p/", ""},
		"hub":                {"redis", config.TaskAuth{}, config.Auth{Config: "f"}, "hub/pw/", ""},
		"token":              {"tok.io/x", config.TaskAuth{}, config.Auth{Config: "f"}, "//t", ""},
		"helper per server":  {"helped.io/x", config.TaskAuth{}, config.Auth{Config: "f"}, "one/helped.io/", ""},
		"empty entry":        {"quay.io/x", config.TaskAuth{}, config.Auth{Config: "f"}, "two/quay.io/", ""},
		"file before helper": {"redis", config.TaskAuth{}, config.Auth{Config: "f", Helper: "three"}, "hub/pw/", ""},
		"helper":             {"redis", config.TaskAuth{}, config.Auth{Helper: "three"}, "three/https://index.docker.io/v1//", ""},
		"helper has none":    {"redis", config.TaskAuth{}, config.Auth{Helper: "none"}, "", ""},
		"helper fails":       {"redis", config.TaskAuth{}, config.Auth{Helper: "broken"}, "", "docker-credential-broken"},
		"helper is a path":   {"redis", config.TaskAuth{}, config.Auth{Helper: "../sh"}, "", "not a plain name"},
		"not base64":         {"bad.io/x", config.TaskAuth{}, config.Auth{Config: "f"}, "", "not base64"},
		"nothing":            {"redis", config.TaskAuth{}, config.Auth{}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			k := &Keyring{Config: test.auth,
				ReadFile: func(string) ([]byte, error) { return []byte(file), nil },
				Helper: func(_ context.Context, program, server string) ([]byte, error) {
					switch program {
					case "docker-credential-none":
						return []byte("credentials not found in native keychain"), errors.New("exit 1")
					case "docker-credential-broken":
						return nil, errors.New("exit 2")
					}
					return []byte(`{"Username":"` + strings.TrimPrefix(program, "docker-credential-") + `","Secret":"` + server + `"}`), nil
				}}
			ref, err := Parse(test.image)
			if err != nil {
				t.Fatal(err)
			}
			got, err := k.Lookup(t.Context(), ref, test.job)
			if test.fails != "" {
				if err == nil || !strings.Contains(err.Error(), test.fails) {
					t.Errorf("got %v", err)
				}
				return
			}
			text := ""
			if got != nil {
				text = got.Username + "/" + got.Password + "/" + got.IdentityToken
			}
			if err != nil || text != test.want {
				t.Errorf("got %q, %v, want %q", text, err, test.want)
			}
		})
	}
}

// script is a registry that answers each pull with the next of its lists of messages; an empty list hangs.
type script struct {
	pulls   atomic.Int32
	answers [][]jsonstream.Message
}

type answer []jsonstream.Message

func (s *script) Pull(context.Context, string, string) (Messages, error) {
	n := int(s.pulls.Add(1)) - 1
	return answer(s.answers[min(n, len(s.answers)-1)]), nil
}

func (answer) Close() error { return nil }

func (a answer) JSONMessages(ctx context.Context) iter.Seq2[jsonstream.Message, error] {
	return func(yield func(jsonstream.Message, error) bool) {
		if len(a) == 0 {
			<-ctx.Done()
			yield(jsonstream.Message{}, io.ErrUnexpectedEOF)
			return
		}
		for _, m := range a {
			time.Sleep(time.Second)
			if !yield(m, nil) {
				return
			}
		}
	}
}

func failing(text string) []jsonstream.Message {
	return []jsonstream.Message{{Error: &jsonstream.Error{Message: text}}}
}

func TestPuller(t *testing.T) {
	good := []jsonstream.Message{{Status: "Pulling from x"}, {ID: "a", Status: "Downloading", Progress: &jsonstream.Progress{Current: 1, Total: 2}}, {ID: "a", Status: "Pull complete"}}
	slow := slices.Repeat([]jsonstream.Message{{ID: "a", Status: "Waiting"}}, 100)
	for name, test := range map[string]struct {
		answers [][]jsonstream.Message
		limit   time.Duration
		pulls   int
		fails   string
		missing bool
	}{
		"good":           {[][]jsonstream.Message{good}, 0, 1, "", false},
		"a hiccup":       {[][]jsonstream.Message{failing("connection reset"), good}, 0, 2, "", false},
		"always broken":  {[][]jsonstream.Message{failing("connection reset")}, 0, 3, "connection reset", false},
		"not there":      {[][]jsonstream.Message{failing("manifest for x:1 not found: manifest unknown")}, 0, 1, "manifest unknown", true},
		"not allowed":    {[][]jsonstream.Message{failing("unauthorized: authentication required")}, 0, 1, "unauthorized", false},
		"hangs":          {[][]jsonstream.Message{nil}, 0, 1, "no progress for 30s", false},
		"repeats itself": {[][]jsonstream.Message{slow}, 0, 1, "no progress for 30s", false},
		"too slow":       {[][]jsonstream.Message{nil}, 10 * time.Second, 1, "image_pull_timeout (10s)", false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &script{answers: test.answers}
				p := NewPuller(s, 30*time.Second, func(string, ...any) {})
				err := p.Pull(t.Context(), Request{Ref: Reference{Name: "x:1"}, Limit: test.limit})
				if (err == nil) != (test.fails == "") || err != nil && !strings.Contains(err.Error(), test.fails) || Missing(err) != test.missing {
					t.Errorf("got %v", err)
				}
				synctest.Wait()
				if got := int(s.pulls.Load()); got != test.pulls {
					t.Errorf("%d pulls, want %d", got, test.pulls)
				}
			})
		})
	}
}

func TestPullsAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{answers: [][]jsonstream.Message{{{Status: "a"}, {Status: "b"}, {Status: "c"}}}}
		p := NewPuller(s, time.Minute, func(string, ...any) {})
		ends := make(chan error, 3)
		giveUp, cancel := context.WithCancel(t.Context())
		go func() { ends <- p.Pull(giveUp, Request{Ref: Reference{Name: "x:1"}}) }()
		for range 2 {
			go func() { ends <- p.Pull(t.Context(), Request{Ref: Reference{Name: "x:1"}}) }()
		}
		time.Sleep(1500 * time.Millisecond)
		cancel()
		if err := <-ends; !errors.Is(err, context.Canceled) {
			t.Errorf("the one that gave up: %v", err)
		}
		for range 2 {
			if err := <-ends; err != nil {
				t.Error(err)
			}
		}
		if n := s.pulls.Load(); n != 1 {
			t.Errorf("%d pulls", n)
		}
		synctest.Wait()
		if len(p.pulls) != 0 {
			t.Errorf("%d pulls are remembered", len(p.pulls))
		}
	})
}

func TestRefs(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	r := NewRefs(10 * time.Second)
	r.Hold("t1", "i1", "a:1")
	r.Hold("t2", "i1", "a:2")
	r.Hold("t3", "i2", "b:1")
	if due := r.Release("t1", at(0)); !due.IsZero() {
		t.Error("an image that is used is due")
	}
	if due := r.Release("t2", at(5)); due != at(15) {
		t.Errorf("due at %v", due)
	}
	if gone := r.Due(at(14)); len(gone) != 0 {
		t.Errorf("gone early: %v", gone)
	}
	r.Hold("t4", "i1", "a:1") // somebody came in time
	if gone := r.Due(at(20)); len(gone) != 0 {
		t.Errorf("gone although used: %v", gone)
	}
	r.Release("t4", at(30))
	if gone := r.Due(at(40)); len(gone) != 1 || gone[0].ID != "i1" || !slices.Equal(gone[0].Names, []string{"a:1", "a:2"}) {
		t.Errorf("gone %v", gone)
	}
	if gone := r.Due(at(100)); len(gone) != 0 {
		t.Errorf("gone twice: %v", gone)
	}
	if due := r.Release("nobody", at(0)); !due.IsZero() {
		t.Error("a task that holds nothing released something")
	}
}
