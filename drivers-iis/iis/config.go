package iis

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/droverhq/drover/sdk/schema"
)

// pluginConfig is the agent's plugin block: the options of both public IIS drivers, and appcmd_path and allowed_paths.
type pluginConfig struct {
	Enabled               bool          `config:"enabled" default:"true"`
	StatsInterval         time.Duration `config:"stats_interval" default:"1s"` // accepted; the agent decides how often it asks
	FingerprintInterval   time.Duration `config:"fingerprint_interval" default:"30s"`
	DirectorySecurity     bool          `config:"directory_security" default:"true"`
	AllowedTargetWebsites []string      `config:"allowed_target_websites"`
	AllowedIdentities     []string      `config:"allowed_apppool_identities"`
	AllowedUsers          []string      `config:"allowed_apppool_users"`
	PlaceholderAppPath    string        `config:"placeholder_app_path" default:"C:\\inetpub\\wwwroot"`
	AppcmdPath            string        `config:"appcmd_path"`
	AllowedPaths          []string      `config:"allowed_paths"`
}

// minFingerprintInterval keeps an agent from running appcmd all the time.
const minFingerprintInterval = 10 * time.Second

func (c *pluginConfig) check() error {
	if c.FingerprintInterval < minFingerprintInterval {
		return fmt.Errorf("fingerprint_interval is %s, the least is %s", c.FingerprintInterval, minFingerprintInterval)
	}
	if c.AllowedIdentities == nil {
		c.AllowedIdentities = []string{poolIdentity}
	}
	for _, name := range c.AllowedIdentities {
		if _, err := identityOf(name); err != nil {
			return fmt.Errorf("allowed_apppool_identities: %w", err)
		}
	}
	return nil
}

// taskConfig is a task's config block. The first part is that of the older public driver, the second that of the newer.
type taskConfig struct {
	Path              string       `config:"path"`
	SiteConfigPath    string       `config:"site_config_path"`
	AppPoolConfigPath string       `config:"apppool_config_path"`
	AppPoolIdentity   string       `config:"apppool_identity"`
	OldBindings       []oldBinding `config:"bindings,block"`

	TargetWebsite string        `config:"target_website"`
	PermitIUSR    bool          `config:"permit_iusr" default:"true"`
	Pools         []poolConfig  `config:"application_pool,block"`
	PoolsAlias    []poolConfig  `config:"applicationPool,block"`
	Applications  []application `config:"application,block"`
	Bindings      []binding     `config:"binding,block"`
	Providers     []provider    `config:"service_auto_start_provider,block"`
}

type oldBinding struct {
	Hostname  string `config:"hostname"`
	IPAddress string `config:"ipaddress" default:"*"`
	Port      string `config:"port,required"`
	Type      string `config:"type,required"`
	CertHash  string `config:"cert_hash"`
}

type poolConfig struct {
	Name            string      `config:"name" default:"default"`
	Identity        string      `config:"identity" default:"ApplicationPoolIdentity"`
	Username        string      `config:"username"`
	Password        string      `config:"password"`
	PasswordFile    string      `config:"password_file"`
	Pipeline        string      `config:"managed_pipeline_mode"`
	Runtime         string      `config:"managed_runtime_version"`
	StartMode       string      `config:"start_mode"`
	IdleTimeout     string      `config:"idle_timeout"`
	NoOverlap       bool        `config:"disable_overlapped_recycle"`
	PeriodicRestart string      `config:"periodic_restart"`
	Enable32Bit     bool        `config:"enable_32bit_app_on_win64"`
	Unavailable     string      `config:"service_unavailable_response"`
	QueueLength     int         `config:"queue_length"`
	StartLimit      string      `config:"start_time_limit"`
	ShutdownLimit   string      `config:"shutdown_time_limit"`
	Extensions      []extension `config:"extension,block"`
}

type application struct {
	Path              string      `config:"path,required"`
	Alias             string      `config:"alias" default:"/"`
	Pool              string      `config:"application_pool" default:"default"`
	Preload           bool        `config:"enable_preload"`
	AutoStart         bool        `config:"service_auto_start_enabled"`
	AutoStartProvider string      `config:"service_auto_start_provider"`
	Directories       []directory `config:"virtual_directory,block"`
	Extensions        []extension `config:"extension,block"`
}

type directory struct {
	Alias      string      `config:"alias,required"`
	Path       string      `config:"path,required"`
	Extensions []extension `config:"extension,block"`
}

type binding struct {
	Type        string       `config:"type,required"`
	Port        string       `config:"port,required"`
	Hostname    string       `config:"hostname"`
	RequireSNI  bool         `config:"require_sni"`
	IPAddress   string       `config:"ip_address" default:"*"`
	Certificate *certificate `config:"certificate,block"`
}

