package model

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

func (c *checker) checkTask(w where, g *TaskGroup, t *Task) {
	if t.Driver == "" {
		c.fail(w, "driver is missing: which plugin should run the task?")
	}
	for _, k := range sortedKeys(t.Env) {
		if k == "" || strings.ContainsAny(k, "=\x00") {
			c.fail(w.in("env"), "the name %q must not be empty and hold no = and no NUL", k)
		}
	}
	if circle := envCircle(t.Env); circle != nil {
		c.fail(w.in("env"), "the variables refer to each other in a circle: %s", strings.Join(circle, " -> "))
	}
	c.checkReferences(w, t)
	for _, x := range t.Constraints {
		if x.Operand == OpDistinctHosts || x.Operand == OpDistinctProperty {
			c.fail(w.in("constraint"), "%s belongs to a job or group: tasks of an instance share a node", x.Operand)
		}
	}
	c.placementRules(w, t.Constraints, t.Affinities, nil)
	c.checkResources(w.in("resources"), t.Resources)
	c.checkRestart(w.in("restart"), t.RestartPolicy)
	if l := t.LogConfig; l == nil {
		c.fail(w.in("logs"), "the log settings are missing")
	} else {
		atLeast(c, w.in("logs"), "max_files", l.MaxFiles, 1)
		atLeast(c, w.in("logs"), "max_file_size", l.MaxFileSizeMB, 1)
		c.atMost(w.in("logs"), "max_files", l.MaxFiles, maxAmount)
		c.atMost(w.in("logs"), "max_file_size", l.MaxFileSizeMB, maxAmount)
	}
	if t.Lifecycle != nil {
		c.oneOf(w.in("lifecycle"), "hook", t.Lifecycle.Hook, LifecyclePrestart, LifecyclePoststart, LifecyclePoststop)
	}
	atLeast(c, w, "shutdown_delay", t.ShutdownDelay, 0)
	c.checkKillTimeout(w, g, t)
	c.checkTemplates(w, t)
	for i, a := range t.Artifacts {
		c.checkArtifact(w.in(fmt.Sprintf("artifact %d", i+1)), a)
	}
	c.checkCredentials(w, g, t)
	c.checkMounts(w, g, t)
	c.checkActions(w, t)
	if p := t.DispatchPayload; p != nil {
		if p.File == "" {
			c.fail(w.in("dispatch_payload"), "file is missing")
		} else if escapes("", p.File) {
			c.fail(w.in("dispatch_payload"), "file %q leaves the task's local directory", p.File)
		}
	}
	if strings.HasPrefix(t.Kind, "connect-proxy:") && (len(t.Services) > 0 || t.Leader) {
		c.fail(w, "a proxy has no services and is not leader")
	}
}

var envReference = regexp.MustCompile(`\$\{\s*(?:env\["([^"\]]+)"\]|([^}\s]+))\s*\}`)

// envCircle returns variables of an env block that refer to each other in a circle, the first again at the end; nil when
// there is none. A variable that refers to its own name means the one from outside.
func envCircle(env map[string]string) []string {
	done := map[string]bool{}
	var path []string
	var visit func(name string) []string
	visit = func(name string) []string {
		if i := slices.Index(path, name); i >= 0 {
			if i == len(path)-1 {
				return nil
			}
			return append(slices.Clone(path[i:]), name)
		}
		value, ours := env[name]
		if !ours || done[name] {
			return nil
		}
		path = append(path, name)
		for _, m := range envReference.FindAllStringSubmatch(value, -1) {
			if circle := visit(m[1] + m[2]); circle != nil {
				return circle
			}
		}
		path = path[:len(path)-1]
		done[name] = true
		return nil
	}
	for _, name := range sortedKeys(env) {
		if circle := visit(name); circle != nil {
			return circle
		}
	}
	return nil
}

func (c *checker) checkKillTimeout(w where, g *TaskGroup, t *Task) {
	atLeast(c, w, "kill_timeout", t.KillTimeout, 0)
	u := g.Update
	if c.job.Type == JobTypeService && u != nil && u.ProgressDeadline > 0 && t.KillTimeout > u.ProgressDeadline {
		c.fail(w, "kill_timeout (%v) must not be more than the group's progress_deadline (%v)", t.KillTimeout, u.ProgressDeadline)
	}
}

