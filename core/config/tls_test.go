package config

import (
	"crypto/tls"
	"strings"
	"testing"
)

func TestTLSOptions(t *testing.T) {
	const files = `ca_file = "/a"
cert_file = "/c"
key_file = "/k"
`
	for name, c := range map[string]struct {
		block string
		want  string // of the error; "" none
	}{
		"all":                     {"http = true\nrpc = true\ntls_min_version = \"tls13\"\n" + files, ""},
		"nothing enabled":         {"", ""},
		"no files":                {"rpc = true", "tls.ca_file is required"},
		"an old version":          {"tls_min_version = \"tls10\"", "must be tls12 or tls13"},
		"an unknown suite":        {"tls_cipher_suites = \"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,NONE\"", `"NONE" is not known`},
		"a suite that is no good": {"tls_cipher_suites = \"TLS_RSA_WITH_RC4_128_SHA\"", "not known or not safe"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, err := Parse(Default(), "a.hcl", []byte("tls {\n"+c.block+"\n}\n"))
			if err != nil {
				t.Fatal(err)
			}
			if !cfg.TLS.VerifyServerHostname {
				t.Error("names are not looked at unless asked for")
			}
			_, err = cfg.TLS.Options()
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	o, err := (&TLS{CipherSuites: "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"}).Options()
	if err != nil || len(o.CipherSuites) != 2 || o.CipherSuites[0] != tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 {
		t.Errorf("%v, %v", o.CipherSuites, err)
	}
}
