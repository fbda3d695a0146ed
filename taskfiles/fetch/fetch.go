// Package fetch downloads one artifact with go-getter into a directory that the caller gave it for nothing else. What
// is done with the files is the node's to decide: it trusts nothing here.
package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	getter "github.com/hashicorp/go-getter/v2"

	"github.com/droverhq/drover/core/node/taskfiles/protocol"
)

// errPermanent marks what another try would not mend.
var errPermanent = errors.New("permanent")

// Permanent tells whether another try would end the same.
func Permanent(err error) bool { return errors.Is(err, errPermanent) }

func permanent(err error) error { return fmt.Errorf("%w%w", err, silent{errPermanent}) }

// silent is an error of a class that adds no text.
type silent struct{ error }

func (silent) Error() string   { return "" }
func (s silent) Unwrap() error { return s.error }

var modes = map[string]getter.Mode{"": getter.ModeAny, "any": getter.ModeAny, "file": getter.ModeFile, "dir": getter.ModeDir}

// Do fetches. progress is called now and then, from other goroutines too.
func Do(ctx context.Context, q *protocol.Fetch, progress func(bytes, total int64)) error {
	mode, ok := modes[q.Mode]
	if !ok {
		return permanent(fmt.Errorf("mode %q: want any, file or dir", q.Mode))
	}
	if err := checkSource(q.Source); err != nil {
		return permanent(err)
	}
	tmp := filepath.Join(q.Dir, "tmp")
	if err := os.Mkdir(tmp, 0o700); err != nil {
		return err
	}
	for name, value := range map[string]string{"TMPDIR": tmp, "TMP": tmp, "TEMP": tmp, "HOME": tmp, "GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_NOSYSTEM": "1"} {
		os.Setenv(name, value)
	}
	dst := filepath.Join(q.Dir, protocol.FetchedDir)
	if mode == getter.ModeFile {
		dst = filepath.Join(q.Dir, protocol.FetchedFile)
	}
	client := &getter.Client{Getters: getters(q), Decompressors: getter.LimitedDecompressors(q.Limits.Files, q.Limits.Size), DisableSymlinks: true}
	_, err := client.Get(ctx, &getter.Request{
		Src: q.Source, Dst: dst, Pwd: tmp, GetMode: mode, Umask: 0o022, DisableSymlinks: true, ProgressListener: &tracker{progress, q.Limits.HTTPMaxSize},
	})
	if err != nil {
		return classify(err)
	}
	return nil
}

// checkSource refuses what no getter here fetches, with a reason.
func checkSource(source string) error {
	forced, rest, isForced := strings.Cut(source, "::")
	if isForced && !strings.ContainsAny(forced, ":/?") {
		switch forced {
		case "git", "http", "https", "hg":
		default:
			return fmt.Errorf("sources of kind %q are not supported; these are: http, https, git, hg", forced)
		}
		source = rest
	}
	if strings.HasPrefix(source, "git@") {
		return nil // git@host:path is no URL
	}
	u, err := url.Parse(source)
	if err != nil {
		return fmt.Errorf("the source is not a URL: %w", err)
	}
	switch u.Scheme {
	case "http", "https", "ssh", "git":
		return nil
	case "file":
		return errors.New("files of the machine are not fetched: use a volume, or a template with source")
	case "":
		if strings.HasPrefix(source, "/") || strings.HasPrefix(source, ".") || source == "" {
			return errors.New("files of the machine are not fetched: use a volume, or a template with source")
		}
		return nil // github.com/owner/repo
	}
	return fmt.Errorf("scheme %q is not supported; these are: http, https, git, hg", u.Scheme)
}

func getters(q *protocol.Fetch) []getter.Getter {
	headers := http.Header{}
	for k, v := range q.Headers {
		headers.Set(k, v)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: q.Insecure}
	web := &getter.HttpGetter{
		Client: &http.Client{Transport: transport}, Header: headers, HeadFirstTimeout: 30 * time.Second, DoNotCheckHeadFirst: true,
		ReadTimeout: time.Duration(q.Limits.HTTPReadTimeout), MaxBytes: q.Limits.HTTPMaxSize, XTerraformGetDisabled: true,
	}
	return []getter.Getter{
		&getter.GitGetter{
			Timeout:   time.Duration(q.Limits.GitTimeout),
			Detectors: []getter.Detector{new(getter.GitHubDetector), new(getter.GitDetector), new(getter.BitBucketDetector), new(getter.GitLabDetector)},
		},
		new(getter.HgGetter),
		web,
	}
}

// inText are the addresses that errors name, whose words say nothing of what went wrong.
var inText = regexp.MustCompile(`[a-z+]+://[^\s"']+`)

// classify tells mistakes in the job from trouble that passes.
func classify(err error) error {
	text := inText.ReplaceAllString(err.Error(), "")
	for _, lasting := range []string{
		"hecksum", "bad response code: 4", "too many files", "larger than limit", "archive", "path traversal", "contains '..'", "symlink",
		"invalid format", "executable file not found", "must be available", "than the limit",
	} {
		if strings.Contains(text, lasting) {
			return permanent(err)
		}
	}
	return err
}

// progressEvery is how often a download tells how far it is.
const progressEvery = 5 * time.Second

// tracker counts the bytes of downloads and ends those above max: with a listener the library reads past its own limit.
type tracker struct {
	tell func(bytes, total int64)
	max  int64
}

// TrackProgress is the library's hook.
func (t *tracker) TrackProgress(_ string, current, total int64, stream io.ReadCloser) io.ReadCloser {
	return &counted{ReadCloser: stream, tell: t.tell, max: t.max, bytes: current, total: total, last: time.Now()}
}

type counted struct {
	io.ReadCloser
	tell  func(bytes, total int64)
	max   int64
	mu    sync.Mutex
	bytes int64
	total int64
	last  time.Time
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bytes += int64(n)
	if c.max > 0 && c.bytes > c.max {
		return 0, permanent(fmt.Errorf("the download is larger than the limit of %d bytes", c.max))
	}
	if time.Since(c.last) >= progressEvery {
		c.last = time.Now()
		c.tell(c.bytes, c.total)
	}
	return n, err
}