type certificate struct {
	Thumbprint string `config:"thumbprint"`
	PFXFile    string `config:"pfx_file"`
	Password   string `config:"password"`
	CertFile   string `config:"cert_file"`
	KeyFile    string `config:"key_file"`
	SelfSigned bool   `config:"use_self_signed"`
}

// extension sets an attribute of IIS' own configuration that has no option here, by its path below the element, such as
// "cpu.limit".
type extension struct {
	Name  string `config:"name,required"`
	Value string `config:"value,required"`
}

type provider struct {
	Name string `config:"name,required"`
	Type string `config:"type,required"`
}

// normal brings both ways to write a task into the newer one.
func (c taskConfig) normal() taskConfig {
	c.Pools = append(append([]poolConfig(nil), c.Pools...), c.PoolsAlias...)
	if len(c.Pools) == 0 {
		identity := c.AppPoolIdentity
		if identity == "" {
			identity = poolIdentity
		}
		c.Pools = []poolConfig{{Name: "default", Identity: identity}}
	}
	if len(c.Applications) == 0 && c.Path != "" {
		c.Applications = []application{{Path: c.Path, Alias: "/", Pool: c.Pools[0].Name}}
	}
	c.Bindings = append([]binding(nil), c.Bindings...)
	for _, b := range c.OldBindings {
		next := binding{Type: b.Type, Port: b.Port, Hostname: b.Hostname, IPAddress: b.IPAddress}
		if b.CertHash != "" {
			next.Certificate = &certificate{Thumbprint: b.CertHash}
		}
		c.Bindings = append(c.Bindings, next)
	}
	return c
}

// What names and attribute paths may look like. They end up on appcmd's command line, which has no way to escape.
const (
	namePattern      = `^[A-Za-z0-9_-]{1,8}$`
	aliasPattern     = `^/[A-Za-z0-9._~/-]*$`
	extensionPattern = `^[A-Za-z][A-Za-z0-9]*(\.[A-Za-z][A-Za-z0-9]*){0,4}$`
	hostPattern      = `^(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$`
	thumbPattern     = `^[0-9A-Fa-f]{40}$`
	providerPattern  = `^[^'"\[\]\x00-\x1f]{1,256}$`
	sitePattern      = `^[^'"/\\\[\]:;|,=<>&?*$@+\x00-\x1f]{1,200}$`
)

func matches(pattern, text string) bool { return regexp.MustCompile(pattern).MatchString(text) }

// CheckConfig refuses what a schema cannot say. Texts that the node fills in later come as they are.
func (d *Driver) CheckConfig(_ context.Context, c taskConfig) schema.Diagnostics { return check(c) }

func check(c taskConfig) schema.Diagnostics {
	var found schema.Diagnostics
	refuse := func(path, format string, args ...any) {
		found = append(found, schema.Diagnostic{Summary: "Invalid value", Detail: fmt.Sprintf(format, args...), Path: path})
	}
	if len(c.Applications) > 0 && c.Path != "" {
		refuse("path", "path and application blocks say the same in two ways: leave one out")
	}
	n := c.normal()
	if len(n.Applications) == 0 {
		refuse("application", "one application block, or path, must say what is served")
	}
	if c.TargetWebsite != "" {
		if !matches(sitePattern, c.TargetWebsite) {
			refuse("target_website", "%q is not the name of a site", c.TargetWebsite)
		}
		if len(n.Bindings) > 0 {
			refuse("binding", "bindings belong to the site, and target_website names one that exists")
		}
		for i, a := range n.Applications {
			if a.Alias == "/" {
				refuse(fmt.Sprintf("application[%d].alias", i), "the root of another's site cannot be replaced: give the application an alias")
			}
		}
	} else if len(n.Bindings) == 0 {
		refuse("binding", "a site needs a binding to a port, or a target_website that exists")
	}
	pools := map[string]bool{}
	for i, p := range n.Pools {
		checkPool(p, fmt.Sprintf("application_pool[%d]", i), refuse)
		if pools[strings.ToLower(p.Name)] {
			refuse(fmt.Sprintf("application_pool[%d].name", i), "two pools are named %q", p.Name)
		}
		pools[strings.ToLower(p.Name)] = true
	}
	aliases := map[string]bool{}
	for i, a := range n.Applications {
		path := fmt.Sprintf("application[%d]", i)
		checkApplication(a, path, refuse)
		if !pools[strings.ToLower(a.Pool)] {
			refuse(path+".application_pool", "there is no application_pool %q", a.Pool)
		}
		if aliases[strings.ToLower(alias(a.Alias))] {
			refuse(path+".alias", "two applications have the alias %q", a.Alias)
		}
		aliases[strings.ToLower(alias(a.Alias))] = true
	}
	for i, b := range n.Bindings {
		checkBinding(b, fmt.Sprintf("binding[%d]", i), refuse)
	}
	for i, p := range c.Providers {
		if !matches(providerPattern, p.Name) || !matches(providerPattern, p.Type) {
			refuse(fmt.Sprintf("service_auto_start_provider[%d]", i), "name and type have 1 to 256 characters without quotes and brackets")
		}
	}
	return found
}

