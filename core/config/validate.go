package config

import (
	"errors"
	"fmt"
	"net"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/droverhq/drover/core/membership"
	"github.com/droverhq/drover/core/pluginhost/trust"
)

// Validate checks what a single key cannot: ranges and combinations. It lists everything that is wrong.
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	if !c.Server.Enabled && !c.Client.Enabled {
		bad("nothing to do: enable the server block, the client block or both, or use -dev")
	}
	if c.DataDir == "" {
		bad("data_dir is required (only -dev does without)")
	} else if !filepath.IsAbs(c.DataDir) {
		bad("data_dir must be an absolute path, got %q", c.DataDir)
	}
	if c.PluginDir != "" && !filepath.IsAbs(c.PluginDir) {
		bad("plugin_dir must be an absolute path, got %q", c.PluginDir)
	}
	ports := map[int]string{}
	for _, p := range []struct {
		name string
		port int
	}{{"ports.http", c.Ports.HTTP}, {"ports.rpc", c.Ports.RPC}, {"ports.serf", c.Ports.Serf}} {
		if p.port < 0 || p.port > 65535 {
			bad("%s must be between 0 and 65535, got %d", p.name, p.port)
		}
		if other, dup := ports[p.port]; dup && p.port != 0 {
			bad("%s and %s are both %d", other, p.name, p.port)
		}
		ports[p.port] = p.name
	}
	for name, a := range map[string]string{"bind_addr": c.BindAddr, "addresses.http": c.Addresses.HTTP, "addresses.rpc": c.Addresses.RPC,
		"addresses.serf": c.Addresses.Serf} {
		if a != "" && net.ParseIP(a) == nil && a != "localhost" {
			bad("%s must be an IP address, got %q", name, a)
		}
	}
	switch strings.ToUpper(c.LogLevel) {
	case "TRACE", "DEBUG", "INFO", "WARN", "ERROR":
	default:
		bad("log_level must be TRACE, DEBUG, INFO, WARN or ERROR, got %q", c.LogLevel)
	}
	if c.Client.Enabled && !c.Server.Enabled && len(c.ServerAddrs()) == 0 {
		bad("client.servers must name at least one server (host:port) when this agent is not a server itself")
	}
	for name, text := range map[string]string{"client.reserved.cores": c.Client.Reserved.Cores, "client.reservable_cores": c.Client.ReservableCores} {
		if _, err := Cores(text); err != nil {
			bad("%s: %v", name, err)
		}
	}
	if c.Client.MinDynamicPort > c.Client.MaxDynamicPort || c.Client.MinDynamicPort < 1 || c.Client.MaxDynamicPort > 65535 {
		bad("client dynamic ports %d-%d are not a range within 1-65535", c.Client.MinDynamicPort, c.Client.MaxDynamicPort)
	}
	if n := c.Server.BootstrapExpect; n < 0 || n > maxServers {
		bad("server.bootstrap_expect must be between 0 and %d, got %d", maxServers, n)
	}
	if c.Server.BootstrapExpect > 1 && c.DevMode {
		bad("server.bootstrap_expect = %d: -dev is always a single server", c.Server.BootstrapExpect)
	}
	intro := c.Server.ClientIntroduction
	switch intro.Enforcement {
	case "none", "warn", "strict":
	default:
		bad("server.client_introduction.enforcement must be none, warn or strict, got %q", intro.Enforcement)
	}
	if intro.DefaultTTL < time.Second || intro.DefaultTTL > intro.MaxTTL {
		bad("server.client_introduction.default_identity_ttl must be between 1s and max_identity_ttl (%s), got %s", intro.MaxTTL, intro.DefaultTTL)
	}
	if c.Server.Encrypt != "" {
		if _, err := membership.DecodeKey(c.Server.Encrypt); err != nil {
			bad("server.encrypt: %v", err)
		}
	}
	if c.Server.JobMaxPriority < 100 || c.Server.JobMaxPriority > 32766 {
		bad("server.job_max_priority must be between 100 and 32766, got %d", c.Server.JobMaxPriority)
	}
	if c.Server.JobDefaultPriority < 50 || c.Server.JobDefaultPriority > c.Server.JobMaxPriority {
		bad("server.job_default_priority must be between 50 and %d, got %d", c.Server.JobMaxPriority, c.Server.JobDefaultPriority)
	}
	if _, err := c.Server.JobMaxSource(); err != nil {
		errs = append(errs, err)
	}
	if _, err := c.TLS.Options(); err != nil {
		errs = append(errs, err)
	}
	for _, p := range c.Plugins {
		if p.Upgrade != "" && p.Upgrade != "hand-over" && p.Upgrade != "drain" && p.Upgrade != "manual" {
			bad("plugin %q: upgrade must be \"hand-over\", \"drain\" or \"manual\", got %q", p.Name, p.Upgrade)
		}
	}
	return errors.Join(append(errs, c.checkTrust()...)...)
}

// maxServers is the most that found a group together; more voters only make every write slower.
const maxServers = 9

// checkTrust checks what is asked of plugin binaries; key files are read.
func (c *Config) checkTrust() (errs []error) {
	keys, err := trust.ParseKeys(c.PluginTrust.TrustedKeys)
	if err != nil {
		errs = append(errs, fmt.Errorf("plugin_trust.trusted_keys: %w", err))
	}
	level := func(where, text string) {
		l, err := trust.ParseLevel(text, trust.None)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("%s: %w", where, err))
		case l == trust.Signature && len(c.PluginTrust.TrustedKeys) == 0 && len(keys) == 0:
			errs = append(errs, fmt.Errorf("%s: require = \"signature\" needs plugin_trust.trusted_keys: no plugin could be loaded", where))
		}
	}
	level("plugin_trust", c.PluginTrust.Require)
	for _, p := range c.Plugins {
		where := fmt.Sprintf("plugin %q", p.Name)
		level(where, p.Require)
		for _, pin := range p.SHA256 {
			if err := trust.CheckPin(pin); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", where, err))
			}
		}
		for _, pattern := range p.EnvAllow {
			if _, err := path.Match(pattern, ""); err != nil || strings.Contains(pattern, "=") {
				errs = append(errs, fmt.Errorf("%s: env_allow: %q is no variable's name, nor a pattern such as \"APP_*\"", where, pattern))
			}
		}
	}
	return errs
}

func hostPort(host, otherwise string, port int) string {
	h := first(host, otherwise)
	if hh, pp, err := net.SplitHostPort(h); err == nil {
		return net.JoinHostPort(hh, pp)
	}
	return net.JoinHostPort(h, strconv.Itoa(port))
}

func first(s ...string) string {
	for _, v := range s {
		if v != "" {
			return v
		}
	}
	return ""
}

// parseSize reads a number of bytes with an optional suffix K, M or G (powers of 1024).
func parseSize(s string) (int64, error) {
	num, mult := strings.TrimSuffix(strings.ToUpper(strings.TrimSpace(s)), "B"), int64(1)
	for suffix, m := range map[string]int64{"K": 1 << 10, "M": 1 << 20, "G": 1 << 30} {
		if strings.HasSuffix(num, suffix) {
			num, mult = strings.TrimSuffix(num, suffix), m
			break
		}
	}
	n, err := strconv.ParseInt(num, 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("want a size such as \"1M\", got %q", s)
	}
	return n * mult, nil
}
