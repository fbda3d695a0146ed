package docker

import (
	"encoding/binary"
	"encoding/json"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// collector stands in for the host's log collector: it speaks the socket protocol and stores bytes and cursor as one.
type collector struct {
	path string

	mu      sync.Mutex
	streams map[string]*collected
	appends int

	slow atomic.Int64 // how long an append waits before it is carried out, whether anybody waits for it or not
}

type collected struct {
	ID   string `json:"id"`
	FIFO string `json:"fifo"`

	data   []byte
	cursor string
}

func newCollector(t *testing.T, path string) *collector {
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	c := &collector{path: path, streams: map[string]*collected{}}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go c.serve(conn)
		}
	}()
	return c
}

func (c *collector) open(fifo string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	id := "id of " + fifo
	c.streams[id] = &collected{ID: id, FIFO: fifo}
}

func (c *collector) text(fifo string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return string(c.streams["id of "+fifo].data)
}

func (c *collector) serve(conn net.Conn) {
	defer conn.Close()
	for {
		var sizes [8]byte
		if _, err := io.ReadFull(conn, sizes[:]); err != nil {
			return
		}
		body := make([]byte, binary.BigEndian.Uint32(sizes[:])+binary.BigEndian.Uint32(sizes[4:]))
		if _, err := io.ReadFull(conn, body); err != nil {
			return
		}
		head := binary.BigEndian.Uint32(sizes[:])
		var ask struct {
			Seq    uint64 `json:"seq"`
			Op     string `json:"op"`
			ID     string `json:"id"`
			Cursor string `json:"cursor"`
		}
		if json.Unmarshal(body[:head], &ask) != nil {
			return
		}
		if ask.Op == "append" {
			time.Sleep(time.Duration(c.slow.Load()))
		}
		reply := map[string]any{"seq": ask.Seq}
		c.answer(ask.Op, ask.ID, ask.Cursor, body[head:], reply)
		text, _ := json.Marshal(reply)
		frame := binary.BigEndian.AppendUint32(nil, uint32(len(text)))
		frame = binary.BigEndian.AppendUint32(frame, 0)
		if _, err := conn.Write(append(frame, text...)); err != nil {
			return
		}
	}
}

func (c *collector) answer(op, id, cursor string, payload []byte, reply map[string]any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.streams[id]
	switch {
	case op == "hello":
		reply["version"] = 1
	case op == "list":
		var all []*collected
		for _, s := range c.streams {
			all = append(all, s)
		}
		reply["streams"] = all
	case s == nil:
		reply["class"], reply["error"] = "not_found", "no such stream"
	case op == "cursor":
		reply["cursor"] = s.cursor
	case op == "append" && (cursor == "" || cursor != s.cursor):
		c.appends++
		s.data, s.cursor = append(s.data, payload...), cursor
	}
}
