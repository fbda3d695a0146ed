package model

import (
	"slices"
	"strings"
)

// SpecChanged tells whether two jobs ask for different things, whatever the servers recorded about them. A nil job
// differs from every other.
func SpecChanged(a, b *Job) bool { return !same(a, b) }

// TasksUpdated tells whether going from a to b means replacing the group's instances: what their tasks run with has
// changed. When it returns false they can be updated in place.
func TasksUpdated(a, b *Job, group string) bool {
	ga, gb := a.Group(group), b.Group(group)
	if ga == nil || gb == nil {
		return ga != gb
	}
	return !same(groupRun(a, ga), groupRun(b, gb))
}

// groupView is all of a group that its instances run with.
type groupView struct {
	EphemeralDisk   *EphemeralDisk
	Networks        []networkView
	Consul          *Consul
	Volumes         map[string]*VolumeRequest
	Connect         []connectView
	RenderTemplates bool
	Tasks           []taskView // by name
}

type networkView struct {
	Mode     string
	Hostname string
	DNS      *DNSConfig
	CNI      *CNIConfig
	Ports    []Port
}

type connectView struct {
	PortLabel, Cluster                    string
	Native, Gateway, SidecarTask, Sidecar any
	SidecarPort                           any
}

// taskView is all of a task that it runs with.
type taskView struct {
	Name            string
	Driver          string
	User            string
	Config          map[string]any
	Env             map[string]string
	Meta            map[string]string
	Artifacts       []*Artifact
	Vault           *Vault
	Secrets         []*Secret
	Consul          *Consul
	Templates       []*Template
	CSIPluginConfig *CSIPlugin
	VolumeMounts    []*VolumeMount
	Resources       Resources
	TaskNetworks    []networkView
	Identity        *Identity
	Identities      []*Identity
	LogsDisabled    bool
	RenderTemplates bool
}

func groupRun(j *Job, g *TaskGroup) groupView {
	v := groupView{EphemeralDisk: g.EphemeralDisk, Networks: networkViews(g.Networks), Consul: g.Consul, Volumes: g.Volumes,
		Connect: connectViews(g.Services), RenderTemplates: g.RestartPolicy != nil && g.RestartPolicy.RenderTemplates}
	for _, t := range g.Tasks {
		v.Tasks = append(v.Tasks, taskRun(j, g, t))
	}
	slices.SortFunc(v.Tasks, func(a, b taskView) int { return strings.Compare(a.Name, b.Name) })
	return v
}

func taskRun(j *Job, g *TaskGroup, t *Task) taskView {
	v := taskView{Name: t.Name, Driver: t.Driver, User: t.User, Config: t.Config, Env: t.Env,
		Meta: j.CombinedMeta(g.Name, t.Name), Artifacts: t.Artifacts, Vault: t.Vault, Secrets: t.Secrets, Consul: t.Consul,
		Templates: t.Templates, CSIPluginConfig: t.CSIPluginConfig, VolumeMounts: t.VolumeMounts, Identity: t.Identity,
		Identities: t.Identities, LogsDisabled: t.LogConfig != nil && t.LogConfig.Disabled,
		RenderTemplates: t.RestartPolicy != nil && t.RestartPolicy.RenderTemplates}
	if t.Resources != nil {
		v.Resources = *t.Resources
		v.TaskNetworks, v.Resources.Networks = networkViews(t.Resources.Networks), nil
		v.Resources.DiskMB, v.Resources.IOPS = 0, 0 // without effect
	}
	return v
}

func networkViews(nets []*Network) []networkView {
	var out []networkView
	for _, n := range nets {
		v := networkView{Mode: n.Mode, Hostname: n.Hostname, DNS: n.DNS, CNI: n.CNI}
		v.Ports = append(append(v.Ports, n.ReservedPorts...), n.DynamicPorts...)
		slices.SortStableFunc(v.Ports, func(a, b Port) int { return strings.Compare(a.Label, b.Label) })
		out = append(out, v)
	}
	return out
}

// connectViews is what a mesh sidecar is made from; nothing else of a service needs a new instance.
func connectViews(services []*Service) []connectView {
	var out []connectView
	for _, s := range services {
		if len(s.Connect) == 0 {
			continue
		}
		sidecar, _ := s.Connect["SidecarService"].(map[string]any)
		out = append(out, connectView{PortLabel: s.PortLabel, Cluster: s.Cluster, Native: s.Connect["Native"],
			Gateway: s.Connect["Gateway"], SidecarTask: s.Connect["SidecarTask"], Sidecar: sidecar != nil, SidecarPort: sidecar["Port"]})
	}
	return out
}
