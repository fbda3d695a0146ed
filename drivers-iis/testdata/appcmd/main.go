// Command appcmd stands in for IIS' appcmd.exe in tests: it keeps sites and application pools in a file beside itself and
// answers as Microsoft documents it (the transcripts in drivers-iis/appcmd/testdata cite the pages). It rejects every
// argument that those pages do not know. Its worker processes serve files over HTTP.
package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/droverhq/drover/drivers-iis/appcmd"
)

// serviceVerb has this program be the service W3SVC, which the driver looks for.
const serviceVerb = "w3svc"

func main() {
	self, err := os.Executable()
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	dir := filepath.Dir(self)
	if len(os.Args) == 3 && os.Args[1] == workerVerb {
		work(dir, os.Args[2])
		return
	}
	if len(os.Args) == 2 && os.Args[1] == serviceVerb {
		serve()
		return
	}
	os.Exit(run(dir, self, os.Args[1:]))
}

// failure is an error as appcmd shows it.
type failure string

func (f failure) Error() string { return string(f) }

func run(dir, self string, args []string) int {
	c, err := parse(args)
	if err == nil {
		err = locked(dir, func(s *state) error { return c.execute(s, self) })
	}
	if err != nil {
		fmt.Printf("ERROR ( message:%s )\r\n", err)
		return 1
	}
	for _, line := range c.out {
		fmt.Printf("%s\r\n", line)
	}
	return c.code
}

// command is one command line.
type command struct {
	verb, object string
	id           string
	params       map[string]string
	xml, config  bool
	in           bool
	out          []string
	code         int
}

// known are the parameters of each command that the pages show and the driver uses.
var known = map[string]string{
	"list site": "/config /xml", "list apppool": "/config /xml", "list wp": "/xml apppool.name",
	"add site": "/in", "add apppool": "/in",
	"add app":  "site.name path physicalPath",
	"add vdir": "app.name path physicalPath",
	"set site": "site.name serverAutoStart", "set apppool": "apppool.name autoStart",
	"set app":    "app.name applicationPool preloadEnabled serviceAutoStartEnabled serviceAutoStartProvider",
	"start site": "site.name", "stop site": "site.name", "delete site": "site.name",
	"start apppool": "apppool.name", "stop apppool": "apppool.name", "recycle apppool": "apppool.name", "delete apppool": "apppool.name",
	"delete app": "app.name",
	"set config": "section commit + -",
}

func parse(args []string) (*command, error) {
	if len(args) < 2 {
		return nil, failure("Must specify the command and the object.")
	}
	c := &command{verb: strings.ToLower(args[0]), object: strings.ToLower(args[1]), params: map[string]string{}}
	allowed, ok := known[c.verb+" "+c.object]
	if !ok {
		return nil, failure(fmt.Sprintf("Command \"%s\" is not supported by object \"%s\".", c.verb, c.object))
	}
	may := func(name string) bool {
		for _, a := range strings.Fields(allowed) {
			if strings.EqualFold(a, name) {
				return true
			}
		}
		return false
	}
	for _, arg := range args[2:] {
		switch name, value, has := strings.Cut(arg, ":"); {
		case arg == "/xml" && may("/xml"):
			c.xml = true
		case arg == "/config" && may("/config"):
			c.config = true
		case arg == "/in" && may("/in"):
			c.in = true
		case (strings.HasPrefix(arg, "/+[") || strings.HasPrefix(arg, "/-[")) && may(arg[1:2]):
			c.params[arg[1:2]] = arg[2:]
		case has && strings.HasPrefix(name, "/") && may(name[1:]):
			if strings.HasSuffix(strings.ToLower(name), c.object+".name") {
				c.id = value
			} else {
				c.params[strings.ToLower(name[1:])] = value
			}
		default:
			return nil, failure(fmt.Sprintf("Parameter \"%s\" is not supported by command \"%s %s\".", arg, c.verb, c.object))
		}
	}
	return c, nil
}

