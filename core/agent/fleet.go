package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	sockaddr "github.com/hashicorp/go-sockaddr"

	"github.com/droverhq/drover/core/config"
	"github.com/droverhq/drover/core/server"
)

// firstLeader waits until a server that is alone leads. One of several may be the first that is started: it answers
// while it waits for the others.
func (a *Agent) firstLeader(ctx context.Context) error {
	if n := a.config.Expect(); n != 1 {
		a.logger.Info("waiting for the other servers", "bootstrap_expect", n, "server_join", a.config.JoinAddrs())
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	_, _, err := a.server.AwaitLeader(ctx)
	for err != nil && ctx.Err() == nil {
		a.logger.Warn("no leader yet", "error", err)
		_, _, err = a.server.AwaitLeader(ctx)
	}
	if err != nil {
		return fmt.Errorf("wait for a leader: %w", err)
	}
	return nil
}

// gossip is how the server finds others; -dev is alone.
func gossip(c *config.Config) (*server.Gossip, error) {
	if c.DevMode {
		return nil, nil
	}
	g := &server.Gossip{
		Bind: c.SerfAddr(), Advertise: c.AdvertiseSerf(), Key: c.Server.Encrypt, NonVoter: c.Server.NonVotingServer, Join: c.JoinAddrs(),
		RetryInterval: c.Server.ServerJoin.RetryInterval, RetryMax: c.Server.ServerJoin.RetryMax, RejoinAfterLeave: c.Server.RejoinAfterLeave,
	}
	if g.Advertise == "" {
		host, port, err := net.SplitHostPort(g.Bind)
		if err != nil {
			return nil, fmt.Errorf("ports.serf: %w", err)
		}
		if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
			if host, err = privateIP(); err != nil {
				return nil, fmt.Errorf("advertise.serf: %w", err)
			}
			g.Advertise = net.JoinHostPort(host, port)
		}
	}
	return g, nil
}

// advertised is the address that others are told: what the operator set, or what is listened on, with an address of this
// machine in place of the wildcard. "" is the one listened on.
func advertised(on net.Addr, set, configured string) (string, error) {
	if set != "" {
		return configured, nil
	}
	tcp, ok := on.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return "", nil
	}
	ip, err := privateIP()
	if err != nil {
		return "", err
	}
	return net.JoinHostPort(ip, fmt.Sprint(tcp.Port)), nil
}

func privateIP() (string, error) {
	ip, err := sockaddr.GetPrivateIP()
	if err != nil || ip == "" {
		return "", errors.Join(errors.New("every address is listened on and this machine has no private one that others could be told: set it"), err)
	}
	return ip, nil
}

// leaveTimeout bounds how long a server takes to leave its group.
const leaveTimeout = 15 * time.Second

// leave takes the server out of its group when the operator wants that of the way the agent is ended.
func (a *Agent) leave(ctx context.Context) {
	if a.server == nil {
		return
	}
	wanted := false
	switch endedBy(ctx) {
	case os.Interrupt:
		wanted = a.config.LeaveOnInterrupt
	case syscall.SIGTERM:
		wanted = a.config.LeaveOnTerminate
	}
	if !wanted {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	if err := a.server.Leave(ctx); err != nil {
		a.logger.Error("leave the group of servers", "error", err)
	}
}

// ended is the cause of a context that a signal ended.
type ended struct{ by os.Signal }

func (e ended) Error() string { return "ended by " + e.by.String() }

func endedBy(ctx context.Context) os.Signal {
	var e ended
	if errors.As(context.Cause(ctx), &e) {
		return e.by
	}
	return nil
}

// nodeServers are the servers that the node part connects to first; it learns of the others from them.
func (a *Agent) nodeServers() []string {
	if a.server != nil {
		return []string{a.server.RPCAddr().String()}
	}
	return a.config.ServerAddrs()
}

// Servers are the RPC addresses that this agent knows.
func (a *Agent) Servers() []string {
	if a.server != nil {
		return a.server.Peers()
	}
	if n := a.node.Load(); n != nil {
		return n.Servers()
	}
	return a.config.ServerAddrs()
}
