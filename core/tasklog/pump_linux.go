package tasklog

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// pump is one open stream: a pipe, the file its bytes go to, and what was lost on the way.
type pump struct {
	conf    Stream
	fifo    int // -1 for a stream that is only appended to
	out     *logFile
	journal *journal
	pipes   *plumbing
	fail    failpoint

	written, dropped int64 // bytes since this process began

	// lost counts the bytes dropped since the last marker line; cutLine tells that the last of them was not a newline.
	lost    int64
	cutLine bool
	reason  string // of the drop, for the marker
	copying bool   // the file system cannot splice
}

// run moves bytes until the pipe is empty or about budget bytes are moved. Unless thorough, it takes a short move for the
// end of the pipe: what came meanwhile is reported again anyway. Any error concerns the file; the bytes are still in the
// pipe.
func (p *pump) run(budget int64, thorough bool) (moved int64, err error) {
	for moved < budget {
		n, short, err := p.once()
		if errors.Is(err, unix.EAGAIN) {
			return moved, nil
		}
		if err != nil {
			return moved, err
		}
		moved += n
		if short && !thorough {
			return moved, nil
		}
	}
	return moved, nil
}

// once does one step and returns how many bytes it moved, and whether it could have moved more; EAGAIN when there are
// none.
func (p *pump) once() (moved int64, short bool, err error) {
	if p.lost > 0 {
		if err := p.confess(); err != nil {
			return 0, false, err
		}
	}
	size, err := p.out.size()
	if err != nil {
		return 0, false, err
	}
	todo, n := cut(size, p.conf.MaxFileSize)
	if todo == look {
		seen, err := p.pipes.look(p.fifo, n)
		if err != nil {
			return 0, false, err
		}
		lineStart, err := p.out.atLineStart(size)
		if err != nil {
			return 0, false, err
		}
		todo, n = cutSeen(seen, lineStart)
	}
	p.fail.hit(placeTaken)
	if todo == rotate {
		return 0, false, p.rotateFor()
	}
	moved, err = p.transfer(size, n)
	if err != nil {
		return 0, false, err
	}
	p.fail.hit(placeMoved)
	p.written += moved
	return moved, moved < n, nil
}

// rotateFor goes on in a new file if there is a byte for it.
func (p *pump) rotateFor() error {
	n, err := waiting(p.fifo)
	if err != nil {
		return err
	}
	if n == 0 {
		return unix.EAGAIN
	}
	return p.rotate()
}

func (p *pump) rotate() error {
	if err := p.out.rotate(); err != nil {
		return err
	}
	p.fail.hit(placeRotated)
	p.out.prune(p.conf.MaxFiles)
	return nil
}

// transfer moves up to n bytes to the end of the file.
func (p *pump) transfer(size, n int64) (int64, error) {
	if !p.copying {
		moved, err := p.pipes.move(p.fifo, p.out.fd, size, n)
		if !errors.Is(err, unix.EINVAL) {
			return moved, err
		}
		p.copying = true
	}
	return p.copyOver(size, n)
}

// copyOver serves file systems without splice. Written first and taken out of the pipe afterwards, the bytes of one call
// can be doubled by a kill, never lost.
func (p *pump) copyOver(size, n int64) (int64, error) {
	seen, err := p.pipes.look(p.fifo, n)
	if err != nil {
		return 0, err
	}
	if err := p.out.write(seen, size); err != nil {
		return 0, err
	}
	for left := int64(len(seen)); left > 0; {
		taken, _, err := p.pipes.discard(p.fifo, left)
		if err != nil {
			return 0, fmt.Errorf("take copied bytes from fifo %s: %w", p.conf.FIFO, err)
		}
		left -= taken
	}
	return int64(len(seen)), nil
}

// drop empties the pipe because the file cannot be written.
func (p *pump) drop(reason string) (int64, error) {
	p.reason = reason
	var total int64
	left, err := waiting(p.fifo)
	for err == nil && left > 0 {
		var n int64
		var newline bool
		n, newline, err = p.pipes.discard(p.fifo, left)
		if n > 0 {
			p.cutLine = !newline
			left -= n
			total += n
		}
	}
	p.lost += total
	p.dropped += total
	if errors.Is(err, unix.EAGAIN) {
		err = nil
	}
	return total, err
}

