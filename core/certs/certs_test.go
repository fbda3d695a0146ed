package certs

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestRequire(t *testing.T) {
	for name, c := range map[string]struct {
		names  []string
		region string
		roles  []Role
		ok     bool
	}{
		"a server":                          {[]string{"server.global.drover"}, "global", []Role{Server}, true},
		"a server with an older name":       {[]string{"localhost", "server.global.nomad"}, "global", []Role{Server}, true},
		"a region with dots":                {[]string{"server.eu.west.drover"}, "eu.west", []Role{Server}, true},
		"letters of any case":               {[]string{"Server.Global.Drover"}, "global", []Role{Server}, true},
		"any region":                        {[]string{"server.eu.drover"}, "", []Role{Server}, true},
		"one of two roles":                  {[]string{"client.global.drover"}, "global", []Role{Server, Client}, true},
		"a node is no server":               {[]string{"client.global.drover"}, "global", []Role{Server}, false},
		"a user is no node":                 {[]string{"cli.global.drover"}, "global", []Role{Server, Client}, false},
		"a server of another region":        {[]string{"server.eu.drover"}, "global", []Role{Server}, false},
		"another domain":                    {[]string{"server.global.example"}, "global", []Role{Server}, false},
		"the role within a longer name":     {[]string{"x.server.global.drover"}, "global", []Role{Server}, false},
		"a wildcard":                        {[]string{"*.global.drover"}, "global", []Role{Server}, false},
		"no region":                         {[]string{"server.drover"}, "", []Role{Server}, false},
		"an empty region":                   {[]string{"server..drover"}, "", []Role{Server}, false},
		"no name":                           {nil, "global", []Role{Server}, false},
		"the role alone":                    {[]string{"server"}, "global", []Role{Server}, false},
		"a thousand names, none of them it": {strings.Split(strings.Repeat("a ", 1000), " "), "global", []Role{Server}, false},
	} {
		t.Run(name, func(t *testing.T) {
			err := Require(&x509.Certificate{DNSNames: c.names}, c.region, c.roles...)
			if (err == nil) != c.ok {
				t.Fatal(err)
			}
			if err != nil && len(err.Error()) > 1000 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
		})
	}
}

// Files that would make every connection fail are refused when they are read, and then nothing has changed.
func TestSourceRefuses(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	authority := func() (Pair, *CA) {
		p, err := NewCA(CARequest{Valid: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		ca, err := OpenCA(p)
		if err != nil {
			t.Fatal(err)
		}
		return p, ca
	}
	issue := func(ca *CA, valid time.Duration) Pair {
		p, err := ca.Issue(Request{Role: Server, Names: []string{"server.global.drover"}, Valid: valid})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	pair, ca := authority()
	_, other := authority()
	good, expired, foreign := issue(ca, time.Hour), issue(ca, -time.Second), issue(other, time.Hour)
	files := Files{CA: write("ca.pem", pair.Cert), Cert: write("cert.pem", good.Cert), Key: write("key.pem", good.Key)}
	_, err := Open(Options{Files: files})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		f    Files
		want string
	}{
		"no authority":                    {Files{filepath.Join(dir, "none"), files.Cert, files.Key}, "tls.ca_file"},
		"an authority that is none":       {Files{files.Key, files.Cert, files.Key}, "holds no certificate"},
		"a key of another certificate":    {Files{files.CA, files.Cert, write("foreign-key.pem", foreign.Key)}, "does not match"},
		"no certificate":                  {Files{files.CA, write("empty.pem", nil), files.Key}, "tls.cert_file"},
		"an expired certificate":          {Files{files.CA, write("expired.pem", expired.Cert), write("expired-key.pem", expired.Key)}, "expired"},
		"a certificate of another's":      {Files{files.CA, write("foreign.pem", foreign.Cert), write("foreign-key.pem", foreign.Key)}, "unknown authority"},
		"a certificate cut off":           {Files{files.CA, write("cut.pem", good.Cert[:len(good.Cert)/2]), files.Key}, "tls.cert_file"},
		"garbage instead of a certficate": {Files{files.CA, write("garbage.pem", []byte("\x00\xffgarbage")), files.Key}, "tls.cert_file"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Read(Options{Files: c.f})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	if ca2, err := OpenCA(good); err == nil {
		t.Errorf("a certificate that is no authority's makes certificates: %v", ca2)
	}
}
