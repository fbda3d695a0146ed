package host

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/droverhq/drover/sdk/plugin"
)

// Ports that plugins on TCP choose from; Unix plugins listen on a socket.
const (
	minPort = 10000
	maxPort = 25000
)

// maxHandshakeLine bounds what is read of a process' first line, and quotedLine what of it an error shows.
const (
	maxHandshakeLine = 64 << 10
	quotedLine       = 200
)

// Handshake is the line by which a plugin introduces itself on its stdout.
type Handshake struct {
	CoreVersion int
	AppVersion  int
	Network     string // "unix" or "tcp"
	Addr        string
	Protocol    string // "grpc"
	ServerCert  string // base64 of its certificate, empty without TLS; see WithTLS
	Multiplex   bool
}

// ParseHandshake reads the line: four to seven fields joined by "|". It refuses versions, networks and protocols that
// this host does not speak. A certificate comes from plugins that were asked for TLS, and from those that inherited the
// question from somebody else: whoever did not ask cannot talk to them. Every error is an ErrNoHandshake and shows the line.
func ParseHandshake(line string) (Handshake, error) {
	line = strings.TrimSpace(line)
	fail := func(format string, args ...any) (Handshake, error) {
		return Handshake{}, fmt.Errorf("%w: %s: the first line on stdout was %s",
			ErrNoHandshake, fmt.Sprintf(format, args...), quoteLine(line))
	}
	fields := strings.Split(line, "|")
	if len(fields) < 4 || len(fields) > 7 {
		return fail("not a plugin's introduction")
	}
	var h Handshake
	var err error
	if h.CoreVersion, err = strconv.Atoi(fields[0]); err != nil {
		return fail("not a plugin's introduction")
	}
	if h.CoreVersion != plugin.CoreVersion {
		return fail("core protocol version %d, want %d", h.CoreVersion, plugin.CoreVersion)
	}
	if h.AppVersion, err = strconv.Atoi(fields[1]); err != nil {
		return fail("plugin protocol version %q is not a number", fields[1])
	}
	if h.AppVersion != plugin.AppVersion {
		return fail("plugin protocol version %d, want %d", h.AppVersion, plugin.AppVersion)
	}
	h.Network, h.Addr = fields[2], fields[3]
	if h.Network != "unix" && h.Network != "tcp" {
		return fail("network %q is neither unix nor tcp", h.Network)
	}
	if h.Addr == "" {
		return fail("the address is empty")
	}
	if h.Network == "unix" && !filepath.IsAbs(h.Addr) {
		return fail("socket path %q is not absolute", h.Addr)
	}
	if len(fields) < 5 {
		return fail("it speaks net/rpc, want grpc")
	}
	if h.Protocol = fields[4]; h.Protocol != "grpc" {
		return fail("it speaks %q, want grpc", h.Protocol)
	}
	// Shorter texts are not certificates: some plugins put other things there.
	if len(fields) > 5 && len(fields[5]) > 50 {
		h.ServerCert = fields[5]
	}
	if len(fields) > 6 {
		h.Multiplex, _ = strconv.ParseBool(fields[6])
	}
	return h, nil
}

// HandshakeEnv is what a plugin's environment needs so that it starts as one.
func HandshakeEnv() []string {
	return []string{
		plugin.CookieKey + "=" + plugin.CookieValue,
		"PLUGIN_MIN_PORT=" + strconv.Itoa(minPort),
		"PLUGIN_MAX_PORT=" + strconv.Itoa(maxPort),
		"PLUGIN_PROTOCOL_VERSIONS=" + strconv.Itoa(plugin.AppVersion),
	}
}

// quoteLine shows a line that may hold anything.
func quoteLine(line string) string {
	if line == "" {
		return "empty"
	}
	if len(line) > quotedLine {
		cut := quotedLine
		for cut > 0 && !utf8.RuneStart(line[cut]) {
			cut--
		}
		return strconv.Quote(line[:cut]) + "..."
	}
	return strconv.Quote(line)
}
