package harness

import (
	"net"
	"strconv"
	"sync"
	"testing"
	"time"
)

// given are the ports that this process was given already: between the choice and the use of one nobody listens on it.
var given = struct {
	sync.Mutex
	ports map[int]bool
}{ports: map[int]bool{}}

// FreePorts picks the ports of an agent.
func FreePorts(t testing.TB) *Ports {
	t.Helper()
	return &Ports{FreePort(t), FreePort(t), FreePort(t)}
}

// FreeAddr is an address of loopback that nobody listens on.
func FreeAddr(t testing.TB) string {
	t.Helper()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(FreePort(t)))
}

// FreePort picks a port that nobody listens on, neither TCP nor UDP, and that a connection to this machine's own address
// arrives at. It gives none twice.
func FreePort(t testing.TB) int {
	t.Helper()
	given.Lock()
	defer given.Unlock()
	for range 1000 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := ln.Addr().(*net.TCPAddr).Port
		good := !given.ports[port] && usable(t, ln.Addr().String())
		ln.Close()
		if good {
			given.ports[port] = true
			return port
		}
	}
	t.Fatal("no port of 1000 is free")
	return 0
}

// usable tells whether connections to an address that is listened on arrive there, and whether its UDP port is free too.
// A rule of the packet filter can lead a port elsewhere: one that a test has left would make an agent look broken.
func usable(t testing.TB, addr string) bool {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, 2*time.Second)
	if err != nil {
		t.Logf("%s is listened on and cannot be reached: %v; is there a rule for it in the packet filter?", addr, err)
		return false
	}
	conn.Close()
	udp, err := net.ListenPacket("udp", addr)
	if err != nil {
		return false
	}
	udp.Close()
	return true
}
