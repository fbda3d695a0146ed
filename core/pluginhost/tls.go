package pluginhost

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"github.com/droverhq/drover/sdk/host"
)

// maxKeyFile bounds what is read of a key file; one has about 900 bytes.
const maxKeyFile = 16 << 10

// keyFile keeps the host's key for plugins on TCP: with it an agent that was restarted gets through to them again.
func keyFile(dataDir string) string { return filepath.Join(dataDir, "client", "plugin-tls.pem") }

// loadCredentials reads the key, or makes one. A key that others could read, or that cannot be read, is replaced: the
// plugins that were launched with it are launched anew.
func (h *Host) loadCredentials() (*host.Credentials, error) {
	path := keyFile(h.config.DataDir)
	text, err := readPrivate(path)
	if err == nil {
		var c *host.Credentials
		if c, err = host.ParseCredentials(text); err == nil {
			return c, nil
		}
	}
	if !errors.Is(err, fs.ErrNotExist) {
		h.log.Warn("the key for plugins on TCP is replaced", "file", path, "error", err)
	}
	c, err := host.NewCredentials()
	if err != nil {
		return nil, err
	}
	if text, err = c.PEM(); err != nil {
		return nil, err
	}
	return c, writePrivate(path, text)
}

// writePrivate replaces a file in one step by one that nobody else can read.
func writePrivate(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".private-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	err = makePrivate(tmp.Name())
	if err == nil {
		_, err = tmp.Write(data)
	}
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

// options are how to dial a process that introduced itself with that address and certificate (empty = none).
func (h *Host) options(network, addr, serverCert string) ([]host.DialOption, error) {
	if network == "tcp" {
		if err := checkLoopback(addr); err != nil {
			return nil, final("%v", err)
		}
	}
	switch {
	case serverCert == "":
		return nil, nil
	case h.credentials == nil:
		return nil, final("it wants TLS, which was not asked for")
	}
	return []host.DialOption{host.WithTLS(h.credentials, serverCert)}, nil
}

// checkLoopback refuses an address that other machines reach, or that is another machine.
func checkLoopback(addr string) error {
	name, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("it listens on %.60q, which is no address: %w", addr, err)
	}
	if ip := net.ParseIP(name); name != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("it listens on %.60s; plugins are to be reached from this machine only, on 127.0.0.1 or a socket", addr)
	}
	return nil
}

// warnOfPlainText says that anybody on the machine can use the plugin. Plugins that know nothing of TLS are used all the
// same, because they cannot help it.
func (g *generation) warnOfPlainText() {
	const text = "listens on TCP without TLS: every process of this machine can give it orders"
	g.log.Warn("plugin " + text)
	g.family.host.emit(nodeEvent("Plugin", "Plugin "+g.family.file+" "+text, map[string]string{"file": g.family.file}))
}
