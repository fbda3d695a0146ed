package host_test

import (
	"strings"
	"testing"

	"github.com/droverhq/drover/sdk/host"
)

func newCredentials(t *testing.T) *host.Credentials {
	t.Helper()
	c, err := host.NewCredentials()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestTLS: a plugin that was asked for TLS serves the host that asked, also after that host was restarted and kept its
// key, and nobody else. It goes the same with a plugin that has none of our code.
func TestTLS(t *testing.T) {
	for name, tt := range map[string]struct {
		mode string
		env  []string
	}{
		"TCP":         {"plugin", []string{"DROVER_PLUGIN_NETWORK=tcp"}},
		"Unix socket": {"plugin", nil},
		"go-plugin":   {"go-plugin", nil},
	} {
		t.Run(name, func(t *testing.T) {
			credentials := newCredentials(t)
			config := launchConfig(t, tt.mode)
			config.Env, config.TLS = append(config.Env, tt.env...), credentials
			p, err := host.Launch(t.Context(), config)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Kill(t.Context())
			if err := p.Client.Ping(t.Context()); err != nil {
				t.Error(err)
			}
			if p.ServerCert == "" {
				t.Fatal("it did not answer with a certificate")
			}
			kept, err := credentials.PEM()
			if err != nil {
				t.Fatal(err)
			}
			back, err := host.ParseCredentials(kept)
			if err != nil {
				t.Fatal(err)
			}
			again, err := host.Dial(t.Context(), p.Reattach, host.WithTLS(back, p.ServerCert))
			if err != nil {
				t.Fatal(err)
			}
			defer again.Close()
			if err := again.Ping(t.Context()); err != nil {
				t.Error(err)
			}
			other := newCredentials(t)
			for who, options := range map[string][]host.DialOption{
				"plain text":     nil,
				"a stranger":     {host.WithTLS(other, p.ServerCert)},
				"another plugin": {host.WithTLS(credentials, certificateOf(t, other))},
				"garbage":        {host.WithTLS(credentials, strings.Repeat("A", 60))},
			} {
				c, err := host.Dial(t.Context(), p.Reattach, options...)
				if err == nil { // with TLS 1.3 the client learns of a refusal with the first answer
					err = c.Ping(t.Context())
					c.Close()
				}
				if err == nil {
					t.Errorf("%s got through", who)
				}
			}
			if err := p.Client.Ping(t.Context()); err != nil {
				t.Error("after that:", err)
			}
		})
	}
}

// certificateOf is a certificate as it stands in an introduction.
func certificateOf(t *testing.T, c *host.Credentials) string {
	t.Helper()
	text, err := c.PEM()
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(string(text), "-----BEGIN CERTIFICATE-----\n")
	body, _, _ = strings.Cut(body, "-----END")
	return strings.TrimRight(strings.ReplaceAll(body, "\n", ""), "=")
}

func TestTLSThatNobodyAskedFor(t *testing.T) {
	config := launchConfig(t, "plugin")
	config.Env = append(config.Env, newCredentials(t).Env())
	if _, err := host.Launch(t.Context(), config); err == nil || !strings.Contains(err.Error(), "TLS, which was not asked for") {
		t.Errorf("got %v", err)
	}
	config = launchConfig(t, "plugin")
	config.Env = append(config.Env, "PLUGIN_CLIENT_CERT=nonsense")
	if _, err := host.Launch(t.Context(), config); err == nil || !strings.Contains(err.Error(), "holds no certificate") {
		t.Errorf("got %v", err)
	}
}
