package lifecycle

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestChoose(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	present := func(digest string) File { return File{Present: true, Digest: digest, Since: now} }
	gone := func(ago time.Duration) File { return File{Since: now.Add(-ago)} }
	live := func(n uint64, digest string) Member {
		return Member{Number: n, Digest: digest, Usable: true, Healthy: true}
	}
	leaving := func(m Member) Member { m.Leaving, m.Usable = true, false; return m }
	dead := func(m Member) Member { m.Dead, m.Usable, m.Healthy = true, false, false; return m }
	sick := func(m Member) Member { m.Healthy = false; return m }
	starting := func(m Member) Member { m.Usable, m.Healthy = false, false; return m }
	tests := map[string]struct {
		file    File
		members []Member
		policy  Policy
		want    string
	}{
		"new file":                     {present("aa"), nil, "", "create 1"},
		"being verified":               {present(""), []Member{live(1, "aa")}, "", ""},
		"nothing changed":              {present("aa"), []Member{live(1, "aa")}, "", ""},
		"failed for good, same file":   {present("aa"), []Member{dead(live(1, "aa"))}, "", ""},
		"failed for good, new file":    {present("bb"), []Member{dead(live(1, "aa"))}, "", "create 2"},
		"changed":                      {present("bb"), []Member{live(1, "aa")}, "", "create 2"},
		"changed, manual":              {present("bb"), []Member{live(1, "aa")}, PolicyManual, ""},
		"changed, manual, none runs":   {present("bb"), []Member{dead(live(1, "aa"))}, PolicyManual, "create 2"},
		"new one still starting":       {present("bb"), []Member{live(1, "aa"), starting(live(2, "bb"))}, "", ""},
		"new one failed":               {present("bb"), []Member{live(1, "aa"), dead(live(2, "bb"))}, "", ""},
		"new one is worse":             {present("bb"), []Member{live(1, "aa"), sick(live(2, "bb"))}, "", ""},
		"new one is no worse":          {present("bb"), []Member{sick(live(1, "aa")), sick(live(2, "bb"))}, "", "drain 1"},
		"new one took over":            {present("bb"), []Member{live(1, "aa"), live(2, "bb")}, "", "drain 1"},
		"old one drains":               {present("bb"), []Member{leaving(live(1, "aa")), live(2, "bb")}, "", ""},
		"changed back while it drains": {present("aa"), []Member{leaving(live(1, "aa")), live(2, "bb")}, "", "resume 1, drain 2"},
		"changed back after it ended":  {present("aa"), []Member{dead(live(1, "aa")), live(2, "bb")}, "", "create 3"},
		"just removed":                 {gone(time.Second), []Member{live(1, "aa")}, "", "wait 0"},
		"removed":                      {gone(RemoveGrace), []Member{live(1, "aa")}, "", "drain 1"},
		"removed, nothing runs":        {gone(time.Second), []Member{dead(live(1, "aa"))}, "", ""},
		"back after the removal":       {present("aa"), []Member{leaving(live(1, "aa"))}, "", "resume 1"},
		"back after it had ended":      {present("aa"), []Member{dead(leaving(live(1, "aa")))}, "", "create 2"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, m := range Choose(tt.file, tt.members, tt.policy, now) {
				got = append(got, fmt.Sprintf("%s %d", m.Kind, m.Number))
			}
			if s := strings.Join(got, ", "); s != tt.want {
				t.Errorf("got %q, want %q", s, tt.want)
			}
		})
	}
}

func TestCurrent(t *testing.T) {
	m := func(n uint64, usable, healthy bool) Member {
		return Member{Number: n, Usable: usable, Healthy: healthy}
	}
	tests := map[string]struct {
		members []Member
		want    uint64
	}{
		"none":                     {nil, 0},
		"not up":                   {[]Member{m(1, false, false)}, 0},
		"newest healthy":           {[]Member{m(1, true, true), m(2, true, true)}, 2},
		"healthy beats newest":     {[]Member{m(1, true, true), m(2, true, false)}, 1},
		"newest if none is":        {[]Member{m(1, true, false), m(2, true, false)}, 2},
		"the new one is not there": {[]Member{m(1, true, true), m(2, false, false)}, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := Current(tt.members); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}
