package harness

import (
	"strings"
	"testing"
)

const sampleLog = `2026-11-23T00:51:06.366Z [INFO]  agent: starting
2026-11-23T00:51:06.367Z [WARN]  agent.node: no session with a server: error="i/o timeout"
2026-11-23T00:51:06.368Z [DEBUG] agent.http: request failed: method=GET path=/v1/agent/health error="not yet"
2026-11-23T00:51:06.368Z [DEBUG] agent.http: request failed: method=PUT path=/v1/jobs error="bad"
SIGQUIT: quit
PC=0x484921 m=0 sigcode=0

goroutine 0 gp=0x1 m=0 mp=0x2 [idle]:
runtime.futex()
	runtime/sys_linux_amd64.s:558 +0x21 fp=0x7ffe sp=0x7ffe pc=0x484921

goroutine 7 [select, 1 minutes]:
runtime.gopark(0xc0001, 0x2)
	runtime/proc.go:460 +0xce
github.com/droverhq/drover/core/node.(*Node).connect(0xc000, {0x1, 0x2})
	github.com/droverhq/drover/core/node/servers.go:140 +0x1d
created by github.com/droverhq/drover/core/node.(*Node).Run in goroutine 1
	github.com/droverhq/drover/core/node/node.go:200 +0x1

goroutine 8 [select, 1 minutes]:
runtime.gopark(0xc0001, 0x2)
	runtime/proc.go:460 +0xce
github.com/droverhq/drover/core/node.(*Node).connect(0xc001, {0x1, 0x2})
	github.com/droverhq/drover/core/node/servers.go:140 +0x1d
created by github.com/droverhq/drover/core/node.(*Node).Run in goroutine 1
	github.com/droverhq/drover/core/node/node.go:200 +0x1

goroutine 9 [IO wait]:
internal/poll.runtime_pollWait(0x1)
	runtime/netpoll.go:351 +0x85

rax    0xca
`

func TestDiagnosis(t *testing.T) {
	const want = `agent log:
2026-11-23T00:51:06.366Z [INFO]  agent: starting
2026-11-23T00:51:06.367Z [WARN]  agent.node: no session with a server: error="i/o timeout"
2026-11-23T00:51:06.368Z [DEBUG] agent.http: request failed: method=PUT path=/v1/jobs error="bad"

its warnings and errors:
2026-11-23T00:51:06.367Z [WARN]  agent.node: no session with a server: error="i/o timeout"

what its goroutines were at (how many, state, from the inside out):
   2 [select, 1 minutes]: runtime.gopark:460 < core/node.(*Node).connect:140
`
	if got := diagnosis(sampleLog); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	long := diagnosis(strings.Repeat("[WARN] it goes on\n", 10_000) + "[ERROR] the last\n")
	if len(long) > mostLines+mostTroubles+200 || strings.Count(long, "[ERROR] the last\n") != 2 {
		t.Errorf("%d bytes, the last line is there %d times", len(long), strings.Count(long, "[ERROR] the last\n"))
	}
}
