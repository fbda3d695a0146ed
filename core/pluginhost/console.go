package pluginhost

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/droverhq/drover/core/pluginhost/process"
)

// console is where a plugin process' output goes and its introduction comes from.
type console struct {
	stdout, stderr *os.File // the plugin's ends
	introduction   *os.File // our end of stdout
	fifo           string   // stdout's path; empty if it is an anonymous pipe
}

// closeTheirs closes what only the plugin needs, once it has them or there is none.
func (c *console) closeTheirs() {
	c.stdout.Close()
	c.stderr.Close()
}

const maxIntroduction = 16 << 10 // bytes; an introduction has about 60

// errSilent: the time for the introduction is over.
var errSilent = errors.New("it printed no introduction in time")

// readLine reads the first line that the process prints. It gives up when the process ends or ctx does.
func (c *console) readLine(ctx context.Context, p *process.Process) (string, error) {
	type result struct {
		line string
		err  error
	}
	got := make(chan result, 1)
	go func() {
		line, err := firstLine(c.introduction)
		got <- result{line, err}
	}()
	const lastWords = 100 * time.Millisecond // what a dead process wrote is in the pipe already
	select {
	case r := <-got:
		return r.line, r.err
	case <-p.Done():
		c.introduction.SetReadDeadline(time.Now().Add(lastWords))
	case <-ctx.Done():
		c.introduction.SetReadDeadline(time.Now())
	}
	select {
	case r := <-got:
		switch {
		case r.err == nil:
			return r.line, nil
		case ctx.Err() == nil:
			return "", fmt.Errorf("it ended before its introduction: %s", p.End())
		case errors.Is(ctx.Err(), context.DeadlineExceeded):
			return "", errSilent
		}
		return "", ctx.Err()
	case <-time.After(time.Second):
		// An anonymous pipe without deadlines; closing it ends the read.
		c.introduction.Close()
		return "", errSilent
	}
}

// firstLine reads byte by byte, so that what follows the line stays in the pipe for whoever reads it next.
func firstLine(r io.Reader) (string, error) {
	var line bytes.Buffer
	b := make([]byte, 1)
	for line.Len() < maxIntroduction {
		if _, err := r.Read(b); err != nil {
			return "", err
		}
		if b[0] == '\n' {
			return line.String(), nil
		}
		line.WriteByte(b[0])
	}
	return "", fmt.Errorf("it printed %d bytes without a line end where its introduction belongs: %.60q...", maxIntroduction, line.String())
}
