// Package history records what callers asked of a cluster and were told, and decides whether one server that never fails
// could have answered all of it (linearizability).
package history

import (
	"math"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// Log collects operations of many callers on named registers, each of which holds a text, "" at first.
type Log struct {
	mu    sync.Mutex
	began time.Time
	ops   []porcupine.Operation
}

// New begins a log.
func New() *Log { return &Log{began: time.Now()} }

type call struct {
	name  string
	write bool
	value string // written
}

// Pending is an operation under way.
type Pending struct {
	log    *Log
	caller int
	call   call
	at     int64
}

// Write notes that a caller begins to write.
func (l *Log) Write(caller int, name, value string) *Pending {
	return &Pending{l, caller, call{name, true, value}, int64(time.Since(l.began))}
}

// Read notes that a caller begins to read.
func (l *Log) Read(caller int, name string) *Pending {
	return &Pending{l, caller, call{name: name}, int64(time.Since(l.began))}
}

// Done notes the answer; value is what was read.
func (p *Pending) Done(value string) { p.add(value, int64(time.Since(p.log.began))) }

// Unknown notes that no answer came: a write may take effect at any time from then on, or never. A read counts for
// nothing.
func (p *Pending) Unknown() {
	if p.call.write {
		p.add("", math.MaxInt64)
	}
}

func (p *Pending) add(value string, at int64) {
	p.log.mu.Lock()
	defer p.log.mu.Unlock()
	p.log.ops = append(p.log.ops, porcupine.Operation{ClientId: p.caller, Input: p.call, Call: p.at, Output: value, Return: at})
}

// Figures are how many operations were answered, and how many writes were not.
func (l *Log) Figures() (answered, unknown int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, op := range l.ops {
		if op.Return == math.MaxInt64 {
			unknown++
		} else {
			answered++
		}
	}
	return answered, unknown
}

// Verdict of a check.
type Verdict = porcupine.CheckResult

// The verdicts; Unsure is one that took longer than the limit.
const (
	Holds  = porcupine.Ok
	Broken = porcupine.Illegal
	Unsure = porcupine.Unknown
)

// Check decides.
func (l *Log) Check(limit time.Duration) Verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	return porcupine.CheckOperationsTimeout(registers(), l.ops, limit)
}

// registers are independent of each other, so each is checked alone.
func registers() porcupine.Model {
	return porcupine.Model{
		Partition: func(ops []porcupine.Operation) [][]porcupine.Operation {
			by := map[string][]porcupine.Operation{}
			for _, op := range ops {
				name := op.Input.(call).name
				by[name] = append(by[name], op)
			}
			var out [][]porcupine.Operation
			for _, ops := range by {
				out = append(out, ops)
			}
			return out
		},
		Init: func() any { return "" },
		Step: func(state, input, output any) (bool, any) {
			c := input.(call)
			if c.write {
				return true, c.value
			}
			return output == state, state
		},
	}
}
