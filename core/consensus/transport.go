package consensus

import (
	"context"
	"net"
	"time"

	"github.com/hashicorp/raft"

	"github.com/droverhq/drover/core/rpc"
)

// streams carries raft over the servers' one port: see rpc.Mux.
type streams struct {
	net.Listener // rpc.Mux.Raft: the tag is already read
	advertise    net.Addr
	security     *rpc.Security
}

var _ raft.StreamLayer = streams{}

func (s streams) Dial(addr raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return s.security.Dial(ctx, string(addr), rpc.TagRaft)
}

func (s streams) Addr() net.Addr { return s.advertise }
