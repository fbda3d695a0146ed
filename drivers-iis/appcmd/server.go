// Package appcmd is the driver's one door to IIS: the command line tool appcmd.exe and the XML it speaks. Everything
// larger than a name goes in by standard input, never by the command line, where every user of the machine could read it.
//
// What the commands do and print is documented by Microsoft in "Getting Started with AppCmd.exe"
// (https://learn.microsoft.com/en-us/iis/get-started/getting-started-with-iis/getting-started-with-appcmdexe); the
// transcripts in testdata cite the page of each.
package appcmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// Runner runs appcmd.exe once.
type Runner interface {
	// Run returns what the command printed. A command that fails is an error that says what it printed.
	Run(ctx context.Context, stdin []byte, args ...string) ([]byte, error)
}

// Tool is appcmd.exe at a path.
type Tool string

// Run runs the command. Its arguments appear in errors, its input never.
func (t Tool) Run(ctx context.Context, stdin []byte, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, string(t), args...)
	cmd.Stdin = bytes.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if err == nil {
		return out.Bytes(), nil
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("appcmd %s: %w", strings.Join(args, " "), ctx.Err())
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return out.Bytes(), &Error{Args: args, Output: strings.TrimSpace(out.String() + errs.String()), Code: exit.ExitCode()}
	}
	return nil, fmt.Errorf("appcmd %s: %w", strings.Join(args, " "), err)
}

// Error is a command that failed.
type Error struct {
	Args   []string
	Output string
	Code   int
}

func (e *Error) Error() string {
	if e.Output == "" {
		return fmt.Sprintf("appcmd %s: exit code %d", strings.Join(e.Args, " "), e.Code)
	}
	return fmt.Sprintf("appcmd %s: %s", strings.Join(e.Args, " "), e.Output)
}

// Server is the IIS of this machine.
type Server struct{ Runner }

// Started is the state of a site or pool that runs.
const Started = "Started"

// Site is a site as appcmd lists it.
type Site struct {
	Name, State string
	Config      *Element // <site>
}

// Pool is an application pool as appcmd lists it.
type Pool struct {
	Name, State string
	Config      *Element // <add>
}

// AutoStart reports whether IIS starts the pool by itself; that is the default.
func (p Pool) AutoStart() bool { return !strings.EqualFold(p.Config.Get("autoStart"), "false") }

// AutoStart reports whether IIS starts the site by itself; that is the default.
func (s Site) AutoStart() bool { return !strings.EqualFold(s.Config.Get("serverAutoStart"), "false") }

// list runs a list command and returns the elements of one kind.
func (s Server) list(ctx context.Context, kind string, args ...string) ([]*Element, error) {
	out, err := s.Run(ctx, nil, append([]string{"list", strings.ToLower(kind)}, append(args, "/xml")...)...)
	var failed *Error
	if err != nil && !errors.As(err, &failed) {
		return nil, err
	}
	if failed != nil && failed.Output == "" {
		return nil, nil // a list without entries ends with exit code 1
	}
	root, parseErr := Parse(out)
	if parseErr != nil || failed != nil && root.Find("ERROR") != nil {
		return nil, errors.Join(err, parseErr)
	}
	return root.All(kind), nil
}

// Sites lists all sites with their configuration.
func (s Server) Sites(ctx context.Context) ([]Site, error) {
	all, err := s.list(ctx, "SITE", "/config")
	var sites []Site
	for _, e := range all {
		sites = append(sites, Site{Name: e.Get("SITE.NAME"), State: e.Get("state"), Config: e.Child("site")})
	}
	return sites, err
}

// Pools lists all application pools with their configuration.
func (s Server) Pools(ctx context.Context) ([]Pool, error) {
	all, err := s.list(ctx, "APPPOOL", "/config")
	var pools []Pool
	for _, e := range all {
		pools = append(pools, Pool{Name: e.Get("APPPOOL.NAME"), State: e.Get("state"), Config: e.Child("add")})
	}
	return pools, err
}

// Workers lists worker processes: pid, as text, to pool.
func (s Server) Workers(ctx context.Context) (map[string]string, error) {
	all, err := s.list(ctx, "WP")
	workers := map[string]string{}
	for _, e := range all {
		workers[e.Get("WP.NAME")] = e.Get("APPPOOL.NAME")
	}
	return workers, err
}

