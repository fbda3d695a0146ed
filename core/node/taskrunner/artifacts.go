package taskrunner

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/user"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/node/allocdir"
	"github.com/droverhq/drover/core/node/event"
	"github.com/droverhq/drover/core/node/taskenv"
	"github.com/droverhq/drover/core/node/taskfiles"
	"github.com/droverhq/drover/core/node/taskfiles/protocol"
	"github.com/droverhq/drover/core/node/template"
	"github.com/droverhq/drover/sdk/driver"
)

// tellProgress is how often a long download is an event of the task.
const tellProgress = 15 * time.Second

// fetchArtifacts fetches what the task's artifact blocks name, in their order. What was fetched once is not fetched again.
func (r *Runner) fetchArtifacts(ctx context.Context, task *model.Task, caps driver.Capabilities, env *taskenv.Env) error {
	r.mu.Lock()
	have := min(r.stored.Artifacts, len(task.Artifacts))
	r.mu.Unlock()
	if have == len(task.Artifacts) {
		return nil
	}
	if r.cfg.Fetcher == nil {
		return &stepError{errInvalid, errors.New("artifacts are not fetched here"), false}
	}
	r.Emit(event.New(model.EventDownloading, r.cfg.Now(), "Client is downloading artifacts"))
	for i, a := range task.Artifacts[have:] {
		if err := r.fetchArtifact(ctx, task, a, caps, env); err != nil {
			lasting := errors.Is(err, taskfiles.ErrPermanent)
			err = fmt.Errorf("artifact %s: %w", shown(env.Replace(a.GetterSource)), err)
			return &stepError{errFetch, err, !lasting}
		}
		r.mu.Lock()
		r.stored.Artifacts = have + i + 1
		r.mu.Unlock()
	}
	return nil
}

// fetchArtifact fetches one artifact into a directory beside its destination and moves it there.
func (r *Runner) fetchArtifact(ctx context.Context, task *model.Task, a *model.Artifact, caps driver.Capabilities, env *taskenv.Env) error {
	q, dest, err := r.fetchRequest(task, a, caps, env)
	if err != nil {
		return taskfiles.Permanent(err.Error())
	}
	owner := taskfiles.Owner{UID: os.Geteuid(), GID: os.Getegid()}
	if a.Chown {
		if owner, err = ownerOf(env.Replace(task.User)); err != nil {
			return taskfiles.Permanent(err.Error())
		}
	}
	root, err := dest.Open()
	if err != nil {
		return taskfiles.Permanent(fmt.Sprintf("destination: %v", err))
	}
	defer root.Close()
	if q.Dir, err = os.MkdirTemp(dest.Root, ".fetch-"); err != nil {
		return err
	}
	defer os.RemoveAll(q.Dir)
	last := r.cfg.Now()
	err = r.cfg.Fetcher.Fetch(ctx, q, func(bytes, total int64) {
		if now := r.cfg.Now(); now.Sub(last) >= tellProgress {
			last = now
			r.Emit(event.New(model.EventDownloading, now, progressText(shown(q.Source), bytes, total)))
		}
	})
	if err != nil {
		return err
	}
	return taskfiles.Install(root, filepath.Base(q.Dir), dest.Rel, q.Mode == "file", owner, q.Limits)
}

func progressText(source string, bytes, total int64) string {
	if total > 0 {
		return fmt.Sprintf("Downloading %s: %d of %d MB (%d %%)", source, bytes/megabyte, total/megabyte, bytes*100/total)
	}
	return fmt.Sprintf("Downloading %s: %d MB", source, bytes/megabyte)
}

// fetchRequest replaces ${...} and finds the destination.
func (r *Runner) fetchRequest(task *model.Task, a *model.Artifact, caps driver.Capabilities, env *taskenv.Env) (*protocol.Fetch, template.Place, error) {
	q := &protocol.Fetch{Source: env.Replace(a.GetterSource), Mode: a.GetterMode, Insecure: a.GetterInsecure, Limits: r.cfg.FetchLimits, Headers: map[string]string{}}
	base := path.Base(strings.SplitN(q.Source, "?", 2)[0])
	options := url.Values{}
	for k, v := range a.GetterOptions {
		options.Set(env.Replace(k), env.Replace(v))
	}
	if len(options) > 0 {
		join := "?"
		if strings.Contains(q.Source, "?") {
			join = "&"
		}
		q.Source += join + options.Encode()
	}
	for k, v := range a.GetterHeaders {
		q.Headers[env.Replace(k)] = env.Replace(v)
	}
	file := env.Replace(a.RelativeDest)
	if file == "" {
		file = allocdir.LocalName
		if a.GetterMode == "file" {
			file = path.Join(file, base)
		}
	}
	dest, err := r.place(task.Name, caps.FSIsolation, file)
	if err == nil && a.GetterMode == "file" && dest.Rel == "." {
		err = fmt.Errorf("destination %q is a directory and the mode is file", file)
	}
	return q, dest, err
}

// shown is a source without what may be secret: credentials and options.
func shown(source string) string {
	source, _, _ = strings.Cut(source, "?")
	scheme, rest, ok := strings.Cut(source, "://")
	if !ok {
		return source
	}
	host, file, _ := strings.Cut(rest, "/")
	if i := strings.LastIndexByte(host, '@'); i >= 0 {
		host = host[i+1:]
	}
	return scheme + "://" + host + "/" + file
}

// nobodyUser is who tasks run as when they name no user.
const nobodyUser = "nobody"

// ownerOf finds the user that chown gives an artifact to.
func ownerOf(name string) (taskfiles.Owner, error) {
	if name == "" {
		name = nobodyUser
	}
	u, err := user.Lookup(name)
	if err != nil {
		if uid, nerr := strconv.Atoi(name); nerr == nil && uid >= 0 {
			return taskfiles.Owner{UID: uid, GID: uid}, nil
		}
		return taskfiles.Owner{}, fmt.Errorf("chown: this node has no user %q", name)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return taskfiles.Owner{}, fmt.Errorf("chown: user %q has no number here", name)
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return taskfiles.Owner{}, fmt.Errorf("chown: the group of user %q has no number here", name)
	}
	return taskfiles.Owner{UID: uid, GID: gid}, nil
}
