package plugin

import (
	"fmt"
	"net"
	"os"
	"strconv"
)

// networkVariable forces a plugin to TCP where it would listen on a Unix socket, to try out what happens on Windows.
const networkVariable = "DROVER_PLUGIN_NETWORK"

// listenTCP takes the first free port of the range the host wants, or any.
func listenTCP() (net.Listener, error) {
	least, errLeast := strconv.Atoi(os.Getenv("PLUGIN_MIN_PORT"))
	most, errMost := strconv.Atoi(os.Getenv("PLUGIN_MAX_PORT"))
	if errLeast != nil || errMost != nil {
		return net.Listen("tcp", "127.0.0.1:0")
	}
	for port := least; port <= most; port++ {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			return l, nil
		}
	}
	return nil, fmt.Errorf("no free port between %d and %d on 127.0.0.1", least, most)
}
