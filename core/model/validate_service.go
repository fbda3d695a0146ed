package model

import (
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Providers of service discovery.
const (
	ProviderConsul  = "consul"
	ProviderCatalog = "nomad" // the built-in catalog, under the name job files know
)

// serviceName is RFC 1123's host label.
var serviceName = regexp.MustCompile(`^(?i:[a-z0-9]|[a-z0-9][a-z0-9\-]{0,61}[a-z0-9])$`)

// reference finds what is interpolated later.
var reference = regexp.MustCompile(`\$\{[^}]*\}`)

func (c *checker) checkServices(w where, g *TaskGroup) {
	labels := map[string]bool{}
	for _, n := range g.Networks {
		for _, p := range slices.Concat(n.ReservedPorts, n.DynamicPorts) {
			labels[p.Label] = true
		}
	}
	for _, t := range g.Tasks {
		if t.Resources == nil {
			continue
		}
		for _, n := range t.Resources.Networks {
			for _, p := range slices.Concat(n.ReservedPorts, n.DynamicPorts) {
				labels[p.Label] = true
			}
		}
	}
	s := &services{checker: c, group: g, labels: labels, seen: map[string]bool{}}
	for _, svc := range g.Services {
		s.check(w.in("service", svc.Name), svc, nil)
	}
	for _, t := range g.Tasks {
		for _, svc := range t.Services {
			s.check(w.in("task", t.Name).in("service", svc.Name), svc, t)
		}
		if len(t.Services) > 0 && t.ShutdownDelay == 0 && g.ShutdownDelay == 0 {
			c.warn(w.in("task", t.Name), "without shutdown_delay, clients may still be sent to the services while the task is killed")
		}
	}
	if len(g.Services) > 0 && g.ShutdownDelay == 0 {
		c.warn(w, "without shutdown_delay, clients may still be sent to the services while tasks are killed")
	}
}

// services checks the services of one group, on the group and on its tasks.
type services struct {
	*checker
	group    *TaskGroup
	labels   map[string]bool // ports
	seen     map[string]bool // owner, name and port
	provider string
}

// check looks at one service; t is its task, nil for a service of the group.
func (s *services) check(w where, svc *Service, t *Task) {
	owner := ""
	if t != nil {
		owner = t.Name
	}
	if key := svc.Name + "\x00" + owner + "\x00" + svc.PortLabel; s.seen[key] {
		s.fail(w, "there is another service of that name and port")
	} else {
		s.seen[key] = true
	}
	if name := reference.ReplaceAllString(svc.Name, "x"); !serviceName.MatchString(name) {
		s.fail(w, "the name must have at most 63 letters, digits and dashes and begin and end with a letter or digit")
	}
	s.oneOf(w, "provider", svc.Provider, ProviderConsul, ProviderCatalog)
	if s.provider == "" {
		s.provider = svc.Provider
	} else if s.provider != svc.Provider {
		s.fail(w, "provider %q differs from %q of another service in the group; all must be the same", svc.Provider, s.provider)
	}
	s.checkAddress(w, svc, t)
	s.oneOf(w, "on_update", svc.OnUpdate, "require_healthy", "ignore_warnings", "ignore")
	if svc.OnUpdate == "ignore_warnings" && svc.Provider != ProviderConsul {
		s.fail(w, "on_update \"ignore_warnings\" needs provider \"consul\"")
	}
	s.checkOwner(w, svc, t)
	s.checkConnect(w, svc, t)
	if svc.Identity != nil && len(svc.Identity.Audience) == 0 {
		s.fail(w.in("identity"), "aud must name at least one audience")
	}
	s.oneOf(w, "kind", svc.Kind, "", "api-gateway", "ingress-gateway", "mesh-gateway", "terminating-gateway")
	names := map[string]bool{}
	for _, ch := range svc.Checks {
		cw := w.in("check", ch.Name)
		if names[ch.Name] {
			s.fail(cw, "there is another check of that name")
		}
		names[ch.Name] = true
		s.checkCheck(cw, svc, ch, t)
	}
}

func (s *services) checkAddress(w where, svc *Service, t *Task) {
	s.oneOf(w, "address_mode", svc.AddressMode, "auto", "host", "driver", "alloc", "alloc_ipv6")
	switch {
	case svc.AddressMode == "driver" && t == nil:
		s.fail(w, "address_mode \"driver\" is for services of tasks")
	case svc.AddressMode == "alloc_ipv6" && t != nil:
		s.fail(w, "address_mode \"alloc_ipv6\" is for services of groups")
	}
	if svc.Address != "" && svc.AddressMode != "auto" {
		s.fail(w, "address needs address_mode \"auto\", got %q", svc.AddressMode)
	}
	s.checkPortLabel(w, svc.PortLabel, svc.AddressMode, len(svc.Connect) > 0)
}

func (s *services) checkPortLabel(w where, port, mode string, connect bool) {
	if port == "" || s.labels[port] || strings.Contains(port, "${") {
		return
	}
	n, err := strconv.Atoi(port)
	switch {
	case err != nil && mode == "driver":
		// a port that the driver knows
	case err != nil:
		s.fail(w, "port %q is no label of a port in the group", port)
	case n < 1 || n > 65535:
		s.fail(w, "port must be within 1..65535, got %d", n)
	case mode != "driver" && mode != "alloc" && mode != "alloc_ipv6" && !connect:
		s.fail(w, "port %d is a number, which needs address_mode \"driver\" or \"alloc\"; otherwise it must be a label of a port", n)
	}
}

func (s *services) checkOwner(w where, svc *Service, t *Task) {
	switch {
	case t != nil && svc.TaskName != "" && svc.TaskName != t.Name:
		s.fail(w, "task must be the task %q it stands in, got %q", t.Name, svc.TaskName)
	case t == nil && svc.TaskName != "" && s.group.Task(svc.TaskName) == nil:
		s.fail(w, "task %q is not in the group", svc.TaskName)
	}
}

func (s *services) checkCheck(w where, svc *Service, ch *ServiceCheck, t *Task) {
	consul := svc.Provider == ProviderConsul
	s.oneOf(w, "type", ch.Type, "http", "tcp", "grpc", "script")
	if ch.Interval < time.Second {
		s.fail(w, "interval must be at least 1s, got %v", ch.Interval)
	}
	if ch.Timeout < time.Second {
		s.fail(w, "timeout must be at least 1s, got %v", ch.Timeout)
	}
	s.checkHTTP(w, ch, consul)
	s.checkWhere(w, svc, ch, t, consul)
	s.oneOf(w, "initial_status", ch.InitialStatus, "", "passing", "warning", "critical")
	if consul && len([]rune(ch.Notes)) > 255 {
		s.fail(w, "notes must be at most 255 characters, got %d", len([]rune(ch.Notes)))
	}
	s.oneOf(w, "on_update", ch.OnUpdate, "require_healthy", "ignore_warnings", "ignore")
	atLeast(s.checker, w, "success_before_passing", ch.SuccessBeforePassing, 0)
	atLeast(s.checker, w, "failures_before_critical", ch.FailuresBeforeCritical, 0)
	atLeast(s.checker, w, "failures_before_warning", ch.FailuresBeforeWarning, 0)
	if consul && ch.Type == "script" && ch.SuccessBeforePassing+ch.FailuresBeforeCritical+ch.FailuresBeforeWarning > 0 {
		s.fail(w, "success_before_passing and failures_before_* work for http, tcp and grpc checks of provider \"consul\" only")
	}
	s.checkCheckRestart(w, ch, consul)
}

func (s *services) checkHTTP(w where, ch *ServiceCheck, consul bool) {
	switch ch.Type {
	case "http":
		u, err := url.Parse(ch.Path)
		switch {
		case ch.Path == "":
			s.fail(w, "path is missing")
		case err != nil || u.IsAbs() || u.Host != "":
			s.fail(w, "path must be the path of a URL such as /health, got %q", ch.Path)
		}
		s.oneOf(w, "protocol", ch.Protocol, "http", "https")
		if !consul {
			s.oneOf(w, "method", strings.ToUpper(ch.Method), "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT")
		}
	case "script":
		if ch.Command == "" {
			s.fail(w, "command is missing")
		}
	}
}

// checkWhere checks the address that is checked: port, address mode and task.
func (s *services) checkWhere(w where, svc *Service, ch *ServiceCheck, t *Task, consul bool) {
	s.oneOf(w, "address_mode", ch.AddressMode, "host", "driver", "alloc", "alloc_ipv6")
	if ch.AddressMode == "driver" && (t == nil || !consul) {
		s.fail(w, "address_mode \"driver\" is for services of tasks with provider \"consul\"")
	}
	if ch.AddressMode == "alloc_ipv6" && t != nil {
		s.fail(w, "address_mode \"alloc_ipv6\" is for services of groups")
	}
	if ch.Type == "script" {
		if t == nil && ch.TaskName == "" && svc.TaskName == "" {
			s.fail(w, "task is missing: in which task should the script run?")
		}
	} else if ch.PortLabel == "" && svc.PortLabel == "" && !ch.Expose {
		s.fail(w, "port is missing, on the check and on the service")
	}
	s.checkPortLabel(w, ch.PortLabel, ch.AddressMode, false)
	if ch.TaskName != "" && s.group.Task(ch.TaskName) == nil {
		s.fail(w, "task %q is not in the group", ch.TaskName)
	}
}

func (s *services) checkCheckRestart(w where, ch *ServiceCheck, consul bool) {
	r := ch.CheckRestart
	if ch.OnUpdate == "ignore_warnings" && r != nil && !r.IgnoreWarnings {
		s.fail(w, "on_update \"ignore_warnings\" needs check_restart with ignore_warnings = true")
	}
	if r == nil {
		return
	}
	w = w.in("check_restart")
	atLeast(s.checker, w, "limit", r.Limit, 0)
	atLeast(s.checker, w, "grace", r.Grace, 0)
	if ch.OnUpdate == "ignore" {
		s.fail(w, "a check with on_update \"ignore\" restarts nothing")
	}
	if r.IgnoreWarnings && !consul {
		s.fail(w, "ignore_warnings needs provider \"consul\"")
	}
}

// checkConnect checks what can be said of a mesh service without its provider.
func (s *services) checkConnect(w where, svc *Service, t *Task) {
	if len(svc.Connect) == 0 {
		return
	}
	w = w.in("connect")
	if t != nil {
		s.fail(w, "a service of a task has no connect block; move the service to the group")
	}
	if svc.Provider != ProviderConsul {
		s.fail(w, "connect needs provider \"consul\"")
	}
	kinds := 0
	for _, k := range []string{"SidecarService", "Gateway"} {
		if svc.Connect[k] != nil {
			kinds++
		}
	}
	native := svc.Connect["Native"] == true
	if native {
		kinds++
	}
	if kinds != 1 {
		s.fail(w, "exactly one of native, sidecar_service and gateway must be set, got %d", kinds)
	}
	if native && (svc.TaskName == "" || svc.PortLabel == "") {
		s.fail(w, "native needs the service's task and port")
	}
	if svc.Connect["SidecarService"] != nil {
		mode := ""
		if len(s.group.Networks) == 1 {
			mode = s.group.Networks[0].Mode
		}
		if mode != NetworkModeBridge && !strings.HasPrefix(mode, "cni/") {
			s.fail(w, "a sidecar needs exactly one network of mode \"bridge\" or \"cni/*\" in the group")
		}
	}
}