// confess writes the marker line for what was dropped. The rest of a line whose beginning was dropped goes with it.
func (p *pump) confess() error {
	size, err := p.out.size()
	if err != nil {
		return err
	}
	rest := int64(0)
	if p.cutLine && p.fifo >= 0 {
		seen, err := p.pipes.look(p.fifo, lineWindow)
		if err != nil && !errors.Is(err, unix.EAGAIN) {
			return err
		}
		rest, _ = firstLineEnd(seen)
	}
	marker := fmt.Sprintf("[drover: %d bytes dropped: %s]\n", p.lost+rest, p.reason)
	lineStart, err := p.out.atLineStart(size)
	if err != nil {
		return err
	}
	if !lineStart {
		marker = "\n" + marker
	}
	if size > 0 && size+int64(len(marker)) > p.conf.MaxFileSize {
		if err := p.rotate(); err != nil {
			return err
		}
		if size, err = p.out.size(); err != nil {
			return err
		}
	}
	if err := p.out.write([]byte(marker), size); err != nil {
		return err
	}
	for rest > 0 {
		n, _, err := p.pipes.discard(p.fifo, rest)
		if err != nil {
			return fmt.Errorf("drop rest of a line from fifo %s: %w", p.conf.FIFO, err)
		}
		rest -= n
		p.dropped += n
	}
	p.lost, p.cutLine = 0, false
	return nil
}

// firstLineEnd returns the length of the first line with its newline; without one, of everything.
func firstLineEnd(b []byte) (int64, bool) {
	for i, c := range b {
		if c == '\n' {
			return int64(i) + 1, true
		}
	}
	return int64(len(b)), false
}

// append stores data and cursor as one: the journal first names the place where data begins, so that a kill before the
// last step takes it back.
func (p *pump) append(data []byte, cursor string) error {
	if cursor != "" && cursor == p.journal.last.Cursor {
		return nil
	}
	if p.lost > 0 {
		if err := p.confess(); err != nil {
			return err
		}
	}
	size, err := p.out.size()
	if err != nil {
		return err
	}
	start := mark{Pending: true, Index: p.out.index, Size: size, Cursor: p.journal.last.Cursor}
	if err := p.journal.put(start); err != nil {
		return err
	}
	p.fail.hit(placeIntent)
	if err := p.appendFiles(data); err != nil {
		return errors.Join(err, p.undo(start))
	}
	p.fail.hit(placeAppended)
	done := mark{Index: p.out.index, Cursor: cursor}
	if cursor == "" {
		done.Cursor = start.Cursor
	}
	if err := p.journal.put(done); err != nil {
		return errors.Join(err, p.undo(start))
	}
	p.written += int64(len(data))
	return nil
}

// appendFiles writes data behind what is there, over as many files as it takes.
func (p *pump) appendFiles(data []byte) error {
	for len(data) > 0 {
		size, err := p.out.size()
		if err != nil {
			return err
		}
		todo, n := cut(size, p.conf.MaxFileSize)
		n = min(n, int64(len(data)))
		if todo == look {
			lineStart, err := p.out.atLineStart(size)
			if err != nil {
				return err
			}
			todo, n = cutSeen(data[:n], lineStart)
		}
		if todo == rotate {
			if err := p.rotate(); err != nil {
				return err
			}
			continue
		}
		if err := p.out.write(data[:n], size); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// undo takes back an append that was announced and not finished.
func (p *pump) undo(m mark) error {
	if err := p.out.rollback(m.Index, m.Size); err != nil {
		return err
	}
	return p.journal.put(mark{Index: m.Index, Cursor: m.Cursor})
}

// close releases the handles; the FIFO stays.
func (p *pump) close() {
	if p.fifo >= 0 {
		unix.Close(p.fifo)
		p.fifo = -1
	}
	p.out.close()
	p.journal.close()
}

// openPump opens pipe and file of a stream and takes back an append that its predecessor did not finish.
func openPump(rec record, journalPath string, pipes *plumbing, fail failpoint) (*pump, directoryID, error) {
	s := rec.Stream
	out, dir, err := openLogFile(s, rec.Directory)
	if err != nil {
		return nil, dir, fmt.Errorf("open stream %s: %w", s.ID, err)
	}
	p := &pump{conf: s, fifo: -1, out: out, journal: &journal{}, pipes: pipes, fail: fail}
	if p.journal, err = openJournal(journalPath); err != nil {
		out.close()
		return nil, dir, fmt.Errorf("open stream %s: %w", s.ID, err)
	}
	if p.journal.last.Pending {
		if err := p.undo(p.journal.last); err != nil {
			p.close()
			return nil, dir, fmt.Errorf("open stream %s: take back unfinished append: %w", s.ID, err)
		}
	}
	if s.FIFO == "" {
		return p, dir, nil
	}
	if p.fifo, err = makeFIFO(s.FIFO, s.Owner); err != nil {
		p.close()
		return nil, dir, fmt.Errorf("open stream %s: %w", s.ID, err)
	}
	return p, dir, nil
}
