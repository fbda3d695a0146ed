package plugin

import "net"

func listen() (net.Listener, error) { return listenTCP() }
