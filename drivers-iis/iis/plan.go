package iis

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/droverhq/drover/drivers-iis/appcmd"
	"github.com/droverhq/drover/sdk/driver"
)

// Variables that name the account of a pool with identity SpecificUser. They are taken out of the environment: a task's
// template can fill them from a secret, so that no password is in the job.
const (
	userVariable     = "APPPOOL_USERNAME"
	passwordVariable = "APPPOOL_PASSWORD"
)

// plan is what a task asks IIS for.
type plan struct {
	State
	pools     []*appcmd.Element // <add> of applicationPools
	site      *appcmd.Element   // <site>, nil with a target website
	apps      []appPlan         // applications of the target website
	providers []provider
	https     []httpsPlan
}

type appPlan struct {
	path, directory, pool string
	virtual               []directory
	properties            []extension
}

// httpsPlan is an address that needs a certificate.
type httpsPlan struct {
	endpoint    string // ip:port, or hostname:port with SNI
	sni         bool
	certificate certificate
}

// inputs is what a plan is made of beside the task's config; everything that needs the machine is in it already.
type inputs struct {
	owner  Owner
	config pluginConfig
	task   *driver.TaskConfig
	// resolve turns a path of the job into one of this machine and refuses those outside the task's reach.
	resolve func(path string) (string, error)
	// read returns a file of the task's, such as one with a password.
	read func(path string) ([]byte, error)
}

// newPlan decides everything before anything is made.
func newPlan(in inputs, c taskConfig) (*plan, error) {
	c = c.normal()
	p := &plan{providers: c.Providers}
	env, err := p.addPools(in, c)
	if err != nil {
		return nil, err
	}
	for _, e := range p.pools {
		variables := e.Child("environmentVariables")
		variables.Children = nil
		for _, name := range sortedKeys(env) {
			variables.Add(appcmd.New("add", "name", name, "value", env[name]))
		}
	}
	for _, provider := range c.Providers {
		p.Providers = append(p.Providers, in.owner.poolName(in.task.AllocID, in.task.Name, "provider/"+provider.Name))
	}
	if c.TargetWebsite != "" {
		return p, p.addApps(in, c)
	}
	return p, p.addSite(in, c)
}

// addPools plans the pools and returns the environment of their workers.
func (p *plan) addPools(in inputs, c taskConfig) (map[string]string, error) {
	env := map[string]string{}
	account := map[string]string{}
	for name, value := range in.task.Env {
		_, bare, _ := strings.Cut(name, "_")
		if (strings.HasPrefix(name, "NOMAD_") || strings.HasPrefix(name, "DROVER_")) && (bare == userVariable || bare == passwordVariable) {
			account[bare] = value
			continue
		}
		env[name] = value
	}
	for _, pool := range c.Pools {
		name := in.owner.poolName(in.task.AllocID, in.task.Name, pool.Name)
		e := appcmd.New("add")
		if c.AppPoolConfigPath != "" {
			imported, err := importElement(in, c.AppPoolConfigPath, "APPPOOL", "add")
			if err != nil {
				return nil, fmt.Errorf("apppool_config_path: %w", err)
			}
			e = imported
		}
		e.Set("name", name)
		e.Set("autoStart", "true")
		if err := pool.describe(e); err != nil {
			return nil, fmt.Errorf("application pool %s: %w", pool.Name, err)
		}
		if err := pool.identify(e, in, account); err != nil {
			return nil, fmt.Errorf("application pool %s: %w", pool.Name, err)
		}
		p.pools = append(p.pools, e)
		p.Pools = append(p.Pools, name)
	}
	return env, nil
}

// describe sets the pool's options; those that the job leaves out keep IIS' own defaults.
func (c poolConfig) describe(e *appcmd.Element) error {
	set := func(e *appcmd.Element, name, value string) {
		if value != "" {
			e.Set(name, value)
		}
	}
	set(e, "managedPipelineMode", c.Pipeline)
	if strings.EqualFold(c.Runtime, "None") {
		e.Set("managedRuntimeVersion", "")
	} else {
		set(e, "managedRuntimeVersion", c.Runtime)
	}
	set(e, "startMode", c.StartMode)
	if c.Enable32Bit {
		e.Set("enable32BitAppOnWin64", "true")
	}
	if c.QueueLength > 0 {
		e.Set("queueLength", strconv.Itoa(c.QueueLength))
	}
	spans := map[string]string{}
	for name, text := range map[string]string{"idleTimeout": c.IdleTimeout, "startupTimeLimit": c.StartLimit, "shutdownTimeLimit": c.ShutdownLimit, "time": c.PeriodicRestart} {
		span, err := timeSpan(text)
		if err != nil {
			return err
		}
		spans[name] = span
	}
	for _, name := range []string{"idleTimeout", "startupTimeLimit", "shutdownTimeLimit"} {
		if spans[name] != "" {
			e.Child("processModel").Set(name, spans[name])
		}
	}
	if c.NoOverlap {
		e.Child("recycling").Set("disallowOverlappingRotation", "true")
	}
	if spans["time"] != "" {
		e.Child("recycling").Child("periodicRestart").Set("time", spans["time"])
	}
	if c.Unavailable != "" {
		e.Child("failure").Set("loadBalancerCapabilities", c.Unavailable)
	}
	return extend(e, c.Extensions)
}

