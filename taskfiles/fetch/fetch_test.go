package fetch

import (
	"errors"
	"strings"
	"testing"
)

func TestSources(t *testing.T) {
	for source, want := range map[string]string{
		"https://example.com/a.tar.gz":       "",
		"git::https://example.com/o/r.git":   "",
		"git::ssh://git@example.com/o/r.git": "",
		"git::git@example.com:o/r.git":       "",
		"git@example.com:o/r.git":            "",
		"github.com/o/r":                     "",
		"hg::http://example.com/r":           "",
		"s3::https://example.com/b":          "not supported",
		"git::ftp://example.com/r":           "not supported",
		"git::ext::sh -c id":                 "no",
		"file:///etc/passwd":                 "not fetched",
		"/etc/passwd":                        "not fetched",
		"git::/etc":                          "not fetched",
		"":                                   "not fetched",
	} {
		err := checkSource(source)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", source, err, want)
		}
	}
}

// What may go well the next time is tried again, whatever the address is called.
func TestWhatIsTriedAgain(t *testing.T) {
	for text, lasting := range map[string]bool{
		`Get "https://example.com/o/r/archive/v1.tar.gz": dial tcp 192.0.2.1:443: connect: connection refused`: false,
		`bad response code: 503`:                          false,
		`bad response code: 404`:                          true,
		`Checksums did not match`:                         true,
		`error opening a gzip reader: archive is damaged`: true,
	} {
		err := errors.New(text)
		if got := classify(err) != err; got != lasting {
			t.Errorf("%s: lasting %v, want %v", text, got, lasting)
		}
	}
}
