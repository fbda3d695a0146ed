package proc

import (
	"errors"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

func TestParseStat(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want Stat
		fail bool
	}{
		"plain": {
			"7 (sh) S 1 5 6 0 -1 4194560 1 2 3 4 50 60 0 0 20 0 1 0 777 1000 88 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0",
			Stat{State: 'S', Parent: 1, Group: 5, Session: 6, UserTicks: 50, SystemTicks: 60, Start: 777, RSS: 88}, false,
		},
		"name with brackets and spaces": {
			"7 (a) b (c) Z 2 5 6 0 -1 4194560 1 2 3 4 50 60 0 0 20 0 1 0 778 0 0 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 256",
			Stat{State: 'Z', Parent: 2, Group: 5, Session: 6, UserTicks: 50, SystemTicks: 60, Start: 778, Status: 256}, false,
		},
		"empty":     {"", Stat{}, true},
		"truncated": {"7 (sh) S 1 5", Stat{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseStat([]byte(c.text))
			if (err != nil) != c.fail || got != c.want {
				t.Fatalf("got %+v %v, want %+v", got, err, c.want)
			}
		})
	}
}

func TestOpenChecksIdentity(t *testing.T) {
	id, err := Identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		id   ID
		gone bool
	}{
		"itself":      {id, false},
		"other start": {ID{PID: id.PID, Start: id.Start + 1, Boot: id.Boot}, true},
		"other boot":  {ID{PID: id.PID, Start: id.Start, Boot: "x"}, true},
		"no process":  {ID{PID: 1 << 22, Start: 1, Boot: id.Boot}, true},
		"no pid":      {ID{Boot: id.Boot}, true},
	} {
		t.Run(name, func(t *testing.T) {
			fd, err := c.id.Open()
			if errors.Is(err, ErrGone) != c.gone {
				t.Fatalf("open: %v", err)
			}
			if err == nil {
				unix.Close(fd)
			}
		})
	}
}

// A zombie has ended, and its exit is known before anybody takes it.
func TestExitOfZombie(t *testing.T) {
	cmd := exec.Command("sh", "-c", "exit 33")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	id, err := Identify(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := id.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	if n, err := unix.Poll(p, 10000); n != 1 {
		t.Fatalf("sh does not end: %v", err)
	}
	e, over := ExitOf(fd, id.PID)
	if !over || e.Unknown || e.Code != 33 {
		t.Fatalf("exit %+v %v", e, over)
	}
}
