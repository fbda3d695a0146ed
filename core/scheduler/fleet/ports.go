package fleet

import (
	"math/bits"
	"strconv"
	"strings"
)

const (
	portChunkBits = 1024
	portChunks    = 65536 / portChunkBits
)

type portChunk [portChunkBits / 64]uint64

// Ports is a set of port numbers of one address. Only the chunks that hold a port take memory. The zero value is empty.
type Ports struct {
	chunks [portChunks]*portChunk
	// again counts the holders beyond the first of ports that are shared (ignore_collision).
	again map[uint16]int
}

// Has tells whether the port is in the set. Numbers outside 0..65535 never are.
func (p *Ports) Has(port int) bool {
	if p == nil || port < 0 || port > 65535 {
		return false
	}
	c := p.chunks[port/portChunkBits]
	return c != nil && c[port%portChunkBits/64]&(1<<(port%64)) != 0
}

// Add counts one more holder of the port.
func (p *Ports) Add(port int) {
	if port <= 0 || port > 65535 {
		return
	}
	if p.Has(port) {
		if p.again == nil {
			p.again = map[uint16]int{}
		}
		p.again[uint16(port)]++
		return
	}
	c := &p.chunks[port/portChunkBits]
	if *c == nil {
		*c = &portChunk{}
	}
	(*c)[port%portChunkBits/64] |= 1 << (port % 64)
}

// Remove counts one holder of the port less.
func (p *Ports) Remove(port int) {
	if !p.Has(port) {
		return
	}
	if n := p.again[uint16(port)]; n > 0 {
		if n == 1 {
			delete(p.again, uint16(port))
		} else {
			p.again[uint16(port)] = n - 1
		}
		return
	}
	p.chunks[port/portChunkBits][port%portChunkBits/64] &^= 1 << (port % 64)
}

// Count returns how many ports of lo..hi are in the set.
func (p *Ports) Count(lo, hi int) int {
	if p == nil {
		return 0
	}
	n := 0
	for port := max(lo, 0); port <= min(hi, 65535); {
		c := p.chunks[port/portChunkBits]
		if c == nil {
			port = (port/portChunkBits + 1) * portChunkBits
			continue
		}
		word := c[port%portChunkBits/64] >> (port % 64)
		width := 64 - port%64
		if last := hi - port + 1; last < width {
			word &= 1<<last - 1
			width = last
		}
		n += bits.OnesCount64(word)
		port += width
	}
	return n
}

// Clone returns an independent copy.
func (p *Ports) Clone() *Ports {
	out := &Ports{}
	if p == nil {
		return out
	}
	for i, c := range p.chunks {
		if c != nil {
			copied := *c
			out.chunks[i] = &copied
		}
	}
	for port, n := range p.again {
		if out.again == nil {
			out.again = make(map[uint16]int, len(p.again))
		}
		out.again[port] = n
	}
	return out
}

// PortRanges reads a list such as "22,80,8000-8100" and calls each with both ends of every part. Parts that are no port
// or range are left out: the node has checked its own configuration, and a bad part must not hide the good ones.
func PortRanges(list string, each func(lo, hi int)) {
	if list == "" {
		return
	}
	for part := range strings.SplitSeq(list, ",") {
		from, to, isRange := strings.Cut(strings.TrimSpace(part), "-")
		lo, err := strconv.ParseUint(strings.TrimSpace(from), 10, 16)
		if err != nil {
			continue
		}
		hi := lo
		if isRange {
			if hi, err = strconv.ParseUint(strings.TrimSpace(to), 10, 16); err != nil {
				continue
			}
		}
		each(int(lo), int(hi))
	}
}
