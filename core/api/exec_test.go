package api

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestCloseText(t *testing.T) {
	reason := ": execve /no/such: no such file or directory"
	tests := map[string]struct{ text, end string }{
		"short":                {"no such task", "no such task"},
		"long keeps its end":   {"exec in task " + strings.Repeat("d", 120) + reason, reason},
		"cut inside a letter":  {strings.Repeat("é", 100) + reason, reason},
		"not text at all":      {strings.Repeat("\xff", 10) + reason, reason},
		"long and not at all":  {strings.Repeat("\xff\xa0", 100) + reason, reason},
		"exactly what fits":    {strings.Repeat("x", 123), "xxx"},
		"one more than fits":   {strings.Repeat("x", 124), "xxx"},
		"nothing but one more": {strings.Repeat("\xa0", 124), "..."},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := closeText(tt.text)
			if len(got) > 123 || !utf8.ValidString(got) || !strings.HasSuffix(got, tt.end) {
				t.Errorf("%d bytes, %q, want it to end in %q", len(got), got, tt.end)
			}
		})
	}
}
