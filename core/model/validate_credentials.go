package model

import (
	"regexp"
	"slices"
)

var (
	identityName = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,128}$`)
	secretName   = regexp.MustCompile(`^[a-zA-Z0-9_]{1,128}$`)
)

// checkCredentials checks a task's vault, consul, identity and secret blocks.
func (c *checker) checkCredentials(w where, g *TaskGroup, t *Task) {
	if v := t.Vault; v != nil {
		vw := w.in("vault")
		c.oneOf(vw, "change_mode", v.ChangeMode, "noop", "restart", "signal")
		if v.ChangeMode == "signal" && v.ChangeSignal == "" {
			c.fail(vw, "change_signal is missing")
		}
		if v.Namespace != "" {
			c.fail(vw, "Vault namespaces are not supported")
		}
	}
	if t.Consul != nil && g.Consul != nil && t.Consul.Partition != g.Consul.Partition {
		c.fail(w.in("consul"), "partition must be the group's (%q), got %q", g.Consul.Partition, t.Consul.Partition)
	}
	if t.Identity != nil {
		c.checkIdentity(w.in("identity"), t.Identity, true)
	}
	seen := map[string]bool{}
	for _, id := range t.Identities {
		iw := w.in("identity", id.Name)
		if seen[id.Name] {
			c.fail(iw, "there is another identity of that name")
		}
		seen[id.Name] = true
		c.checkIdentity(iw, id, false)
	}
	c.checkSecrets(w, t)
}

func (c *checker) checkIdentity(w where, id *Identity, isDefault bool) {
	if !isDefault && !identityName.MatchString(id.Name) {
		c.fail(w, "the name must have 1 to 128 letters, digits, - and _")
	}
	if slices.Contains(id.Audience, "") {
		c.fail(w, "aud must hold no empty text")
	}
	switch {
	case isDefault:
	case len(id.Audience) == 0:
		c.warn(w, "without aud anyone may accept the token")
	case len(id.Audience) > 1:
		c.warn(w, "with several entries in aud each of them can use the token with the others")
	}
	atLeast(c, w, "ttl", id.TTL, 0)
	if isDefault && id.TTL != 0 {
		c.fail(w, "the default identity has no ttl")
	}
	if !isDefault && id.TTL == 0 {
		c.warn(w, "without ttl the token never expires")
	}
	if id.Filepath != "" {
		if !id.File {
			c.fail(w, "filepath needs file = true")
		}
		if escapes("task", id.Filepath) {
			c.fail(w, "filepath %q leaves the allocation's directory", id.Filepath)
		}
	}
	c.oneOf(w, "change_mode", id.ChangeMode, "", "noop", "restart", "signal")
	if id.ChangeMode == "signal" && id.ChangeSignal == "" {
		c.fail(w, "change_signal is missing")
	}
	if id.ChangeMode != "signal" && id.ChangeSignal != "" {
		c.fail(w, "change_signal needs change_mode = \"signal\"")
	}
}

func (c *checker) checkSecrets(w where, t *Task) {
	seen := map[string]bool{}
	for _, s := range t.Secrets {
		sw := w.in("secret", s.Name)
		if !secretName.MatchString(s.Name) {
			c.fail(sw, "the name must have 1 to 128 letters, digits and _")
		}
		if seen[s.Name] {
			c.fail(sw, "there is another secret of that name")
		}
		seen[s.Name] = true
		if s.Provider == "" {
			c.fail(sw, "provider is missing")
		}
		if s.Path == "" {
			c.fail(sw, "path is missing")
		}
		builtIn := s.Provider == "nomad" || s.Provider == "vault"
		if len(s.Config) > 0 && !builtIn {
			c.fail(sw, "config is for the providers \"nomad\" and \"vault\"")
		}
		if len(s.Env) > 0 && builtIn {
			c.fail(sw, "env is for providers that are plugins")
		}
		if s.Provider == "vault" && t.Vault == nil {
			c.fail(sw, "provider \"vault\" needs a vault block in the task")
		}
	}
}
