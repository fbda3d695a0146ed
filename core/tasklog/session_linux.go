package tasklog

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// maxUnsent is how many bytes of replies and events a client may leave unread before it is disconnected.
const maxUnsent = 8 << 20

// session is one client's connection.
type session struct {
	c       *collector
	fd      int
	in, out []byte
	events  bool
	dead    bool
	wantOut bool
}

// checkPeer refuses peers that are neither root nor of our own user.
func checkPeer(fd int) (pid int, err error) {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return 0, fmt.Errorf("ask for the peer's credentials: %w", err)
	}
	if cred.Uid != 0 && int(cred.Uid) != os.Geteuid() {
		return 0, fmt.Errorf("peer is user %d, only root and user %d are served", cred.Uid, os.Geteuid())
	}
	return int(cred.Pid), nil
}

// accept takes every client that waits.
func (c *collector) accept() {
	for {
		fd, _, err := unix.Accept4(c.listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return
		}
		if _, err := checkPeer(fd); err != nil {
			c.logf("refused connection: %v", err)
			unix.Close(fd)
			continue
		}
		if err := c.control.add(fd, unix.EPOLLIN); err != nil {
			unix.Close(fd)
			continue
		}
		c.byFD[fd] = &session{c: c, fd: fd}
		c.clients++
	}
}

func (s *session) ready(events uint32) {
	if events&unix.EPOLLOUT != 0 {
		s.flush()
	}
	if events&(unix.EPOLLIN|unix.EPOLLHUP|unix.EPOLLERR) != 0 && !s.dead {
		s.receive()
	}
}

// receive reads once and handles every complete frame.
func (s *session) receive() {
	if cap(s.in)-len(s.in) < 4<<10 {
		s.in = append(make([]byte, 0, max(8<<10, 2*cap(s.in))), s.in...)
	}
	n, err := retry(func() (int, error) { return unix.Read(s.fd, s.in[len(s.in):cap(s.in)]) })
	if errors.Is(err, unix.EAGAIN) {
		return
	}
	if err != nil || n == 0 {
		s.close()
		return
	}
	s.in = s.in[:len(s.in)+n]
	rest := s.in
	for !s.dead {
		h, p, ok, err := frameSize(rest, maxRequestHeader)
		if err != nil {
			s.c.logf("disconnect client: %v", err)
			s.close()
			return
		}
		if !ok || len(rest) < frameHead+h+p {
			break
		}
		var m message
		body := rest[frameHead : frameHead+h+p]
		if err := json.Unmarshal(body[:h], &m); err != nil {
			s.c.logf("disconnect client: header is not JSON: %v", err)
			s.close()
			return
		}
		s.c.handle(s, &m, body[h:])
		rest = rest[frameHead+h+p:]
	}
	switch {
	case len(rest) == 0 && cap(s.in) > 16<<10:
		s.in = nil // an append's buffer is not kept for the next one
	default:
		s.in = s.in[:copy(s.in, rest)]
	}
}

// send queues a frame and writes what the socket takes.
func (s *session) send(m *message) {
	if s.dead {
		return
	}
	out, err := appendFrame(s.out, m, nil)
	if err != nil {
		s.c.logf("%v", err)
		return
	}
	s.out = out
	s.flush()
}

func (s *session) flush() {
	for len(s.out) > 0 {
		n, err := retry(func() (int, error) { return unix.SendmsgN(s.fd, s.out, nil, nil, unix.MSG_NOSIGNAL) })
		if errors.Is(err, unix.EAGAIN) {
			break
		}
		if err != nil {
			s.close()
			return
		}
		s.out = s.out[n:]
	}
	if len(s.out) > maxUnsent {
		s.c.logf("disconnect client: it left %d bytes unread", len(s.out))
		s.close()
		return
	}
	if len(s.out) == 0 {
		s.out = nil
	}
	if want := len(s.out) > 0; want != s.wantOut {
		events := uint32(unix.EPOLLIN)
		if want {
			events |= unix.EPOLLOUT
		}
		s.c.control.modify(s.fd, events)
		s.wantOut = want
	}
}

func (s *session) close() {
	if s.dead {
		return
	}
	s.dead = true
	s.in, s.out = nil, nil
	s.c.control.remove(s.fd)
	delete(s.c.byFD, s.fd)
	unix.Close(s.fd)
	s.c.clients--
	s.c.idleSince = s.c.now()
}
