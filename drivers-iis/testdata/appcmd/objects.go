package main

import (
	"fmt"
	"strings"

	"github.com/droverhq/drover/drivers-iis/appcmd"
)

func (c *command) site(s *state, self string) error {
	site := s.site(c.id)
	if site == nil {
		return c.missing("SITE")
	}
	switch c.verb {
	case "delete":
		s.dropSite(c.id)
		c.say(`SITE object "%s" deleted`, c.id)
	case "set":
		for name, value := range c.params {
			site.Config.Set(canonical(name), value)
		}
		c.say(`SITE object "%s" changed`, c.id)
	default:
		if err := c.turn(&site.State); err != nil {
			return err
		}
	}
	return s.employ(self)
}

func (c *command) pool(s *state, self string) error {
	pool := s.pool(c.id)
	if pool == nil {
		return c.missing("APPPOOL")
	}
	switch c.verb {
	case "delete":
		s.dropPool(c.id)
		c.say(`APPPOOL object "%s" deleted`, c.id)
	case "set":
		for name, value := range c.params {
			pool.Config.Set(canonical(name), value)
		}
		c.say(`APPPOOL object "%s" changed`, c.id)
	case "recycle":
		if pool.State != appcmd.Started {
			return failure("The object is not running.")
		}
		pool.Recycled++
		c.say(`"%s" successfully recycled`, c.id)
	default:
		if err := c.turn(&pool.State); err != nil {
			return err
		}
	}
	return s.employ(self)
}

// turn starts or stops; doing so twice is an error, as it is for services.
func (c *command) turn(now *string) error {
	switch {
	case c.verb == "start" && *now == appcmd.Started:
		return failure("An instance of the service is already running.")
	case c.verb == "stop" && *now == stopped:
		return failure("The service has not been started.")
	case c.verb == "start":
		*now = appcmd.Started
		c.say(`"%s" successfully started.`, c.id)
	default:
		*now = stopped
		c.say(`"%s" successfully stopped`, c.id)
	}
	return nil
}

// app serves applications and their virtual directories.
func (c *command) app(s *state, self string) error {
	name := c.id
	if c.verb == "add" {
		name = c.params["site.name"] + c.params["path"]
	}
	if c.object == "vdir" {
		name = c.params["app.name"]
	}
	siteName, path, _ := strings.Cut(name, "/")
	path = "/" + path
	site := s.site(siteName)
	if site == nil {
		c.id = siteName
		return c.missing("SITE")
	}
	app := site.app(path)
	switch {
	case c.object == "vdir" && app != nil:
		app.Add(appcmd.New("virtualDirectory", "path", c.params["path"], "physicalPath", c.params["physicalpath"]))
		c.say(`VDIR object "%s" added`, name+c.params["path"])
	case c.verb == "add" && app != nil:
		return failure(fmt.Sprintf("Failed to add duplicate collection element \"%s\".", path))
	case c.verb == "add":
		app = site.Config.Add(appcmd.New("application", "path", path))
		app.Add(appcmd.New("virtualDirectory", "path", "/", "physicalPath", c.params["physicalpath"]))
		c.say(`APP object "%s" added`, name)
		c.say(`VDIR object "%s" added`, name+"/")
	case app == nil:
		c.id = name
		return c.missing("APP")
	case c.verb == "set":
		for name, value := range c.params {
			app.Set(canonical(name), value)
		}
		c.say(`APP object "%s" changed`, name)
	case c.verb == "delete":
		site.dropApp(path)
		c.say(`APP object "%s" deleted`, name)
	}
	return s.employ(self)
}

// canonical is an attribute as IIS' schema spells it.
func canonical(name string) string {
	for _, n := range []string{"autoStart", "serverAutoStart", "applicationPool", "preloadEnabled", "serviceAutoStartEnabled", "serviceAutoStartProvider"} {
		if strings.EqualFold(n, name) {
			return n
		}
	}
	return name
}