func (c *checker) checkResources(w where, r *Resources) {
	if r == nil {
		c.fail(w, "the resources are missing")
		return
	}
	atLeast(c, w, "cores", r.Cores, 0)
	c.atMost(w, "cores", r.Cores, maxAmount)
	c.atMost(w, "cpu", r.CPU, maxAmount)
	c.atMost(w, "memory", r.MemoryMB, maxAmount)
	c.atMost(w, "memory_max", r.MemoryMaxMB, maxAmount)
	switch {
	case r.Cores > 0 && r.CPU > 0:
		c.fail(w, "cpu and cores exclude each other")
	case r.Cores <= 0 && r.CPU < 1:
		c.fail(w, "cpu must be at least 1 MHz, got %d", r.CPU)
	}
	if r.MemoryMB < 10 {
		c.fail(w, "memory must be at least 10 MB, got %d", r.MemoryMB)
	}
	if r.MemoryMaxMB != 0 && r.MemoryMaxMB != -1 && r.MemoryMaxMB < r.MemoryMB {
		c.fail(w, "memory_max (%d MB) must not be less than memory (%d MB); -1 means no limit", r.MemoryMaxMB, r.MemoryMB)
	}
	if r.SecretsMB < 0 || r.SecretsMB > r.MemoryMB {
		c.fail(w, "secrets must be within 0..%d MB, the task's memory, got %d", r.MemoryMB, r.SecretsMB)
	}
	if r.DiskMB > 0 {
		c.fail(w, "disk is not a task's; use ephemeral_disk in the group")
	}
	if r.IOPS != 0 {
		c.warn(w, "iops is deprecated and has no effect")
	}
	devices := []string{}
	for _, d := range r.Devices {
		dw := w.in("device", d.Name)
		devices = append(devices, d.Name)
		parts := strings.Split(d.Name, "/")
		if len(parts) > 3 || slices.Contains(parts, "") {
			c.fail(dw, "the name must be type, vendor/type or vendor/type/name")
		}
		if d.Count < 1 {
			c.fail(dw, "count must be at least 1, got %d", d.Count)
		}
		if d.Count > maxAmount {
			c.fail(dw, "count must be at most %d, got %d", maxAmount, d.Count)
		}
		for _, x := range d.Constraints {
			if x.Operand == OpDistinctHosts || x.Operand == OpDistinctProperty {
				c.fail(dw.in("constraint"), "%s says nothing about a device", x.Operand)
			} else if err := x.check(); err != nil {
				c.fail(dw.in("constraint"), "%v", err)
			}
		}
		for _, a := range d.Affinities {
			if err := a.check(); err != nil {
				c.fail(dw.in("affinity"), "%v", err)
			}
		}
	}
	if n := r.NUMA; n != nil {
		c.oneOf(w.in("numa"), "affinity", n.Affinity, "none", "prefer", "require")
		for _, d := range n.Devices {
			if !slices.Contains(devices, d) {
				c.fail(w.in("numa"), "devices: %q is not among the task's devices", d)
			}
		}
	}
}

// escapes tells whether a path below dir leads out of the directory that dir is in. Paths with references are known
// on the node only, which checks them again.
func escapes(dir, p string) bool {
	if strings.Contains(p, "${") {
		return false
	}
	joined := path.Join(dir, strings.ReplaceAll(p, "\\", "/"))
	return joined == ".." || strings.HasPrefix(joined, "../")
}

func (c *checker) checkTemplates(w where, t *Task) {
	seen := map[string]bool{}
	for i, tm := range t.Templates {
		tw := w.in("template", tm.DestPath)
		if tm.DestPath == "" {
			tw = w.in(fmt.Sprintf("template %d", i+1))
			c.fail(tw, "destination is missing")
		} else if seen[tm.DestPath] {
			c.fail(tw, "another template writes the same file")
		} else if escapes("task", tm.DestPath) {
			c.fail(tw, "destination leaves the allocation's directory")
		}
		seen[tm.DestPath] = true
		if tm.SourcePath == "" && tm.EmbeddedTmpl == "" {
			c.fail(tw, "data or source is missing")
		}
		c.checkTemplate(tw, tm)
	}
}

func (c *checker) checkTemplate(w where, t *Template) {
	c.oneOf(w, "change_mode", t.ChangeMode, "noop", "restart", "signal", "script")
	switch t.ChangeMode {
	case "signal":
		if t.ChangeSignal == "" {
			c.fail(w, "change_signal is missing")
		}
		if t.Envvars {
			c.fail(w, "a signal does not bring a new environment; use change_mode \"restart\" with env")
		}
	case "script":
		if t.ChangeScript == nil || t.ChangeScript.Command == "" {
			c.fail(w, "change_script with a command is missing")
		}
	}
	atLeast(c, w, "splay", t.Splay, 0)
	if _, err := strconv.ParseUint(t.Perms, 8, 12); err != nil && t.Perms != "" {
		c.fail(w, "perms must be an octal file mode such as 0644, got %q", t.Perms)
	}
	if t.Wait != nil && t.Wait.Min > t.Wait.Max {
		c.fail(w.in("wait"), "min (%v) must not be more than max (%v)", t.Wait.Min, t.Wait.Max)
	}
	if t.VaultGrace != 0 {
		c.warn(w, "vault_grace is deprecated and has no effect")
	}
}

// checksumSizes are the lengths of checksums in hexadecimal digits.
var checksumSizes = map[string]int{"md5": 32, "sha1": 40, "sha256": 64, "sha512": 128}

var hexDigits = regexp.MustCompile(`^[0-9a-fA-F]+$`)

func (c *checker) checkArtifact(w where, a *Artifact) {
	if a.GetterSource == "" {
		c.fail(w, "source is missing")
	}
	c.oneOf(w, "mode", a.GetterMode, "any", "file", "dir")
	if escapes("task", a.RelativeDest) {
		c.fail(w, "destination %q leaves the allocation's directory", a.RelativeDest)
	}
	sum, ok := a.GetterOptions["checksum"]
	if !ok || strings.Contains(sum, "${") {
		return
	}
	kind, hex, _ := strings.Cut(sum, ":")
	if size := checksumSizes[kind]; size == 0 || len(hex) != size || !hexDigits.MatchString(hex) {
		c.fail(w, "checksum must be type:hex with md5, sha1, sha256 or sha512, got %q", sum)
	}
}

var actionName = regexp.MustCompile(`^[^\x00\s]{1,128}$`)

func (c *checker) checkActions(w where, t *Task) {
	seen := map[string]bool{}
	for _, a := range t.Actions {
		aw := w.in("action", a.Name)
		if !actionName.MatchString(a.Name) {
			c.fail(aw, "the name must have 1 to 128 characters without spaces")
		}
		if seen[a.Name] {
			c.fail(aw, "there is another action of that name")
		}
		seen[a.Name] = true
		if a.Command == "" {
			c.fail(aw, "command is missing")
		}
	}
}