// identify sets the account of the pool's workers.
func (c poolConfig) identify(e *appcmd.Element, in inputs, account map[string]string) error {
	identity, err := identityOf(c.Identity)
	if err != nil {
		return err
	}
	user, password := c.Username, c.Password
	if account[userVariable] != "" && user == "" {
		identity, user, password = specificUser, account[userVariable], account[passwordVariable]
	}
	if c.PasswordFile != "" {
		text, err := in.read(c.PasswordFile)
		if err != nil {
			return fmt.Errorf("password_file: %w", err)
		}
		password = strings.TrimRight(string(text), "\r\n")
	}
	if !slices.ContainsFunc(in.config.AllowedIdentities, func(a string) bool { return strings.EqualFold(a, identity) }) {
		return fmt.Errorf("identity %s is not allowed here (allowed_apppool_identities: %s)", identity, strings.Join(in.config.AllowedIdentities, ", "))
	}
	model := e.Child("processModel")
	model.Unset("userName")
	model.Unset("password")
	model.Set("identityType", identity)
	if identity != specificUser {
		if user != "" {
			return fmt.Errorf("a username needs identity %s", specificUser)
		}
		return nil
	}
	if user == "" {
		return fmt.Errorf("identity %s needs a username, or the variable NOMAD_%s", specificUser, userVariable)
	}
	if !glob(in.config.AllowedUsers, user) {
		return fmt.Errorf("user %s is not allowed here (allowed_apppool_users)", user)
	}
	model.Set("userName", user)
	model.Set("password", password)
	return nil
}

// addSite plans a site of the task's own.
func (p *plan) addSite(in inputs, c taskConfig) error {
	p.Site = in.owner.siteName(in.task.AllocID, in.task.Name)
	p.site = appcmd.New("site")
	if c.SiteConfigPath != "" {
		imported, err := importElement(in, c.SiteConfigPath, "SITE", "site")
		if err != nil {
			return fmt.Errorf("site_config_path: %w", err)
		}
		p.site = imported
	}
	p.site.Unset("id")
	p.site.Set("name", p.Site)
	p.site.Set("serverAutoStart", "true")
	imported := p.site.Children
	p.site.Children = nil
	for _, e := range imported {
		if !strings.EqualFold(e.Name, "application") && !strings.EqualFold(e.Name, "bindings") {
			p.site.Add(e)
		}
	}
	hasRoot := false
	for _, a := range c.Applications {
		e, err := p.application(in, c, a)
		if err != nil {
			return err
		}
		hasRoot = hasRoot || e.Get("path") == "/"
		p.site.Add(e)
	}
	if !hasRoot {
		return fmt.Errorf("no application has the alias /: a site needs a root")
	}
	bindings := p.site.Add(appcmd.New("bindings"))
	for i, b := range c.Bindings {
		e, err := p.binding(in, b)
		if err != nil {
			return fmt.Errorf("binding %d: %w", i, err)
		}
		bindings.Add(e)
	}
	return nil
}

// application plans an application with its directories.
func (p *plan) application(in inputs, c taskConfig, a application) (*appcmd.Element, error) {
	dir, err := in.resolve(a.Path)
	if err != nil {
		return nil, fmt.Errorf("application %s: %w", a.Alias, err)
	}
	e := appcmd.New("application", "path", alias(a.Alias), "applicationPool", in.owner.poolName(in.task.AllocID, in.task.Name, a.Pool))
	for _, x := range p.appProperties(in, c, a) {
		e.Set(x.Name, x.Value)
	}
	e.Add(appcmd.New("virtualDirectory", "path", "/", "physicalPath", dir))
	p.Directories = append(p.Directories, dir)
	for _, v := range a.Directories {
		dir, err := in.resolve(v.Path)
		if err != nil {
			return nil, fmt.Errorf("virtual directory %s: %w", v.Alias, err)
		}
		virtual := e.Add(appcmd.New("virtualDirectory", "path", alias(v.Alias), "physicalPath", dir))
		if err := extend(virtual, v.Extensions); err != nil {
			return nil, err
		}
		p.Directories = append(p.Directories, dir)
	}
	return e, nil
}

func (p *plan) appProperties(in inputs, c taskConfig, a application) []extension {
	var all []extension
	if a.Preload {
		all = append(all, extension{"preloadEnabled", "true"})
	}
	if a.AutoStart {
		all = append(all, extension{"serviceAutoStartEnabled", "true"})
	}
	if a.AutoStartProvider != "" {
		name := a.AutoStartProvider
		if slices.ContainsFunc(c.Providers, func(p provider) bool { return p.Name == name }) {
			name = in.owner.poolName(in.task.AllocID, in.task.Name, "provider/"+name)
		}
		all = append(all, extension{"serviceAutoStartProvider", name})
	}
	return append(all, a.Extensions...)
}