type refusal func(path, format string, args ...any)

func checkPool(p poolConfig, path string, refuse refusal) {
	if !matches(namePattern, p.Name) {
		refuse(path+".name", "%q: 1 to 8 letters, digits, _ and -", p.Name)
	}
	if _, err := identityOf(p.Identity); err != nil {
		refuse(path+".identity", "%v", err)
	}
	oneOf := func(option, value string, allowed ...string) {
		for _, a := range append(allowed, "") {
			if strings.EqualFold(a, value) {
				return
			}
		}
		refuse(path+"."+option, "%q is none of %s", value, strings.Join(allowed, ", "))
	}
	oneOf("managed_pipeline_mode", p.Pipeline, "Integrated", "Classic")
	oneOf("managed_runtime_version", p.Runtime, "v4.0", "v2.0", "None")
	oneOf("start_mode", p.StartMode, "OnDemand", "AlwaysRunning")
	oneOf("service_unavailable_response", p.Unavailable, "HttpLevel", "TcpLevel")
	for option, value := range map[string]string{"idle_timeout": p.IdleTimeout, "periodic_restart": p.PeriodicRestart,
		"start_time_limit": p.StartLimit, "shutdown_time_limit": p.ShutdownLimit} {
		if _, err := timeSpan(value); err != nil {
			refuse(path+"."+option, "%v", err)
		}
	}
	if p.QueueLength != 0 && (p.QueueLength < 10 || p.QueueLength > 65535) {
		refuse(path+".queue_length", "%d is not from 10 to 65535", p.QueueLength)
	}
	if p.Password != "" && p.PasswordFile != "" {
		refuse(path+".password_file", "password and password_file exclude each other")
	}
	checkExtensions(p.Extensions, path, refuse)
}

func checkApplication(a application, path string, refuse refusal) {
	if !matches(aliasPattern, alias(a.Alias)) {
		refuse(path+".alias", "%q: letters, digits and . _ ~ - / ", a.Alias)
	}
	for i, v := range a.Directories {
		if !matches(aliasPattern, alias(v.Alias)) || alias(v.Alias) == "/" {
			refuse(fmt.Sprintf("%s.virtual_directory[%d].alias", path, i), "%q: letters, digits and . _ ~ - /, not the root", v.Alias)
		}
		checkExtensions(v.Extensions, fmt.Sprintf("%s.virtual_directory[%d]", path, i), refuse)
	}
	checkExtensions(a.Extensions, path, refuse)
}

func checkExtensions(all []extension, path string, refuse refusal) {
	for i, e := range all {
		if !matches(extensionPattern, e.Name) {
			refuse(fmt.Sprintf("%s.extension[%d].name", path, i), "%q is not an attribute or a path to one, such as cpu.limit", e.Name)
		}
	}
}

func checkBinding(b binding, path string, refuse refusal) {
	if b.Type != "http" && b.Type != "https" {
		refuse(path+".type", "%q is neither http nor https", b.Type)
	}
	if b.Hostname != "" && !matches(hostPattern, b.Hostname) {
		refuse(path+".hostname", "%q is not a host name", b.Hostname)
	}
	if b.RequireSNI && b.Hostname == "" {
		refuse(path+".require_sni", "it needs a hostname")
	}
	c := b.Certificate
	switch {
	case b.Type == "https" && c == nil:
		refuse(path+".certificate", "https needs a certificate")
		return
	case b.Type == "http" && c != nil:
		refuse(path+".certificate", "http has no certificate")
	case c == nil:
		return
	}
	ways := 0
	for _, given := range []bool{c.Thumbprint != "", c.PFXFile != "", c.CertFile != "" || c.KeyFile != "", c.SelfSigned} {
		if given {
			ways++
		}
	}
	if ways != 1 || (c.CertFile == "") != (c.KeyFile == "") {
		refuse(path+".certificate", "exactly one of thumbprint, pfx_file, cert_file with key_file, and use_self_signed")
	}
	if c.Thumbprint != "" && !matches(thumbPattern, c.Thumbprint) {
		refuse(path+".certificate.thumbprint", "a thumbprint has 40 hexadecimal digits")
	}
}
