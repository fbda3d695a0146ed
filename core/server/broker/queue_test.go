package broker

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/core/model"
)

var update = flag.Bool("update", false, "write what the queue answers into the transcripts")

// The transcripts in testdata show what the queue does. A line that does not begin with a space is a call, those
// indented below it are the answer:
//
//	enqueue ID job=J type=T prio=N create=N wait=D
//	dequeue TYPE...       hands out; the token is the ID and the number of the delivery, such as e1#1
//	ack TOKEN, nack TOKEN, forget ID, pause TOKEN, resume TOKEN
//	advance D             lets time pass and ticks
//	stats
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, want)
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s: got\n%s", file, got)
			}
		})
	}
}

type player struct {
	t     *testing.T
	q     *Queue
	start time.Time
	now   time.Time
	count map[string]int
}

func play(t *testing.T, script []byte) []byte {
	start := time.Unix(1700000000, 0)
	p := &player{t: t, q: NewQueue(DefaultLimits()), start: start, now: start, count: map[string]int{}}
	var out bytes.Buffer
	for sc := bufio.NewScanner(bytes.NewReader(script)); sc.Scan(); {
		line := sc.Text()
		if strings.HasPrefix(line, " ") {
			continue
		}
		fmt.Fprintln(&out, line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		for _, answer := range p.call(strings.Fields(line)) {
			fmt.Fprintln(&out, "  "+answer)
		}
	}
	return out.Bytes()
}

func (p *player) call(f []string) (answer []string) {
	say := func(format string, args ...any) { answer = append(answer, fmt.Sprintf(format, args...)) }
	id := func(token string) string { s, _, _ := strings.Cut(token, "#"); return s }
	fail := func(err error) {
		if err != nil {
			say("error: %v", err)
		}
	}
	switch f[0] {
	case "enqueue":
		p.q.Enqueue(p.eval(f[1:]), p.now)
	case "dequeue":
		d := p.q.Dequeue(f[1:], "?", p.now)
		if d == nil {
			say("nothing")
			break
		}
		p.count[d.Eval.ID]++
		d.Token = fmt.Sprintf("%s#%d", d.Eval.ID, p.count[d.Eval.ID])
		say("%s", d.Token)
	case "ack":
		fail(p.q.Ack(id(f[1]), f[1], p.now))
	case "nack":
		fail(p.q.Nack(id(f[1]), f[1], p.now))
	case "forget":
		p.q.Forget(f[1])
	case "pause":
		p.q.Pause(id(f[1]), f[1])
	case "resume":
		p.q.Resume(id(f[1]), f[1], p.now)
	case "stats":
		s := p.q.Stats()
		say("ready %d, out %d, pending %d, waiting %d", s.Ready, s.Unacked, s.Pending, s.Waiting)
	case "advance":
		d, err := time.ParseDuration(f[1])
		if err != nil {
			p.t.Fatal(err)
		}
		p.now = p.now.Add(d)
		next := p.q.Tick(p.now)
		if next.IsZero() {
			say("at %v, nothing to come", p.now.Sub(p.start))
		} else {
			say("at %v, next at %v", p.now.Sub(p.start), next.Sub(p.start))
		}
	default:
		p.t.Fatalf("unknown call %q", f[0])
	}
	for _, e := range p.q.TakeCanceled() {
		say("canceled %s: %s", e.ID, e.StatusDescription)
	}
	for _, e := range p.q.TakeFailed() {
		say("failed %s", e.ID)
	}
	return answer
}

func (p *player) eval(f []string) *model.Evaluation {
	e := &model.Evaluation{ID: f[0], Type: "service", Priority: 50, JobID: f[0], Status: model.EvalPending}
	for _, kv := range f[1:] {
		k, v, _ := strings.Cut(kv, "=")
		n, _ := strconv.Atoi(v)
		switch k {
		case "job":
			e.JobID = v
		case "type":
			e.Type = v
		case "prio":
			e.Priority = n
		case "create":
			e.CreateIndex, e.ModifyIndex = uint64(n), uint64(n)
		case "wait":
			d, err := time.ParseDuration(v)
			if err != nil {
				p.t.Fatal(err)
			}
			e.WaitUntil = p.now.Add(d)
		default:
			p.t.Fatalf("unknown key %q", k)
		}
	}
	return e
}