// AddPool makes an application pool; config is its <add> element.
func (s Server) AddPool(ctx context.Context, config *Element) error {
	item := New("APPPOOL", "APPPOOL.NAME", config.Get("name"))
	item.Add(config)
	return s.pipe(ctx, item, "add", "apppool", "/in")
}

// AddSite makes a site with its applications and bindings; config is its <site> element. IIS numbers it.
func (s Server) AddSite(ctx context.Context, config *Element) error {
	item := New("SITE", "SITE.NAME", config.Get("name"))
	item.Add(config)
	return s.pipe(ctx, item, "add", "site", "/in")
}

// pipe gives appcmd one object by standard input, in the form in which it lists objects.
func (s Server) pipe(ctx context.Context, item *Element, args ...string) error {
	root := New("appcmd")
	root.Add(item)
	text, err := root.Encode()
	if err != nil {
		return fmt.Errorf("appcmd %s: %w", strings.Join(args, " "), err)
	}
	_, err = s.Run(ctx, append([]byte(`<?xml version="1.0" encoding="UTF-8"?>`+"\r\n"), text...), args...)
	return err
}

// AddApp adds an application to a site that somebody else owns, in a pool of ours.
func (s Server) AddApp(ctx context.Context, site, path, physicalPath, pool string) error {
	if _, err := s.Run(ctx, nil, "add", "app", "/site.name:"+site, "/path:"+path, "/physicalPath:"+physicalPath); err != nil {
		return err
	}
	return s.SetApp(ctx, site+path, "applicationPool", pool)
}

// AddDirectory adds a virtual directory to an application.
func (s Server) AddDirectory(ctx context.Context, app, path, physicalPath string) error {
	_, err := s.Run(ctx, nil, "add", "vdir", "/app.name:"+app, "/path:"+path, "/physicalPath:"+physicalPath)
	return err
}

// SetApp sets a property of an application.
func (s Server) SetApp(ctx context.Context, app, property, value string) error {
	_, err := s.Run(ctx, nil, "set", "app", "/app.name:"+app, "/"+property+":"+value)
	return err
}

// SetPool sets a property of an application pool.
func (s Server) SetPool(ctx context.Context, pool, property, value string) error {
	_, err := s.Run(ctx, nil, "set", "apppool", "/apppool.name:"+pool, "/"+property+":"+value)
	return err
}

// SetSite sets a property of a site.
func (s Server) SetSite(ctx context.Context, site, property, value string) error {
	_, err := s.Run(ctx, nil, "set", "site", "/site.name:"+site, "/"+property+":"+value)
	return err
}

// StartSite, StopSite and DeleteSite do what they say to a site of that name.
func (s Server) StartSite(ctx context.Context, name string) error {
	return s.do(ctx, "start", "site", name)
}
func (s Server) StopSite(ctx context.Context, name string) error {
	return s.do(ctx, "stop", "site", name)
}
func (s Server) DeleteSite(ctx context.Context, name string) error {
	return s.do(ctx, "delete", "site", name)
}

// StartPool, StopPool, RecyclePool and DeletePool do what they say to an application pool of that name.
func (s Server) StartPool(ctx context.Context, name string) error {
	return s.do(ctx, "start", "apppool", name)
}
func (s Server) StopPool(ctx context.Context, name string) error {
	return s.do(ctx, "stop", "apppool", name)
}
func (s Server) RecyclePool(ctx context.Context, name string) error {
	return s.do(ctx, "recycle", "apppool", name)
}
func (s Server) DeletePool(ctx context.Context, name string) error {
	return s.do(ctx, "delete", "apppool", name)
}

// DeleteApp removes an application, named "site/path".
func (s Server) DeleteApp(ctx context.Context, name string) error {
	return s.do(ctx, "delete", "app", name)
}

func (s Server) do(ctx context.Context, verb, object, name string) error {
	_, err := s.Run(ctx, nil, verb, object, "/"+object+".name:"+name)
	return err
}

// AddProvider and RemoveProvider change the list of types that warm up applications. Neither text may have quotes.
func (s Server) AddProvider(ctx context.Context, name, typ string) error {
	return s.provider(ctx, fmt.Sprintf("/+[name='%s',type='%s']", name, typ))
}
func (s Server) RemoveProvider(ctx context.Context, name string) error {
	return s.provider(ctx, fmt.Sprintf("/-[name='%s']", name))
}

func (s Server) provider(ctx context.Context, change string) error {
	_, err := s.Run(ctx, nil, "set", "config", "/section:system.applicationHost/serviceAutoStartProviders", change, "/commit:apphost")
	return err
}