// addApps plans applications in a site that somebody else owns.
func (p *plan) addApps(in inputs, c taskConfig) error {
	if !glob(in.config.AllowedTargetWebsites, c.TargetWebsite) {
		return fmt.Errorf("website %q is not open to tasks here (allowed_target_websites)", c.TargetWebsite)
	}
	p.Target = c.TargetWebsite
	for _, a := range c.Applications {
		dir, err := in.resolve(a.Path)
		if err != nil {
			return fmt.Errorf("application %s: %w", a.Alias, err)
		}
		next := appPlan{path: alias(a.Alias), directory: dir, pool: in.owner.poolName(in.task.AllocID, in.task.Name, a.Pool), properties: p.appProperties(in, c, a)}
		p.Directories = append(p.Directories, dir)
		for _, v := range a.Directories {
			if v.Path, err = in.resolve(v.Path); err != nil {
				return fmt.Errorf("virtual directory %s: %w", v.Alias, err)
			}
			next.virtual = append(next.virtual, v)
			p.Directories = append(p.Directories, v.Path)
		}
		p.apps = append(p.apps, next)
		p.Apps = append(p.Apps, p.Target+next.path)
	}
	return nil
}

// binding plans where the site listens.
func (p *plan) binding(in inputs, b binding) (*appcmd.Element, error) {
	port, address := 0, b.IPAddress
	for _, candidate := range ports(in.task) {
		if candidate.Label == b.Port {
			port = candidate.Value
			if address == "*" && candidate.HostIP != "" && candidate.HostIP != "0.0.0.0" {
				address = candidate.HostIP
			}
		}
	}
	if port == 0 {
		n, err := strconv.Atoi(b.Port)
		if err != nil || n < 1 || n > 65535 {
			return nil, fmt.Errorf("the group has no port labelled %q", b.Port)
		}
		if b.Hostname == "" {
			return nil, fmt.Errorf("port %d is not one that the scheduler keeps free for this task: name a port's label, or a hostname by which sites share it", n)
		}
		port = n
	}
	if strings.Contains(address, ":") && !strings.HasPrefix(address, "[") {
		address = "[" + address + "]"
	}
	e := appcmd.New("binding", "protocol", b.Type, "bindingInformation", fmt.Sprintf("%s:%d:%s", address, port, b.Hostname))
	if b.Type == "http" {
		return e, nil
	}
	h := httpsPlan{sni: b.RequireSNI, certificate: *b.Certificate}
	if b.RequireSNI {
		e.Set("sslFlags", "1")
		h.endpoint = fmt.Sprintf("%s:%d", b.Hostname, port)
	} else {
		if address == "*" {
			address = "0.0.0.0"
		}
		h.endpoint = fmt.Sprintf("%s:%d", address, port)
	}
	for _, file := range []*string{&h.certificate.PFXFile, &h.certificate.CertFile, &h.certificate.KeyFile} {
		if *file == "" {
			continue
		}
		var err error
		if *file, err = in.resolve(*file); err != nil {
			return nil, fmt.Errorf("certificate: %w", err)
		}
	}
	p.https = append(p.https, h)
	return e, nil
}

// ports lists the ports that the scheduler gave the task, of its group or its own.
func ports(task *driver.TaskConfig) []driver.Port {
	all := append([]driver.Port(nil), task.Resources.Ports...)
	for _, n := range task.Resources.Networks {
		for _, p := range append(append([]driver.NetworkPort(nil), n.ReservedPorts...), n.DynamicPorts...) {
			all = append(all, driver.Port{Label: p.Label, Value: p.Value, HostIP: n.IP})
		}
	}
	return all
}

// importElement reads what `appcmd list site|apppool /config /xml` printed, or only the element inside.
func importElement(in inputs, file, list, element string) (*appcmd.Element, error) {
	text, err := in.read(file)
	if err != nil {
		return nil, err
	}
	root, err := appcmd.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s is no XML: %w", file, err)
	}
	if strings.EqualFold(root.Name, "appcmd") && len(root.All(list)) == 1 {
		root = root.Find(list)
	}
	if strings.EqualFold(root.Name, list) && root.Find(element) != nil {
		root = root.Find(element)
	}
	if !strings.EqualFold(root.Name, element) {
		return nil, fmt.Errorf("%s must hold exactly one %s as appcmd exports it (list %s NAME /config /xml)", file, list, strings.ToLower(list))
	}
	return root, nil
}

// extend sets attributes by their path below the element.
func extend(e *appcmd.Element, all []extension) error {
	for _, x := range all {
		if !matches(extensionPattern, x.Name) {
			return fmt.Errorf("extension %q is not an attribute or a path to one", x.Name)
		}
		at, parts := e, strings.Split(x.Name, ".")
		for _, name := range parts[:len(parts)-1] {
			at = at.Child(name)
		}
		at.Set(parts[len(parts)-1], x.Value)
	}
	return nil
}

// glob reports whether a name is in a list in which * stands for any text. IIS does not mind case.
func glob(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, err := path.Match(strings.ReplaceAll(strings.ToLower(p), `\`, `/`), strings.ReplaceAll(strings.ToLower(name), `\`, `/`))
		return p == "*" || err == nil && ok
	})
}

func sortedKeys(m map[string]string) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
