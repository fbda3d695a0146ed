// Package taskfiles runs the helper that renders templates and fetches artifacts, in processes of its own: what a job
// brings cannot take the agent down, and the libraries do not weigh on agents whose jobs use neither.
//
// One renderer serves all tasks of the node. It is started by the first template and ends a while after the last. Each
// download has a process, a few at a time.
package taskfiles

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/droverhq/drover/core/node/taskfiles/protocol"
)

// Path is where the helper lies: beside the program that runs.
func Path() string {
	exe, err := os.Executable()
	if err != nil {
		return protocol.Binary + suffix
	}
	return filepath.Join(filepath.Dir(exe), protocol.Binary+suffix)
}

// stderrKept bounds what is kept of a helper's last words, in bytes.
const stderrKept = 2048

// process is one run of the helper.
type process struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	enc    *json.Encoder
	dec    *json.Decoder
	words  *head
	killed sync.Once
}

func start(path, verb string) (*process, error) {
	cmd := exec.Command(path, verb)
	cmd.Env = environment()
	p := &process{cmd: cmd, words: &head{}}
	cmd.Stderr = p.words
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	ownGroup(cmd)
	if err := cmd.Start(); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("%s is missing: templates and artifacts need it beside the drover binary", path)
		}
		return nil, fmt.Errorf("start %s: %w", path, err)
	}
	p.in, p.enc, p.dec = in, json.NewEncoder(in), json.NewDecoder(out)
	return p, nil
}

// kill ends the process and, except on Windows, what it started.
func (p *process) kill() { p.killed.Do(func() { killGroup(p.cmd) }) }

// gone waits for the end and says what is known of it. All output has been read.
func (p *process) gone() error {
	err := p.cmd.Wait()
	words := strings.TrimSpace(p.words.String())
	switch {
	case words != "":
		return fmt.Errorf("%s ended: %s", protocol.Binary, words)
	case err != nil:
		return fmt.Errorf("%s ended: %w", protocol.Binary, err)
	}
	return fmt.Errorf("%s ended", protocol.Binary)
}

// head keeps the first bytes written to it.
type head struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (t *head) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf.Write(p[:min(len(p), stderrKept-min(stderrKept, t.buf.Len()))])
	return len(p), nil
}

func (t *head) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.String()
}
