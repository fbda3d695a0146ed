package docker

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/droverhq/drover/drivers-docker/config"
	"github.com/droverhq/drover/drivers-docker/spec"
	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/plugin"
)

// tampered is an engine before which something happens.
type tampered struct {
	engine
	create func(ctx context.Context, o client.ContainerCreateOptions) (client.ContainerCreateResult, error)
}

func (e tampered) ContainerCreate(ctx context.Context, o client.ContainerCreateOptions) (client.ContainerCreateResult, error) {
	return e.create(ctx, o)
}

// inside returns a driver in the test's own process whose engine makes containers by way of create.
func (r *rig) inside(create func(d *Driver, real engine, ctx context.Context, o client.ContainerCreateOptions) (client.ContainerCreateResult, error)) *Driver {
	r.Helper()
	d := New(hclog.NewNullLogger())
	r.Cleanup(d.Close)
	p := config.Plugin{Endpoint: r.daemon.endpoint(), PullActivityTimeout: patience, GC: config.GC{Container: true}}
	if err := d.configure(r.Context(), &driver.Configuration[config.Plugin]{Config: p, Node: &plugin.NodeConfig{}}); err != nil {
		r.Fatal(err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	real := d.session.engine
	s := *d.session
	s.engine = tampered{real, func(ctx context.Context, o client.ContainerCreateOptions) (client.ContainerCreateResult, error) {
		return create(d, real, ctx, o)
	}}
	d.session = &s
	return d
}

func request(t *driver.TaskConfig, c config.Task) *driver.StartRequest[config.Task] {
	t.StdoutPath, t.StderrPath = "", ""
	c.Image, c.Command = busybox, "/bin/sh"
	return &driver.StartRequest[config.Task]{Task: t, Config: c, Emit: func(string, map[string]string) {}}
}

// victim is a file of the host that no task may change.
func victim(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(path, []byte("of the host\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func unharmed(t *testing.T, path string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != "of the host\n" {
		t.Errorf("the host's file is %q, %v", got, err)
	}
}

// mountsBelow are the mounts of this machine below a directory.
func mountsBelow(t *testing.T, dir string) (found []string) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(text), "\n") {
		if f := strings.Fields(line); len(f) > 1 && strings.HasPrefix(f[1], dir+"/") {
			found = append(found, f[1])
		}
	}
	return found
}

// Links in the task's directory, under the names of what the driver writes, lead to the host's files.
func TestGeneratedFilesFollowNoLink(t *testing.T) {
	r := newRig(t, nil).launch()
	task, file := r.task("cat /etc/resolv.conf", nil), victim(t)
	for _, name := range []string{"resolv.conf", "hosts", claimName, ".docker.stdout.cursor"} {
		if err := os.Symlink(file, filepath.Join(task.TaskDir(), name)); err != nil {
			t.Fatal(err)
		}
	}
	task.DNS = &driver.DNS{Searches: []string{"example.net"}}
	r.start(task)
	r.wait(task)
	if got := r.out(task); got != "search example.net\n" {
		t.Errorf("got %q", got)
	}
	unharmed(t, file)
	bad := r.task("true", nil)
	bad.DNS = &driver.DNS{Searches: []string{"x\n* * * * * root id"}}
	if err := r.refused(bad); !strings.Contains(err.Error(), "searches") {
		t.Errorf("got %v", err)
	}
}

// Between the driver's check and the engine's mount everything in reach of tasks becomes a link to the host.
func TestSwappedBetweenCheckAndUse(t *testing.T) {
	r, file := newRig(t, nil).launch(), victim(t)
	swap := func(path string) {
		if err := os.Rename(path, path+".old"); err != nil {
			t.Error(err)
		}
		if err := os.Symlink(filepath.Dir(file), path); err != nil {
			t.Error(err)
		}
	}
	task := r.plainTask(map[string]any{"image": busybox})
	data := filepath.Join(task.SharedDir(), "data", "d")
	for _, dir := range []string{data, filepath.Join(task.LocalDir(), "conf")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "mine"), []byte("mine\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	d := r.inside(func(_ *Driver, real engine, ctx context.Context, o client.ContainerCreateOptions) (client.ContainerCreateResult, error) {
		swap(data)
		swap(filepath.Join(task.LocalDir(), "conf"))
		swap(filepath.Join(task.SharedDir(), "logs"))
		return real.ContainerCreate(ctx, o)
	})
	script := "ls /h /m /alloc/logs; cat /h/mine /m/mine /f"
	_, err := d.Start(t.Context(), request(task, config.Task{
		Args: []string{"-c", "{ " + script + "; } > /alloc/data/out; sleep 1000"}, Volumes: []string{"../alloc/data/d:/h", "local/conf/mine:/f"},
		Mounts: []config.Mount{{Type: "bind", Source: "local/conf", Target: "/m"}},
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Destroy(context.Background(), &driver.DestroyRequest{TaskID: task.ID, Force: true}) })
	if left := mountsBelow(t, r.dir); len(left) != 4 {
		t.Errorf("mounts: %v", left)
	}
	const want = "/alloc/logs:\n\n/h:\nmine\n\n/m:\nmine\nmine\nmine\nmine\n"
	var got []byte
	r.until("the task has looked", func() bool {
		got, _ = os.ReadFile(filepath.Join(task.SharedDir(), "data", "out"))
		return len(got) >= len(want)
	})
	if string(got) != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
	if err := d.Destroy(t.Context(), &driver.DestroyRequest{TaskID: task.ID, Force: true}); err != nil {
		t.Fatal(err)
	}
	if left := mountsBelow(t, r.dir); len(left) > 0 {
		t.Errorf("mounts are left: %v", left)
	}
	if left, err := os.ReadDir(filepath.Join(r.dir, privateRoot)); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	if _, err := os.Stat(filepath.Join(data+".old", "mine")); err != nil {
		t.Errorf("the task's own file is gone: %v", err)
	}
	unharmed(t, file)
}

// A directory that is a link already when the task starts.
func TestReplacedDirectories(t *testing.T) {
	r := newRig(t, nil).launch()
	for _, name := range []string{"local", "secrets", "logs"} {
		t.Run(name, func(t *testing.T) {
			task := r.task("true", nil)
			dir := filepath.Join(task.TaskDir(), name)
			if name == "logs" {
				dir = filepath.Join(task.SharedDir(), name)
			}
			if err := os.Rename(dir, dir+".old"); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink("/etc", dir); err != nil {
				t.Fatal(err)
			}
			if err := r.refused(task); !strings.Contains(err.Error(), dir) {
				t.Errorf("got %v", err)
			}
			if err := os.Remove(dir); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(dir+".old", dir); err != nil {
				t.Fatal(err)
			}
		})
	}
	if left := mountsBelow(t, r.dir); len(left) > 0 {
		t.Errorf("mounts are left: %v", left)
	}
}

func TestPin(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount")
	}
	dir := t.TempDir()
	area := filepath.Join(dir, "area")
	for _, path := range []string{"area/sub", "outside"} {
		if err := os.MkdirAll(filepath.Join(dir, path), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{"inner": "sub", "outer": "../outside", "absolute": area, "up": ".."} {
		if err := os.Symlink(target, filepath.Join(area, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(area, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	task := &driver.TaskConfig{Name: "web", AllocID: "a1", AllocDir: filepath.Join(dir, "a1")}
	distant, err := engineSees("tcp://10.0.0.1:2376")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := engineSees("unix:///absent"); err == nil {
		t.Error("a socket that nobody listens at")
	}
	for name, sees := range map[string]func(string, os.FileInfo) bool{
		"engine out of reach": distant,
		"engine at hand":      func(string, os.FileInfo) bool { return true },
	} {
		t.Run(name, func(t *testing.T) {
			p, err := newPrivate(task, sees)
			if err != nil {
				t.Fatal(err)
			}
			for rel, want := range map[string]error{
				".": nil, "sub": nil, "inner": nil, "fifo": nil, "outer": errLeaves, "absolute": errLeaves, "up": errLeaves, "up/outside": errLeaves,
				"sub/../..": errLeaves, "absent": fs.ErrNotExist,
			} {
				got, err := p.pin(area, rel, false)
				if !errors.Is(err, want) || want != nil && err == nil {
					t.Errorf("%s: got %q, %v; want %v", rel, got, err, want)
					continue
				}
				if want != nil {
					continue
				}
				a, errA := os.Stat(got)
				b, errB := os.Stat(filepath.Join(area, rel))
				if err := errors.Join(errA, errB); err != nil || !os.SameFile(a, b) {
					t.Errorf("%s: %s is another file, %v", rel, got, err)
				}
			}
			if got, err := p.pin(area, "made/deep-"+strings.ReplaceAll(name, " ", "-"), true); err != nil {
				t.Errorf("made: %q, %v", got, err)
			}
			if err := clearPrivate(p.dir); err != nil {
				t.Error(err)
			}
			if left := mountsBelow(t, dir); len(left) > 0 {
				t.Errorf("mounts are left: %v", left)
			}
			if _, err := os.Stat(filepath.Join(area, "sub")); err != nil {
				t.Error(err)
			}
		})
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(area, link); err != nil {
		t.Fatal(err)
	}
	if f, err := openBelow(link, "sub"); err == nil {
		t.Errorf("an area that is a link was opened: %v", f.Close())
	}
}

// A start that is given up while the engine makes the container leaves none.
func TestStartGivenUp(t *testing.T) {
	for name, test := range map[string]struct {
		answer func(ctx context.Context, r *rig, d *Driver, id string, giveUp func(), made client.ContainerCreateResult) (client.ContainerCreateResult, error)
	}{
		"the engine answers afterwards": {func(_ context.Context, _ *rig, _ *Driver, _ string, giveUp func(), made client.ContainerCreateResult) (client.ContainerCreateResult, error) {
			giveUp()
			return made, nil
		}},
		"the answer is lost": {func(context.Context, *rig, *Driver, string, func(), client.ContainerCreateResult) (client.ContainerCreateResult, error) {
			return client.ContainerCreateResult{}, context.DeadlineExceeded
		}},
		"the task is destroyed": {func(ctx context.Context, r *rig, d *Driver, id string, _ func(), _ client.ContainerCreateResult) (client.ContainerCreateResult, error) {
			go func() { _ = d.Destroy(context.WithoutCancel(ctx), &driver.DestroyRequest{TaskID: id, Force: true}) }()
			<-ctx.Done()
			return client.ContainerCreateResult{}, ctx.Err()
		}},
		"the task is stopped": {func(ctx context.Context, r *rig, d *Driver, id string, _ func(), made client.ContainerCreateResult) (client.ContainerCreateResult, error) {
			go func() { _ = d.Stop(context.WithoutCancel(ctx), &driver.StopRequest{TaskID: id}) }()
			<-ctx.Done()
			return made, nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil).launch()
			task := r.plainTask(map[string]any{"image": busybox})
			ctx, giveUp := context.WithCancel(t.Context())
			defer giveUp()
			made := 0
			d := r.inside(func(d *Driver, real engine, call context.Context, o client.ContainerCreateOptions) (client.ContainerCreateResult, error) {
				result, err := real.ContainerCreate(call, o)
				if err != nil {
					return result, err
				}
				made++
				return test.answer(call, r, d, task.ID, giveUp, result)
			})
			d.times.createGrace = 0
			if _, err := d.Start(ctx, request(task, config.Task{Args: []string{"-c", "sleep 1000"}})); err == nil {
				t.Error("the task was started")
			}
			if left := r.containers(); made != 1 || len(left) > 0 {
				t.Errorf("%d were made, left: %v", made, left)
			}
			if left, err := os.ReadDir(filepath.Join(r.dir, privateRoot)); err != nil || len(left) > 0 {
				t.Errorf("left: %v, %v", left, err)
			}
			if _, err := d.task(task.ID); !errors.Is(err, driver.ErrTaskNotFound) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestScoreBelowTheEngines(t *testing.T) {
	cause := driver.Recoverable(errors.New("runc create failed: can't get final child's PID from pipe: EOF"))
	err := explainScore(cause, -500)
	if !strings.Contains(err.Error(), "oom_score_adj = -500") || !strings.Contains(err.Error(), "CAP_SYS_RESOURCE") || errors.Is(err, cause) {
		t.Errorf("got %v", err)
	}
	for score, cause := range map[int]error{0: cause, -1: errors.New("no such image")} {
		if got := explainScore(cause, score); !errors.Is(got, cause) {
			t.Errorf("%d: got %v", score, got)
		}
	}
}

// What a plugin left that was killed during a start goes, with its mounts; what a container uses stays.
func TestStalePrivateDirectories(t *testing.T) {
	r := newRig(t, map[string]any{"gc": []any{map[string]any{"dangling_containers": []any{map[string]any{"period": "100ms", "creation_grace": "1m"}}}}}).launch()
	running, gone := r.task("sleep 1000", nil), r.task("true", nil)
	r.start(running)
	used := mountsBelow(t, privateDir(running))
	p, err := newPrivate(gone, func(string, os.FileInfo) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.pin(gone.SharedDir(), "data", true); err != nil {
		t.Fatal(err)
	}
	r.until("the leftover is gone", func() bool {
		_, err := os.Stat(p.dir)
		return errors.Is(err, fs.ErrNotExist)
	})
	if left := mountsBelow(t, filepath.Join(r.dir, privateRoot)); len(left) != 1 || !slices.Equal(left, used) {
		t.Errorf("mounts: %v, want %v", left, used)
	}
	if _, err := os.Stat(filepath.Join(gone.SharedDir(), "data")); err != nil {
		t.Error(err)
	}
}

func TestSeccompProfiles(t *testing.T) {
	dir, opened, outside := t.TempDir(), t.TempDir(), t.TempDir()
	for path, content := range map[string]string{
		dir + "/ok": "{}", opened + "/ok": "{}", outside + "/there": "{}", dir + "/large": strings.Repeat(" ", mostProfile+1),
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{dir + "/link": outside + "/there", opened + "/link": outside + "/there", dir + "/zero": "/dev/zero", dir + "/inner": "ok"} {
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(dir+"/fifo", 0o600); err != nil {
		t.Fatal(err)
	}
	p := profiles{taskDir: dir, dirs: []string{opened}}
	for path, want := range map[string]string{
		"ok": "", "inner": "", opened + "/ok": "", "fifo": "not a plain file", "large": "more than 1048576 bytes", "link": "escapes", "zero": "escapes",
		"../x": "escapes", opened + "/link": "escapes", opened + "/../x": "neither in", "/dev/zero": "neither in", ".": "not a plain file",
	} {
		got, err := p.read(path)
		if want == "" && (err != nil || string(got) != "{}") || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %.20q, %v; want %q", path, got, err, want)
		}
	}
	_, there := p.read(outside + "/there")
	_, absent := p.read(outside + "/absent")
	if got, want := there.Error(), strings.ReplaceAll(absent.Error(), "absent", "there"); got != want {
		t.Errorf("the error tells what exists: %q, %q", got, want)
	}
}

// Namespaces of other allocations' containers are closed; of nobody's they are the operator's to open.
func TestJoinedNetwork(t *testing.T) {
	mine, other := newRig(t, nil), newRig(t, map[string]any{"allow_container_network": true})
	other.nodeID += "-other"
	mine.launch()
	other.launch()
	first, theirs := mine.task("sleep 1000", nil), other.task("sleep 1000", nil)
	mine.start(first)
	other.start(theirs)
	made, err := mine.daemon.client.ContainerCreate(t.Context(), client.ContainerCreateOptions{
		Name: "nobodys", Config: &container.Config{Image: busybox, Cmd: []string{"sleep", "1000"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = removeContainer(context.Background(), mine.daemon.client, made.ID) })
	if _, err := mine.daemon.client.ContainerStart(t.Context(), made.ID, client.ContainerStartOptions{}); err != nil {
		t.Fatal(err)
	}
	join := func(r *rig, name string) *driver.TaskConfig {
		return r.task("true", map[string]any{"network_mode": "container:" + name})
	}
	joined := join(mine, spec.Name(first))
	mine.start(joined)
	mine.wait(joined)
	if err := mine.refused(join(mine, spec.Name(theirs))); !strings.Contains(err.Error(), "belongs to another allocation") {
		t.Errorf("got %v", err)
	}
	if err := mine.refused(join(mine, "nobodys")); !strings.Contains(err.Error(), "allow_container_network") {
		t.Errorf("got %v", err)
	}
	if err := other.refused(join(other, spec.Name(first))); !strings.Contains(err.Error(), "belongs to another allocation") {
		t.Errorf("got %v", err)
	}
	allowed := join(other, "nobodys")
	other.start(allowed)
	other.wait(allowed)
}

func TestClosedPolicies(t *testing.T) {
	r := newRig(t, map[string]any{"allow_devices": []any{}, "allow_security_opt": []any{"no-new-privileges"}, "pids_limit": 50}).launch()
	for want, more := range map[string]map[string]any{
		"allow_devices":      {"devices": []any{map[string]any{"host_path": "/dev/null"}}},
		"allow_security_opt": {"security_opt": []any{"seccomp=unconfined"}},
		"pids_limit -1":      {"pids_limit": -1},
	} {
		if err := r.refused(r.task("true", more)); !strings.Contains(err.Error(), want) {
			t.Errorf("got %v\nwant %s", err, want)
		}
	}
}
