package consensus

import (
	"net"
	"time"

	"github.com/hashicorp/raft"

	"github.com/droverhq/drover/core/rpc"
)

// streams carries raft over the servers' one port: connections begin with rpc.TagRaft.
type streams struct {
	net.Listener // rpc.Mux.Raft: the tag is already read
	advertise    net.Addr
}

var _ raft.StreamLayer = streams{}

func (s streams) Dial(addr raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	conn, err := net.DialTimeout("tcp", string(addr), timeout)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write([]byte{rpc.TagRaft}); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

func (s streams) Addr() net.Addr { return s.advertise }
