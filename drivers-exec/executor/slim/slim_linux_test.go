package slim

import (
	"bufio"
	"os"
	"reflect"
	"strings"
	"testing"
)

func TestCodeMappings(t *testing.T) {
	const smaps = `00400000-00a00000 r-xp 00000000 fe:00 7   /opt/drover driver
Rss:                6588 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me
00a00000-00b00000 r--p 00600000 fe:00 7   /opt/drover driver
Anonymous:             8 kB
00b00000-00c00000 r--p 00600000 fe:00 7   /opt/drover driver
Anonymous:             0 kB
00c00000-00d00000 rw-p 00700000 fe:00 7   /opt/drover driver
Anonymous:             0 kB
00d00000-00e00000 r--p 00700000 fe:00 8   /lib/libc.so.6
Anonymous:             0 kB
`
	got := codeMappings(bufio.NewScanner(strings.NewReader(smaps)), "/opt/drover driver")
	want := []mapping{{0x400000, 0xa00000}, {0xb00000, 0xc00000}}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got %x, want %x", got, want)
	}
}

// The program must go on as before: code and tables come back.
func TestTrim(t *testing.T) {
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	self, _ := os.Readlink("/proc/self/exe")
	if len(codeMappings(bufio.NewScanner(f), self)) == 0 {
		t.Fatal("this program's code was not found")
	}
	for range 3 {
		Trim()
		if strings.Repeat("ab", 3) != "ababab" {
			t.Fatal("constants are gone")
		}
	}
}
