package fsapi

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/droverhq/drover/core/rpc"
)

// tree makes an allocation's directory with every kind of trap in it.
func tree(t *testing.T) Tree {
	t.Helper()
	base := t.TempDir()
	root := filepath.Join(base, "a1")
	for _, d := range []string{"alloc/logs", "alloc/secrets", "web/local/dir", "web/secrets", "web/private"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"../outside": "outside", "web/local/f.txt": "0123456789", "web/secrets/token": "secret", "web/private/vault": "secret",
		"alloc/secrets/public": "a group may name its own directory so", "web/local/page": "<html><body>x</body></html>",
	} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{
		"web/local/good": "f.txt", "web/local/out": "../../../outside", "web/local/abs": filepath.Join(base, "outside"),
		"web/local/peek": "../secrets/token", "web/local/peekdir": "../secrets", "web/local/loop": "loop", "web/local/etc": "/etc",
	} {
		if err := os.Symlink(target, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	return New(root)
}

func read(tr Tree, q rpc.FSReadRequest) (string, error) {
	var text strings.Builder
	err := tr.Read(context.Background(), &q, func(c *rpc.FSChunk) error {
		text.Write(c.Data)
		return nil
	})
	return text.String(), err
}

func TestRead(t *testing.T) {
	tr := tree(t)
	for name, c := range map[string]struct {
		req  rpc.FSReadRequest
		want string
		err  error
	}{
		"whole":                {rpc.FSReadRequest{Path: "web/local/f.txt"}, "0123456789", nil},
		"leading slash":        {rpc.FSReadRequest{Path: "/web/local/f.txt"}, "0123456789", nil},
		"from the start":       {rpc.FSReadRequest{Path: "web/local/f.txt", Offset: 4}, "456789", nil},
		"limited":              {rpc.FSReadRequest{Path: "web/local/f.txt", Offset: 4, Limit: 2}, "45", nil},
		"limit beyond the end": {rpc.FSReadRequest{Path: "web/local/f.txt", Offset: 8, Limit: 50}, "89", nil},
		"from the end":         {rpc.FSReadRequest{Path: "web/local/f.txt", Offset: 3, Origin: "end"}, "789", nil},
		"beyond the end":       {rpc.FSReadRequest{Path: "web/local/f.txt", Offset: 99}, "", nil},
		"link inside":          {rpc.FSReadRequest{Path: "web/local/good"}, "0123456789", nil},
		"shared directory":     {rpc.FSReadRequest{Path: "alloc/secrets/public"}, "a group may name its own directory so", nil},
		"bad origin":           {rpc.FSReadRequest{Path: "web/local/f.txt", Origin: "middle"}, "", rpc.ErrInvalid},
		"negative":             {rpc.FSReadRequest{Path: "web/local/f.txt", Offset: -1}, "", rpc.ErrInvalid},
		"directory":            {rpc.FSReadRequest{Path: "web/local"}, "", rpc.ErrInvalid},
		"missing":              {rpc.FSReadRequest{Path: "web/local/nope"}, "", rpc.ErrNotFound},
		"dots stay inside":     {rpc.FSReadRequest{Path: "../outside"}, "", rpc.ErrNotFound},
		"link out":             {rpc.FSReadRequest{Path: "web/local/out"}, "", rpc.ErrDenied},
		"absolute link out":    {rpc.FSReadRequest{Path: "web/local/abs"}, "", rpc.ErrDenied},
		"through a link out":   {rpc.FSReadRequest{Path: "web/local/etc/passwd"}, "", rpc.ErrDenied},
		"secrets":              {rpc.FSReadRequest{Path: "web/secrets/token"}, "", rpc.ErrDenied},
		"secrets by dots":      {rpc.FSReadRequest{Path: "web/local/../secrets/token"}, "", rpc.ErrDenied},
		"secrets by case":      {rpc.FSReadRequest{Path: "web/Secrets/token"}, "", rpc.ErrDenied},
		"secrets by link":      {rpc.FSReadRequest{Path: "web/local/peek"}, "", rpc.ErrDenied},
		"secrets by dir link":  {rpc.FSReadRequest{Path: "web/local/peekdir/token"}, "", rpc.ErrDenied},
		"private":              {rpc.FSReadRequest{Path: "web/private/vault"}, "", rpc.ErrDenied},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := read(tr, c.req)
			if got != c.want || !errors.Is(err, c.err) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
	if _, err := read(tr, rpc.FSReadRequest{Path: "web/local/loop"}); err == nil {
		t.Error("a link to itself was read")
	}
}

func TestListAndStat(t *testing.T) {
	tr := tree(t)
	files, err := tr.List("/")
	if err != nil || len(files) != 2 || files[0].Name != "alloc" || !files[1].IsDir {
		t.Errorf("%+v %v", files, err)
	}
	for _, path := range []string{"web/secrets", "web/local/peekdir", "/web/private/"} {
		if _, err := tr.List(path); !errors.Is(err, rpc.ErrDenied) {
			t.Errorf("list %s: %v", path, err)
		}
		if _, err := tr.Stat(path); !errors.Is(err, rpc.ErrDenied) {
			t.Errorf("stat %s: %v", path, err)
		}
	}
	st, err := tr.Stat("web/local/f.txt")
	if err != nil || st.Size != 10 || st.Name != "f.txt" || st.FileMode != "-rw-r--r--" || !strings.HasPrefix(st.ContentType, "text/plain") {
		t.Errorf("%+v %v", st, err)
	}
	if st, err := tr.Stat("web/local/page"); err != nil || !strings.HasPrefix(st.ContentType, "text/html") {
		t.Errorf("%+v %v", st, err)
	}
	if st, err := tr.Stat(""); err != nil || !st.IsDir {
		t.Errorf("%+v %v", st, err)
	}
	if _, err := New(filepath.Join(t.TempDir(), "none")).List("/"); !errors.Is(err, rpc.ErrNotFound) {
		t.Errorf("no allocation directory: %v", err)
	}
}
