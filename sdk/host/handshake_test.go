package host

import (
	"errors"
	"strings"
	"testing"
)

func TestParseHandshake(t *testing.T) {
	accepted := map[string]struct {
		line string
		want Handshake
	}{
		"go plugin":        {"1|2|unix|/tmp/plugin123|grpc|\n", Handshake{1, 2, "unix", "/tmp/plugin123", "grpc", "", false}},
		"five fields":      {"1|2|tcp|127.0.0.1:5003|grpc\r\n", Handshake{1, 2, "tcp", "127.0.0.1:5003", "grpc", "", false}},
		"seven fields":     {"1|2|unix|/tmp/p|grpc||true", Handshake{1, 2, "unix", "/tmp/p", "grpc", "", true}},
		"blanks around":    {"  1|2|unix|/tmp/p|grpc|  \n", Handshake{1, 2, "unix", "/tmp/p", "grpc", "", false}},
		"tls":              {"1|2|tcp|127.0.0.1:1|grpc|" + strings.Repeat("A", 51), Handshake{1, 2, "tcp", "127.0.0.1:1", "grpc", strings.Repeat("A", 51), false}},
		"not quite a cert": {"1|2|unix|/tmp/p|grpc|none", Handshake{1, 2, "unix", "/tmp/p", "grpc", "", false}},
	}
	for name, test := range accepted {
		t.Run(name, func(t *testing.T) {
			got, err := ParseHandshake(test.line)
			if err != nil || got != test.want {
				t.Errorf("got %+v, %v\nwant %+v", got, err, test.want)
			}
		})
	}
	refused := map[string]struct{ line, want string }{
		"empty":             {"", "was empty"},
		"prose":             {"Hello, world", `"Hello, world"`},
		"three fields":      {"1|2|unix", "not a plugin"},
		"eight fields":      {"1|2|unix|/p|grpc||true|x", "not a plugin"},
		"net/rpc":           {"1|2|unix|/p", "net/rpc"},
		"netrpc by name":    {"1|2|unix|/p|netrpc|", `"netrpc", want grpc`},
		"core version":      {"2|2|unix|/p|grpc|", "core protocol version 2"},
		"old app version":   {"1|1|unix|/p|grpc|", "plugin protocol version 1, want 2"},
		"no app version":    {"1|x|unix|/p|grpc|", "not a number"},
		"network":           {"1|2|udp|/p|grpc|", `"udp"`},
		"no address":        {"1|2|unix||grpc|", "address is empty"},
		"relative socket":   {"1|2|unix|sock|grpc|", "not absolute"},
		"control bytes":     {"\x00\x1b[31m|\xff", `\x00`},
		"a very long line":  {strings.Repeat("x", 10_000), `x"...`},
		"cut inside a rune": {strings.Repeat("x", 199) + "é" + strings.Repeat("x", 100), `x"...`},
	}
	for name, test := range refused {
		t.Run(name, func(t *testing.T) {
			_, err := ParseHandshake(test.line)
			if !errors.Is(err, ErrNoHandshake) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %v with %q", err, ErrNoHandshake, test.want)
			}
			if len(err.Error()) > 1000 {
				t.Errorf("the error is %d bytes long", len(err.Error()))
			}
		})
	}
}

func FuzzParseHandshake(f *testing.F) {
	f.Add("1|2|unix|/tmp/plugin123|grpc|")
	f.Add("1|2|tcp|127.0.0.1:1|grpc||true")
	f.Fuzz(func(t *testing.T, line string) {
		h, err := ParseHandshake(line)
		if err == nil && (h.Addr == "" || h.Protocol != "grpc" || h.CoreVersion != 1 || h.AppVersion != 2) {
			t.Errorf("accepted %q as %+v", line, h)
		}
	})
}

func TestLaunchEnv(t *testing.T) {
	inherited := []string{"HOME=/h", "SECRET=s", "PLUGIN_CLIENT_CERT=x", "PLUGIN_MULTIPLEX_GRPC=true", "PLUGIN_UNIX_SOCKET_DIR=/old"}
	env := launchEnv(inherited, LaunchConfig{
		Env:       []string{"A=1"},
		Keep:      func(name string) bool { return name != "SECRET" },
		SocketDir: "/new",
	})
	got := strings.Join(env, "\n") + "\n"
	for _, want := range []string{"HOME=/h\n", "A=1\n", "PLUGIN_UNIX_SOCKET_DIR=/new\n", "PLUGIN_PROTOCOL_VERSIONS=2\n", "PLUGIN_MIN_PORT=10000\n", "PLUGIN_MAX_PORT=25000\n",
		"NOMAD_PLUGIN_MAGIC_COOKIE=e4327c2e01eabfd75a8a67adb114fb34a757d57eee7728d857a8cec6e91a7255\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("missing %q", want)
		}
	}
	for _, bad := range []string{"SECRET", "CLIENT_CERT", "MULTIPLEX", "/old"} {
		if strings.Contains(got, bad) {
			t.Errorf("%s was passed on", bad)
		}
	}
}
