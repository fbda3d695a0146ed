package tasklog

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// makeFIFO makes the named pipe if it is missing and opens it for reading and writing, so that it never reports an end
// and never loses its bytes while this process lives.
func makeFIFO(path string, owner *Owner) (int, error) {
	if err := unix.Mkfifo(path, 0o600); err != nil && !errors.Is(err, unix.EEXIST) {
		return -1, fmt.Errorf("make fifo %s: %w", path, err)
	}
	fd, err := openFIFO(path)
	if err != nil {
		return -1, err
	}
	if owner != nil {
		if err := unix.Fchown(fd, owner.UID, owner.GID); err != nil {
			unix.Close(fd)
			return -1, fmt.Errorf("give fifo %s to user %d, group %d: %w", path, owner.UID, owner.GID, err)
		}
	}
	return fd, nil
}

// openFIFO opens an existing named pipe without following a link.
func openFIFO(path string) (int, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open fifo %s: %w", path, err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("examine fifo %s: %w", path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFIFO {
		unix.Close(fd)
		return -1, fmt.Errorf("%w: %s exists and is not a fifo", ErrInvalid, path)
	}
	return fd, nil
}

// sameFIFO reports whether path still names the pipe that fd is.
func sameFIFO(path string, fd int) bool {
	var byPath, open unix.Stat_t
	if unix.Lstat(path, &byPath) != nil || unix.Fstat(fd, &open) != nil {
		return false
	}
	return byPath.Dev == open.Dev && byPath.Ino == open.Ino
}

// waiting returns how many bytes are in the pipe.
func waiting(fifo int) (int64, error) {
	n, err := unix.IoctlGetInt(fifo, unix.TIOCINQ)
	if err != nil {
		return 0, fmt.Errorf("ask fifo for waiting bytes: %w", err)
	}
	return int64(n), nil
}

// plumbing moves and looks at bytes in pipes; one serves all streams, which take turns.
type plumbing struct {
	scratch [2]int // a pipe that is empty between calls: tee copies into it what look wants to see
	seen    []byte
}

func newPlumbing() (*plumbing, error) {
	p := &plumbing{seen: make([]byte, lineWindow)}
	if err := unix.Pipe2(p.scratch[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, fmt.Errorf("make scratch pipe: %w", err)
	}
	return p, nil
}

func (p *plumbing) close() {
	unix.Close(p.scratch[0])
	unix.Close(p.scratch[1])
}

// look returns up to n bytes from the head of the pipe without taking them; valid until the next call. No bytes: EAGAIN.
func (p *plumbing) look(fifo int, n int64) ([]byte, error) {
	n = min(n, int64(len(p.seen)))
	teed, err := retry(func() (int64, error) { return unix.Tee(fifo, p.scratch[1], int(n), unix.SPLICE_F_NONBLOCK) })
	if err != nil {
		return nil, err
	}
	if teed == 0 {
		return nil, unix.EAGAIN
	}
	got := p.seen[:teed]
	for done := 0; done < len(got); {
		m, err := retry(func() (int, error) { return unix.Read(p.scratch[0], got[done:]) })
		if err != nil {
			return nil, fmt.Errorf("read scratch pipe: %w", err)
		}
		done += m
	}
	return got, nil
}

// move splices up to n bytes from the pipe to byte offset of the file. In this one system call a byte changes from being
// in the pipe to being in the file: a kill finds it in exactly one of them. No bytes: EAGAIN.
func (p *plumbing) move(fifo, file int, offset, n int64) (int64, error) {
	moved, err := retry(func() (int64, error) {
		at := offset
		return unix.Splice(fifo, nil, file, &at, int(n), unix.SPLICE_F_NONBLOCK)
	})
	if err == nil && moved == 0 {
		return 0, unix.EAGAIN
	}
	return moved, err
}

// discard takes up to n bytes out of the pipe and reports whether the last of them was a newline. No bytes: EAGAIN.
func (p *plumbing) discard(fifo int, n int64) (taken int64, newline bool, err error) {
	m, err := retry(func() (int, error) { return unix.Read(fifo, p.seen[:min(n, int64(len(p.seen)))]) })
	if err != nil {
		return 0, false, err
	}
	if m == 0 {
		return 0, false, unix.EAGAIN
	}
	return int64(m), p.seen[m-1] == '\n', nil
}

func retry[N int | int64](call func() (N, error)) (N, error) {
	for {
		n, err := call()
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}
