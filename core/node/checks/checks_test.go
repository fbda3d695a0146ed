package checks

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/droverhq/drover/core/model"
)

func TestTracker(t *testing.T) {
	plain := &model.ServiceCheck{}
	slow := &model.ServiceCheck{SuccessBeforePassing: 2, FailuresBeforeCritical: 3}
	restarting := &model.ServiceCheck{CheckRestart: &model.CheckRestart{Limit: 2, Grace: 3 * time.Second}}
	for name, c := range map[string]struct {
		check   *model.ServiceCheck
		answers string // one a second: + success, - failure
		want    Status
		restart int // which answer asks for a restart, from 1; 0 none
	}{
		"no answer":                  {plain, "", Pending, 0},
		"no answer, passing":         {&model.ServiceCheck{InitialStatus: "passing"}, "", Success, 0},
		"success":                    {plain, "+", Success, 0},
		"failure":                    {plain, "+-", Failure, 0},
		"recovers":                   {plain, "--+", Success, 0},
		"one success is not enough":  {slow, "+", Pending, 0},
		"two are":                    {slow, "++", Success, 0},
		"two failures are tolerated": {slow, "++--", Success, 0},
		"three are not":              {slow, "++---", Failure, 0},
		"must be in a row":           {slow, "++--+--", Success, 0},
		"restart after the grace":    {restarting, "----", Failure, 4}, // at 3 s and 4 s
		"success forgives":           {restarting, "---+-", Failure, 0},
	} {
		t.Run(name, func(t *testing.T) {
			begin := time.Unix(100, 0)
			tr, restarted := NewTracker(c.check, begin), 0
			for i, a := range c.answers {
				var restart bool
				if tr, restart = tr.Next(a == '+', c.check, begin.Add(time.Duration(i+1)*time.Second)); restart {
					restarted = i + 1
				}
			}
			if tr.Status != c.want || restarted != c.restart {
				t.Errorf("status %s, restart at %d; want %s, %d", tr.Status, restarted, c.want, c.restart)
			}
		})
	}
}

func TestProbe(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/slow":
			<-r.Context().Done()
		case r.URL.Path == "/asked" && r.Method == "HEAD" && r.Header.Get("X-Key") == "v" && r.Host == "web.example":
		case r.URL.Path == "/ok":
		default:
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer srv.Close()
	tls := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer tls.Close()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := closed.Addr().String()
	closed.Close()
	here, secure := srv.Listener.Addr().String(), tls.Listener.Addr().String()
	for name, c := range map[string]struct {
		check model.ServiceCheck
		at    string
		ok    bool
	}{
		"tcp":                {model.ServiceCheck{Type: "tcp"}, here, true},
		"tcp, nobody":        {model.ServiceCheck{Type: "tcp"}, gone, false},
		"http":               {model.ServiceCheck{Type: "http", Path: "ok"}, here, true},
		"http, interpolated": {model.ServiceCheck{Type: "http", Path: "/${x}"}, here, true},
		"http, bad status":   {model.ServiceCheck{Type: "http", Path: "/"}, here, false},
		"http, too slow":     {model.ServiceCheck{Type: "http", Path: "/slow", Timeout: 20 * time.Millisecond}, here, false},
		"http, as asked": {model.ServiceCheck{Type: "http", Path: "/asked", Method: "HEAD",
			Header: map[string][]string{"X-Key": {"v"}, "Host": {"web.example"}}}, here, true},
		"https, unknown issuer": {model.ServiceCheck{Type: "http", Protocol: "https"}, secure, false},
		"https, not verified":   {model.ServiceCheck{Type: "http", Protocol: "https", TLSSkipVerify: true}, secure, true},
		"another type":          {model.ServiceCheck{Type: "ttl"}, here, false},
		"script, no task":       {model.ServiceCheck{Type: "script", Command: "true"}, here, false},
	} {
		t.Run(name, func(t *testing.T) {
			host, port, _ := net.SplitHostPort(c.at)
			n, _ := strconv.Atoi(port)
			a := Probe(context.Background(), &c.check, Target{Addr: host, Port: n, Replace: func(s string) string {
				if s == "/${x}" {
					return "/ok"
				}
				return s
			}})
			if (a.Err == nil) != c.ok {
				t.Errorf("error %v", a.Err)
			}
			if a.Err != nil && a.Output == "" {
				t.Error("a failure shows nothing")
			}
		})
	}
}

func TestGates(t *testing.T) {
	for name, c := range map[string]struct {
		service, check string
		want           bool
	}{
		"default": {"", "", true}, "service ignores": {"ignore", "", false}, "check decides": {"ignore", "require_healthy", true}, "check ignores": {"require_healthy", "ignore", false},
	} {
		if got := Gates(&model.Service{OnUpdate: c.service}, &model.ServiceCheck{OnUpdate: c.check}); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