func (c *command) say(format string, args ...any) {
	c.out = append(c.out, fmt.Sprintf(format, args...))
}

func (c *command) missing(kind string) error {
	return failure(fmt.Sprintf("Cannot find %s object with identifier \"%s\".", kind, c.id))
}

func (c *command) execute(s *state, self string) error {
	switch c.verb + " " + c.object {
	case "list site", "list apppool", "list wp":
		return c.list(s)
	case "add site", "add apppool":
		return c.addPiped(s, self)
	case "add app", "set app", "delete app", "add vdir":
		return c.app(s, self)
	case "set config":
		if c.params["section"] != "system.applicationHost/serviceAutoStartProviders" || c.params["commit"] != "apphost" {
			return failure("Unknown config section.")
		}
		c.say(`Applied configuration changes to section "%s"`, c.params["section"])
		return nil
	}
	if c.object == "site" {
		return c.site(s, self)
	}
	return c.pool(s, self)
}

func (c *command) list(s *state) error {
	if !c.xml {
		return failure("This stand-in lists with /xml only.")
	}
	root := appcmd.New("appcmd")
	switch c.object {
	case "site":
		for i, site := range s.Sites {
			e := root.Add(appcmd.New("SITE", "SITE.NAME", site.name(), "SITE.ID", fmt.Sprint(i+1), "bindings", site.bindings(), "state", site.State))
			if c.config {
				e.Add(site.Config)
			}
		}
	case "apppool":
		for _, pool := range s.Pools {
			e := root.Add(appcmd.New("APPPOOL", "APPPOOL.NAME", pool.name(), "PipelineMode", "Integrated", "RuntimeVersion", "v4.0", "state", pool.State))
			if c.config {
				e.Add(pool.Config)
			}
		}
	case "wp":
		for _, w := range s.live() {
			if want, filtered := c.params["apppool.name"]; !filtered || want == w.Pool {
				root.Add(appcmd.New("WP", "WP.NAME", fmt.Sprint(w.PID), "APPPOOL.NAME", w.Pool))
			}
		}
	}
	if len(root.Children) == 0 {
		c.code = 1
	}
	text, err := root.Encode()
	c.say(`<?xml version="1.0" encoding="UTF-8"?>`)
	c.say("%s", text)
	return err
}

// addPiped makes what an earlier list, or the driver, wrote as XML.
func (c *command) addPiped(s *state, self string) error {
	if !c.in {
		return failure("This stand-in adds sites and pools with /in only.")
	}
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	root, err := appcmd.Parse(text)
	if err != nil || root.Name != "appcmd" {
		return failure("The input is not in the XML format of appcmd.")
	}
	kind, inner := "SITE", "site"
	if c.object == "apppool" {
		kind, inner = "APPPOOL", "add"
	}
	for _, item := range root.All(kind) {
		config := item.Find(inner)
		if config == nil || config.Get("name") == "" || config.Get("name") != item.Get(kind+".NAME") {
			return failure("Must specify the name property for the " + kind + " object.")
		}
		c.id = config.Get("name")
		if s.site(c.id) != nil && kind == "SITE" || s.pool(c.id) != nil && kind == "APPPOOL" {
			return failure(fmt.Sprintf("Failed to add duplicate collection element \"%s\".", c.id))
		}
		if kind == "SITE" {
			s.Sites = append(s.Sites, &site{Config: config, State: initialState(config.Get("serverAutoStart"))})
		} else {
			if len(c.id) > 64 {
				return failure("The application pool's name is longer than 64 characters.")
			}
			s.Pools = append(s.Pools, &pool{Config: config, State: initialState(config.Get("autoStart"))})
		}
		c.say(`%s object "%s" added`, kind, c.id)
	}
	return s.employ(self)
}

func initialState(autoStart string) string {
	if strings.EqualFold(autoStart, "false") {
		return stopped
	}
	return appcmd.Started
}
