package model

import (
	"slices"
	"strings"
)

// Site is what the place a job is registered at adds to it.
type Site struct {
	Region    string // of the agent
	HasConsul bool   // the agent is configured to use Consul
}

// Admit adds to a complete job what follows from it and from the site: its region, the catalog its services go to and
// the constraints that its features imply. Admitting a job twice changes nothing more, so that a job which was read
// back can be registered again. It comes before Validate, and before the job is compared with the stored version. The
// job is changed in place.
func (j *Job) Admit(site Site) (warnings []string) {
	if site.Region != "" && (j.Region == "" || j.Region == DefaultRegion) {
		j.Region = site.Region
	}
	for _, g := range j.TaskGroups {
		if !site.HasConsul && useCatalog(g) {
			warnings = append(warnings, Problem{Path: string(where("").in("group", g.Name)),
				Message: "Consul is not configured: the services go to the built-in catalog (provider \"nomad\")"}.Error())
		}
		for _, x := range implied(g) {
			if !slices.Contains(g.Constraints, x) {
				g.Constraints = append(g.Constraints, x)
			}
		}
	}
	return warnings
}

// useCatalog sends the group's services to the built-in catalog. Mesh services stay: they mean nothing without Consul.
func useCatalog(g *TaskGroup) (changed bool) {
	for _, s := range groupServices(g) {
		if s.Provider == ProviderConsul && len(s.Connect) == 0 {
			s.Provider, changed = ProviderCatalog, true
		}
	}
	return changed
}

func groupServices(g *TaskGroup) []*Service {
	out := slices.Clone(g.Services)
	for _, t := range g.Tasks {
		out = append(out, t.Services...)
	}
	return out
}

// implied lists what a node must offer for the group's features to work there. Networks imply nothing: a node offers a mode
// with its health, which the plugin that offers it knows best.
func implied(g *TaskGroup) []Constraint {
	var out []Constraint
	add := func(attribute, operand, value string) {
		x := Constraint{LTarget: "${attr." + attribute + "}", Operand: operand, RTarget: value}
		if !slices.Contains(out, x) {
			out = append(out, x)
		}
	}
	for _, s := range groupServices(g) {
		switch s.Provider {
		case ProviderCatalog:
			add("nomad.service_discovery", "=", "true")
			if len(s.Checks) > 0 {
				add("nomad.version", OpSemver, ">= 1.4.0")
			}
		case ProviderConsul:
			add("consul.version", OpSemver, ">= 1.8.0")
		}
		if len(s.Connect) > 0 {
			add("consul.grpc", ">", "0")
		}
	}
	for _, t := range g.Tasks {
		for _, s := range t.Secrets {
			add("plugins.secrets."+s.Provider+".version", OpIsSet, "")
		}
		if len(t.Identities) > 0 {
			add("nomad.version", OpSemver, ">= 1.7.0-a")
		}
	}
	if signals := groupSignals(g); len(signals) > 0 {
		add("os.signals", OpSetContains, strings.Join(signals, ","))
	}
	return out
}

// groupSignals lists the signals that the group's tasks want to be sent.
func groupSignals(g *TaskGroup) []string {
	wanted := map[string]bool{}
	for _, t := range g.Tasks {
		wanted[t.KillSignal] = true
		for _, tm := range t.Templates {
			wanted[tm.ChangeSignal] = true
		}
		if t.Vault != nil {
			wanted[t.Vault.ChangeSignal] = true
		}
		for _, id := range t.Identities {
			wanted[id.ChangeSignal] = true
		}
	}
	delete(wanted, "")
	return sortedKeys(wanted)
}
