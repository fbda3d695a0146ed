package pluginhost

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"time"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/pluginhost/lifecycle"
	"github.com/droverhq/drover/sdk/plugin"
)

// Snapshot is what there is at one moment. It must not be changed.
type Snapshot struct {
	// Drivers by name, those that were not detected or are down included.
	Drivers map[string]*model.DriverInfo
	// Devices in the order of vendor, type and name. Those of a plugin that is down are there and unhealthy.
	Devices []*model.NodeDevice
	// Plugins is every file of plugin_dir and every generation, in the order of file and generation.
	Plugins []*model.PluginInfo
	// NetworkModes in the order of their names. Those of a plugin that is down are there and unhealthy.
	NetworkModes []*model.NodeNetworkMode
	// Attributes are the node's: driver.<name> = 1 for what was detected, the drivers' own, and
	// plugin.driver.<name>.version.
	Attributes map[string]string
	// Schemas of the drivers' task config, by digest.
	Schemas map[string]Schema
}

// Schema is a driver's task config schema, for registration at the servers.
type Schema struct {
	Digest  string
	Driver  string
	Version string // of the plugin
	JSON    []byte // of a *schema.Spec
}

// Watch returns what there is now, and a channel that is closed when that changes.
func (h *Host) Watch() (*Snapshot, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.snapshot, h.update
}

// Drivers is what the node tells of its drivers.
func (h *Host) Drivers() map[string]*model.DriverInfo {
	s, _ := h.Watch()
	return s.Drivers
}

// Plugins is every plugin file found, those that could not be used included.
func (h *Host) Plugins() []*model.PluginInfo {
	s, _ := h.Watch()
	return s.Plugins
}

// changed wakes those who wait, and publishes a snapshot if it differs.
func (h *Host) changed() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.changedLocked()
}

func (h *Host) changedLocked() {
	close(h.wake)
	h.wake = make(chan struct{})
	h.review()
	next := h.picture()
	if reflect.DeepEqual(next, h.snapshot) {
		return
	}
	h.snapshot = next
	close(h.update)
	h.update = make(chan struct{})
}

// picture draws a snapshot. The lock is held.
func (h *Host) picture() *Snapshot {
	s := &Snapshot{Drivers: map[string]*model.DriverInfo{}, Attributes: map[string]string{}, Schemas: map[string]Schema{}}
	if h.dirError != "" { // where people look for the plugins that they miss
		s.Plugins = append(s.Plugins, &model.PluginInfo{Name: "plugin_dir", File: h.config.PluginDir, State: string(lifecycle.Failed),
			Reason: h.dirError, UpdatedAt: h.dirErrorAt.Unix()})
	}
	for _, file := range sortedKeys(h.families) {
		f := h.families[file]
		for _, g := range f.generations {
			s.Plugins = append(s.Plugins, g.pluginInfo())
			g.addSchema(s.Schemas)
		}
		if f.waitsForReload() {
			s.Plugins = append(s.Plugins, &model.PluginInfo{Name: f.reported(), File: f.file, SHA256: f.state.Digest,
				State: string(lifecycle.Verified), UpdatedAt: f.state.Since.Unix(),
				Reason: fmt.Sprintf("waits for `drover plugin reload %s` (upgrade = \"manual\")", f.reported())})
		}
		if f.refusal != "" {
			s.Plugins = append(s.Plugins, &model.PluginInfo{Name: f.name(), File: f.file, State: string(lifecycle.Failed),
				Reason: f.refusal, UpdatedAt: f.refusedAt.Unix()})
		}
		if g := f.shown(); g != nil && g.last != nil && h.claims[claim(g.last.info.Type.String(), g.name)] == f {
			switch g.last.info.Type {
			case plugin.TypeDriver:
				h.addDriver(s, g)
			case plugin.TypeNetwork:
				h.addModes(s, g)
			case plugin.TypeDevice:
				h.addDevices(s, g)
			}
		}
	}
	return s
}

func (h *Host) addDriver(s *Snapshot, g *generation) {
	shown := g.machine.Shown
	info := &model.DriverInfo{
		Attributes: map[string]string{}, Detected: shown.Detected, Healthy: shown.Healthy,
		HealthDescription: shown.Description, SchemaDigest: g.last.schemaDigest, Version: g.version,
		NetworkModes: networkModes(g.last.capabilities), MustCreateNetwork: g.last.capabilities.MustCreateNetwork,
	}
	if g.machine.Leaving != "" {
		info.Healthy, info.HealthDescription = false, g.machine.Leaving
	}
	if !shown.Known && info.HealthDescription == "" {
		info.HealthDescription = "no fingerprint yet"
	}
	s.Attributes["plugin.driver."+g.name+".version"] = g.version
	if info.Detected {
		maps.Copy(info.Attributes, g.attributes)
		info.Attributes["driver."+g.name] = "1"
		s.addAttributes(info.Attributes, "driver."+g.name)
	}
	info.UpdateTime = h.updateTime(g.name, info)
	s.Drivers[g.name] = info
}

// addAttributes puts a plugin's attributes on the node: not those that are another plugin's by their name, nor those that
// a plugin whose file comes first gave. own is the beginning of the names that are this plugin's alone.
func (s *Snapshot) addAttributes(attributes map[string]string, own string) {
	for key, value := range attributes {
		mine := key == own || strings.HasPrefix(key, own+".")
		if !mine && (strings.HasPrefix(key, "driver.") || strings.HasPrefix(key, "plugin.")) {
			continue
		}
		if _, given := s.Attributes[key]; !given || mine {
			s.Attributes[key] = value
		}
	}
}

// updateTime keeps the time of what did not change.
func (h *Host) updateTime(name string, next *model.DriverInfo) time.Time {
	if before := h.snapshot.Drivers[name]; before != nil {
		same := *before
		same.UpdateTime = time.Time{}
		if reflect.DeepEqual(&same, next) {
			return before.UpdateTime
		}
	}
	return h.now()
}

func (g *generation) pluginInfo() *model.PluginInfo {
	m := &g.machine
	info := &model.PluginInfo{
		Name: g.name, Type: g.kind, Version: g.version, File: g.family.file, SHA256: g.digest, Trust: g.trust, State: string(m.State), Reason: m.Reason,
		Restarts: m.Restarts, Generation: g.number, Healthy: m.Shown.Healthy && m.Leaving == "", TaskCount: len(g.tasks),
		UpdatedAt: g.since.Unix(),
	}
	if info.Name == "" {
		info.Name = g.family.name()
	}
	if s := g.session; s != nil {
		info.PID, info.StartedAt = s.proc.ID().PID, s.started.Unix()
	}
	for _, why := range []string{g.overruled(), g.modeOverruled()} {
		if why != "" && info.Reason == "" {
			info.Reason = why
		}
	}
	if !m.RetryAt.IsZero() && m.State == lifecycle.Failed {
		info.Reason = fmt.Sprintf("%s (next attempt at %s)", m.Reason, m.RetryAt.UTC().Format(time.RFC3339))
	}
	return info
}

func (g *generation) addSchema(all map[string]Schema) {
	s := g.last
	if s == nil || s.schema == nil {
		return
	}
	if _, known := all[s.schemaDigest]; known {
		return
	}
	text, err := json.Marshal(s.schema)
	if err != nil {
		return // it came from the wire and has a digest, so it has a text
	}
	all[s.schemaDigest] = Schema{Digest: s.schemaDigest, Driver: s.info.Name, Version: s.info.Version, JSON: text}
}
