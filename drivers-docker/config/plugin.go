// Package config holds what operators and jobs may say to the docker driver, with types, defaults and refusals. The
// reference for every option is docs/drivers/docker.md.
package config

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// Plugin is the operator's configuration of the driver.
type Plugin struct {
	Endpoint string `config:"endpoint"` // empty: DOCKER_HOST, else the platform's socket or pipe
	Auth     Auth   `config:"auth,block"`
	TLS      TLS    `config:"tls,block"`

	ExtraLabels []string `config:"extra_labels"` // globs over the names in package spec
	Logging     Logging  `config:"logging,block"`
	GC          GC       `config:"gc,block"`
	Volumes     Volumes  `config:"volumes,block"`

	AllowPrivileged bool     `config:"allow_privileged"`
	AllowCaps       []string `config:"allow_caps"` // nil: DefaultCaps
	NvidiaRuntime   string   `config:"nvidia_runtime" default:"nvidia"`
	AllowRuntimes   []string `config:"allow_runtimes"` // nil: runc and NvidiaRuntime

	AllowDevices          []string `config:"allow_devices"`      // globs of host paths; nil: all
	AllowSecurityOpt      []string `config:"allow_security_opt"` // globs of whole options; nil: all
	AllowContainerNetwork bool     `config:"allow_container_network"`
	SeccompProfileDirs    []string `config:"seccomp_profile_dirs"` // directories of the node; nil: none

	InfraImage            string        `config:"infra_image"` // empty: the one built into the driver
	InfraImagePullTimeout time.Duration `config:"infra_image_pull_timeout"`
	ImagePullTimeout      time.Duration `config:"image_pull_timeout"` // 0: no limit but PullActivityTimeout
	PullActivityTimeout   time.Duration `config:"pull_activity_timeout" default:"2m"`

	ContainerExistsAttempts int  `config:"container_exists_attempts" default:"5"`
	OOMScoreAdj             int  `config:"oom_score_adj"` // accepted, not applied: the task's option is
	PidsLimit               int  `config:"pids_limit"`    // 0: no ceiling
	DisableLogCollection    bool `config:"disable_log_collection"`

	WindowsAllowContainerAdmin bool         `config:"windows_allow_insecure_container_admin"`
	AllowedModes               AllowedModes `config:"allowed_modes,block"`
}

// Auth says where registry credentials come from when a job brings none.
type Auth struct {
	Config string `config:"config"` // path of a docker client's config.json
	Helper string `config:"helper"` // docker-credential-<helper>
}

// TLS are the files of a client that reaches the daemon over TCP.
type TLS struct {
	Cert string `config:"cert"`
	Key  string `config:"key"`
	CA   string `config:"ca"`
}

// Logging is what containers log through when their task says nothing.
type Logging struct {
	Type   string            `config:"type" default:"json-file"`
	Config map[string]string `config:"config"` // nil with json-file: max-file=2, max-size=2m
}

// GC is what is removed after use.
type GC struct {
	Image              bool          `config:"image" default:"true"`
	ImageDelay         time.Duration `config:"image_delay" default:"3m"`
	Container          bool          `config:"container" default:"true"`
	DanglingContainers Dangling      `config:"dangling_containers,block"`
}

// Dangling is about containers of this node that no task knows.
type Dangling struct {
	Enabled       bool          `config:"enabled" default:"true"`
	DryRun        bool          `config:"dry_run"`
	Period        time.Duration `config:"period" default:"5m"`
	CreationGrace time.Duration `config:"creation_grace" default:"5m"`
}

// Volumes is about host paths outside the allocation's directory.
type Volumes struct {
	Enabled      bool   `config:"enabled"`
	SELinuxLabel string `config:"selinuxlabel"`
}

// AllowedModes are globs of the namespace modes that jobs may ask for.
type AllowedModes struct {
	PID    []string `config:"pid"`
	IPC    []string `config:"ipc"`
	UserNS []string `config:"userns"`
	UTS    []string `config:"uts"`
}

const (
	leastPullActivity  = time.Minute
	leastCreationGrace = time.Minute
)

// DefaultCaps is the ceiling of capabilities unless the operator sets another: Docker's own default without NET_RAW.
func DefaultCaps() []string {
	return []string{"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE",
		"SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"}
}

// WithDefaults fills in what depends on other options.
func (p Plugin) WithDefaults() Plugin {
	if p.NvidiaRuntime == "" {
		p.NvidiaRuntime = "nvidia"
	}
	if p.AllowCaps == nil {
		p.AllowCaps = DefaultCaps()
	}
	if p.AllowRuntimes == nil {
		p.AllowRuntimes = []string{"runc", p.NvidiaRuntime}
	}
	if p.Logging.Type == "" {
		p.Logging.Type = "json-file"
	}
	if p.Logging.Config == nil && p.Logging.Type == "json-file" {
		p.Logging.Config = map[string]string{"max-file": "2", "max-size": "2m"}
	}
	if p.ContainerExistsAttempts <= 0 {
		p.ContainerExistsAttempts = 5
	}
	return p
}

// Check refuses what cannot work, naming the option.
func (p Plugin) Check() error {
	var errs []error
	refuse := func(path, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", path, fmt.Sprintf(format, args...)))
	}
	if p.PullActivityTimeout < leastPullActivity {
		refuse("pull_activity_timeout", "%s is less than %s", p.PullActivityTimeout, leastPullActivity)
	}
	d := p.GC.DanglingContainers
	if d.Enabled && d.Period <= 0 {
		refuse("gc.dangling_containers.period", "%s is not a positive duration", d.Period)
	}
	if d.Enabled && d.CreationGrace < leastCreationGrace {
		refuse("gc.dangling_containers.creation_grace", "%s is less than %s", d.CreationGrace, leastCreationGrace)
	}
	if p.GC.ImageDelay < 0 {
		refuse("gc.image_delay", "%s is negative", p.GC.ImageDelay)
	}
	for _, t := range []struct {
		path  string
		value time.Duration
	}{{"image_pull_timeout", p.ImagePullTimeout}, {"infra_image_pull_timeout", p.InfraImagePullTimeout}} {
		if t.value < 0 {
			refuse(t.path, "%s is negative", t.value)
		}
	}
	if p.PidsLimit < 0 {
		refuse("pids_limit", "%d is negative; leave it out for no limit", p.PidsLimit)
	}
	for _, dir := range p.SeccompProfileDirs {
		if !filepath.IsAbs(dir) {
			refuse("seccomp_profile_dirs", "%q is not an absolute path", dir)
		}
	}
	for name, patterns := range map[string][]string{"allow_devices": p.AllowDevices, "allow_security_opt": p.AllowSecurityOpt} {
		for _, pattern := range patterns {
			if _, err := path.Match(pattern, ""); err != nil {
				refuse(name, "%q is not a glob", pattern)
			}
		}
	}
	if (p.TLS.Cert == "") != (p.TLS.Key == "") {
		refuse("tls", "cert and key belong together, only one is set")
	}
	for _, m := range p.AllowedModes.list() {
		for _, pattern := range m.patterns {
			if !m.valid(pattern) {
				refuse("allowed_modes."+m.name, "%q is not a %s mode of docker (%s)", pattern, m.name, strings.Join(m.forms, ", "))
			}
		}
	}
	return errors.Join(errs...)
}
