package runtime

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/containernetworking/cni/pkg/invoke"
	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/version"

	"github.com/droverhq/drover/cni/child"
)

const maxOutput = 1 << 20

// binaries runs CNI plugins: one that hangs is ended, and so is what one leaves running.
type binaries struct {
	version.PluginDecoder
	family  child.Family
	timeout time.Duration // of one plugin
}

var _ invoke.Exec = (*binaries)(nil)

func (b *binaries) FindInPath(plugin string, paths []string) (string, error) {
	return invoke.FindInPath(plugin, paths)
}

func (b *binaries) ExecPlugin(ctx context.Context, path string, stdin []byte, environ []string) ([]byte, error) {
	name := filepath.Base(path)
	bounded, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	var out, errs limited
	cmd := b.family.Command(bounded, path, environ)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &out, &errs
	err := child.Run(cmd)
	switch {
	case bounded.Err() != nil && ctx.Err() == nil:
		return nil, fmt.Errorf("CNI plugin %s did not end within %s", name, b.timeout)
	case ctx.Err() != nil:
		return nil, fmt.Errorf("CNI plugin %s: %w", name, ctx.Err())
	case err != nil && !errors.Is(err, exec.ErrWaitDelay):
		return nil, failure(name, err, out.Bytes(), errs.Bytes())
	}
	if text := bytes.TrimSpace(out.Bytes()); len(text) > 0 && !json.Valid(text) {
		return nil, fmt.Errorf("CNI plugin %s answered what is no JSON: %.200q", name, text)
	}
	return out.Bytes(), nil
}

// failure is the plugin's own error if it gave one, else what it printed.
func failure(name string, err error, out, errs []byte) error {
	var said types.Error
	if json.Unmarshal(out, &said) == nil && (said.Msg != "" || said.Code != 0) {
		return fmt.Errorf("CNI plugin %s: %w", name, &said)
	}
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ENOEXEC) || errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("CNI plugin %s cannot be run: %w", name, err)
	}
	text := strings.TrimSpace(string(errs) + " " + string(out))
	return fmt.Errorf("CNI plugin %s: %w: %.400q", name, err, text)
}

// limited keeps the beginning of what is written to it.
type limited struct{ bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if room := maxOutput - l.Len(); room > 0 {
		l.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
