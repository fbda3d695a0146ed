package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/droverhq/drover/drivers-iis/appcmd"
)

// workerVerb has this program be a worker process, w3wp.exe.
const workerVerb = "w3wp"

// hire starts a worker with the pool's environment and waits until it is there.
func hire(self string, p *pool) (worker, error) {
	cmd := exec.Command(self, workerVerb, p.name())
	cmd.Dir = filepath.Dir(self)
	for _, entry := range os.Environ() { // what a service has, and nothing of who called
		if name, _, _ := strings.Cut(strings.ToUpper(entry), "="); name == "PATH" || name == "SYSTEMROOT" || name == "WINEPREFIX" {
			cmd.Env = append(cmd.Env, entry)
		}
	}
	if list := p.Config.Find("environmentVariables"); list != nil {
		for _, v := range list.All("add") {
			cmd.Env = append(cmd.Env, v.Get("name")+"="+v.Get("value"))
		}
	}
	detach(cmd)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return worker{}, err
	}
	if err := cmd.Start(); err != nil {
		return worker{}, err
	}
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return worker{}, fmt.Errorf("the worker of %s did not begin: %w", p.name(), err)
	}
	return worker{PID: cmd.Process.Pid, Pool: p.name(), Recycled: p.Recycled, Address: strings.TrimSpace(address)}, nil
}

// work serves the pool's sites until the pool is stopped, recycled or removed. A site with a file named "stubborn" in its
// root keeps its worker alive until it is killed, as a request that does not end would; one with a file named "crash" ends
// its worker again and again, so that the rapid-fail protection stops the pool.
func work(dir, name string) {
	alive, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		os.Exit(1)
	}
	fmt.Println(alive.Addr())
	os.Stdout.Close()
	go func() {
		for {
			if conn, err := alive.Accept(); err == nil {
				conn.Close()
			}
		}
	}()
	waitStored(dir)
	first, err := readState(dir)
	if err != nil || first.pool(name) == nil {
		return
	}
	if marked(first, name, "crash") {
		_ = locked(dir, func(s *state) error {
			if p := s.pool(name); p != nil {
				p.State = stopped
			}
			return nil
		})
		return
	}
	begun := first.pool(name).Recycled
	listeners := map[string]net.Listener{}
	for ; ; time.Sleep(20 * time.Millisecond) {
		s, err := readState(dir)
		if err != nil {
			if _, err := os.Stat(dir); err != nil {
				return // the test is over
			}
			continue
		}
		p := s.pool(name)
		want := map[string]*site{}
		for _, site := range s.Sites {
			if p == nil || p.State != appcmd.Started || p.Recycled != begun || site.State != appcmd.Started || !site.uses(name) {
				continue
			}
			for _, b := range site.endpoints() {
				want[b] = site
			}
		}
		for endpoint, l := range listeners {
			if want[endpoint] == nil {
				l.Close()
				delete(listeners, endpoint)
			}
		}
		for endpoint, site := range want {
			if listeners[endpoint] != nil {
				continue
			}
			if l, err := net.Listen("tcp", endpoint); err == nil {
				listeners[endpoint] = l
				go http.Serve(l, handler(dir, site.name()))
			}
		}
		ending := p == nil || p.State != appcmd.Started || p.Recycled != begun
		if ending && !marked(s, name, "stubborn") {
			return
		}
	}
}

// waitStored waits until the command that started this worker has stored why.
func waitStored(dir string) {
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if _, err := os.Stat(filepath.Join(dir, "lock")); err != nil {
			return
		}
	}
}

func (s *site) uses(pool string) bool {
	for _, app := range s.Config.All("application") {
		if strings.EqualFold(app.Get("applicationPool"), pool) {
			return true
		}
	}
	return false
}

// endpoints are where the site listens without TLS.
func (s *site) endpoints() []string {
	var all []string
	if list := s.Config.Find("bindings"); list != nil {
		for _, b := range list.All("binding") {
			info := b.Get("bindingInformation")
			address := info[:strings.LastIndex(info, ":")]
			if b.Get("protocol") == "http" {
				all = append(all, strings.Replace(address, "*", "127.0.0.1", 1))
			}
		}
	}
	return all
}

// marked reports whether a site of the pool has a file of this name in its root.
func marked(s *state, pool, file string) bool {
	for _, site := range s.Sites {
		if root := site.app("/"); site.uses(pool) && root != nil && len(root.Children) > 0 {
			if _, err := os.Stat(filepath.Join(root.Children[0].Get("physicalPath"), file)); err == nil {
				return true
			}
		}
	}
	return false
}

// handler serves the files of a site, and at /.env/NAME a variable of the worker's environment.
func handler(dir, name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if variable, ok := strings.CutPrefix(r.URL.Path, "/.env/"); ok {
			fmt.Fprint(w, os.Getenv(variable))
			return
		}
		s, err := readState(dir)
		if err != nil || s.site(name) == nil {
			http.Error(w, "no such site", http.StatusServiceUnavailable)
			return
		}
		http.ServeFile(w, r, s.site(name).locate(path.Clean(r.URL.Path)))
	})
}

// locate finds the file behind a URL: the longest application and virtual directory that it begins with.
func (s *site) locate(url string) string {
	best, file := -1, ""
	for _, app := range s.Config.All("application") {
		for _, v := range app.All("virtualDirectory") {
			base := strings.TrimSuffix(app.Get("path"), "/") + strings.TrimSuffix(v.Get("path"), "/")
			if rest, ok := strings.CutPrefix(url, base); ok && len(base) > best && (rest == "" || rest[0] == '/') {
				best, file = len(base), filepath.Join(v.Get("physicalPath"), filepath.FromSlash(rest))
			}
		}
	}
	return file
}
