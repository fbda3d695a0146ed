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
	offers := func(m Member) Member { m.Offers = true; return m }
	moving := func(m Member) Member { m.Moving = true; return m }
	down := func(m Member) Member { m.Usable, m.Starting = false, true; return m }
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
		"both can hand over":           {present("bb"), []Member{offers(live(1, "aa")), offers(live(2, "bb"))}, "", "hand-over 1 to 2"},
		"hand-over asked for":          {present("bb"), []Member{offers(live(1, "aa")), offers(live(2, "bb"))}, PolicyHandOver, "hand-over 1 to 2"},
		"reloaded by hand":             {present("bb"), []Member{offers(live(1, "aa")), offers(live(2, "bb"))}, PolicyManual, "hand-over 1 to 2"},
		"drain asked for":              {present("bb"), []Member{offers(live(1, "aa")), offers(live(2, "bb"))}, PolicyDrain, "drain 1"},
		"the old one cannot":           {present("bb"), []Member{live(1, "aa"), offers(live(2, "bb"))}, "", "drain 1"},
		"the new one cannot":           {present("bb"), []Member{offers(live(1, "aa")), live(2, "bb")}, PolicyHandOver, "drain 1"},
		"the new one is starting":      {present("bb"), []Member{offers(live(1, "aa")), starting(live(2, "bb"))}, "", ""},
		"handing over":                 {present("bb"), []Member{moving(offers(live(1, "aa"))), moving(offers(live(2, "bb")))}, "", ""},
		"changed again meanwhile":      {present("cc"), []Member{moving(offers(live(1, "aa"))), moving(offers(live(2, "bb")))}, "", ""},
		"removed meanwhile":            {gone(RemoveGrace), []Member{moving(offers(live(1, "aa"))), moving(offers(live(2, "bb")))}, "", ""},
		"handed over":                  {present("bb"), []Member{dead(offers(live(1, "aa"))), offers(live(2, "bb"))}, "", ""},
		"changed back once handed on":  {present("aa"), []Member{dead(leaving(offers(live(1, "aa")))), offers(live(2, "bb"))}, "", "create 3"},
		"recovery failed":              {present("bb"), []Member{offers(live(1, "aa")), dead(offers(live(2, "bb")))}, "", ""},
		"recovery failed, new file":    {present("cc"), []Member{offers(live(1, "aa")), dead(offers(live(2, "bb")))}, "", "create 3"},
		"the old one is relaunched":    {present("bb"), []Member{down(offers(live(1, "aa"))), offers(live(2, "bb"))}, "", ""},
		"the old one stays down":       {present("bb"), []Member{starting(offers(live(1, "aa"))), offers(live(2, "bb"))}, "", "drain 1"},
		"the new one is no worse":      {present("bb"), []Member{sick(offers(live(1, "aa"))), sick(offers(live(2, "bb")))}, "", "hand-over 1 to 2"},
		"back while it drains":         {present("aa"), []Member{leaving(offers(live(1, "aa"))), offers(live(2, "bb"))}, "", "resume 1"},
		"two before it":                {present("cc"), []Member{offers(live(1, "aa")), offers(live(2, "bb")), offers(live(3, "cc"))}, "", "hand-over 1 to 3"},
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
				text := fmt.Sprintf("%s %d", m.Kind, m.Number)
				if m.To != 0 {
					text += fmt.Sprintf(" to %d", m.To)
				}
				got = append(got, text)
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
	offers := func(m Member) Member { m.Offers = true; return m }
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
		"waits for the hand-over":  {[]Member{offers(m(1, true, true)), offers(m(2, true, true))}, 1},
		"the old one is launched":  {[]Member{{Number: 1, Offers: true, Starting: true, Healthy: true}, offers(m(2, true, true))}, 0},
		"the old one is down":      {[]Member{offers(m(1, false, false)), offers(m(2, true, true))}, 2},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := Current(tt.members, ""); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}
