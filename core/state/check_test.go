package state

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"
)

// What is compressed is read as what is not; what is compressed twice is refused instead of being taken for rows.
func TestPlain(t *testing.T) {
	compress := func(b []byte) []byte {
		var out bytes.Buffer
		z := gzip.NewWriter(&out)
		z.Write(b)
		z.Close()
		return out.Bytes()
	}
	once := compress([]byte("rows"))
	for what, data := range map[string][]byte{"plain": []byte("rows"), "compressed": once} {
		r, err := Plain(bytes.NewReader(data))
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if got, err := io.ReadAll(r); err != nil || string(got) != "rows" {
			t.Errorf("%s: %q, %v", what, got, err)
		}
	}
	if _, err := Plain(bytes.NewReader(compress(once))); err == nil || !strings.Contains(err.Error(), "compressed twice") {
		t.Errorf("compressed twice: %v", err)
	}
}
