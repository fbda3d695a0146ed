// Package fingerprint finds out what a machine is and what it can give: node attributes and node
// resources. Nothing here names a runtime; what drivers say of themselves is merged in by the node.
//
// Each entry of the table in this file is one look at the machine. An entry that fails leaves its attributes out and is
// reported; the others go on.
package fingerprint

import (
	"errors"
	"fmt"
	"strings"

	"github.com/droverhq/drover/core/model"
)

// CompatVersion is the version that existing tools and implied constraints look for in nomad.version.
const CompatVersion = "1.11.3"

// Config says what to look at and what the operator knows better.
type Config struct {
	Version          string // Drover's own
	AllocDir         string // its volume is the node's disk; must exist
	Dev              bool   // offer the loopback interface only
	NetworkInterface string // "" = the interface of the default route
	NetworkSpeed     int    // Mbit/s; 0 = what the system says, else 1000
	AdvertiseAddr    string
	HostNetworks     map[string]*model.HostNetwork
	Overrides        Overrides
	Reserved         Reserved
	Options          map[string]string // fingerprint.allowlist, fingerprint.denylist
}

// Overrides replace measured values; 0 and empty mean measured.
type Overrides struct {
	CPUTotalCompute int64 // MHz
	MemoryTotalMB   int64
	DiskTotalMB     int64
	ReservableCores []uint16
}

// Reserved is kept for the machine itself.
type Reserved struct {
	CPU      int64 // MHz
	MemoryMB int64
	DiskMB   int64
	Cores    []uint16
	Ports    string // "22,80,8000-8100"
}

// Result is what was found.
type Result struct {
	Attributes map[string]string
	Resources  model.NodeResources
	Reserved   model.NodeReservedResources
}

// set stores an attribute; an empty value is no attribute.
func (r *Result) set(name, value string) {
	if value != "" {
		r.Attributes[name] = value
	}
}

// printer is one look at the machine.
type printer struct {
	name string
	look func(*Config, *Result) error
}

// printers run in this order.
var printers = []printer{
	{"arch", lookArch},
	{"cgroup", lookCgroup},
	{"cpu", lookCPU},
	{"host", lookHost},
	{"memory", lookMemory},
	{"storage", lookStorage},
	{"network", lookNetwork},
	{"signal", lookSignals},
	{"landlock", lookLandlock},
	{"nomad", lookVersion},
}

// Run looks at the machine. The result is usable even when the error, which joins all that failed, is not nil.
func Run(cfg Config) (*Result, error) {
	r := &Result{Attributes: map[string]string{}}
	r.Reserved = model.NodeReservedResources{
		Cpu:      model.NodeReservedCPU{CpuShares: cfg.Reserved.CPU, ReservedCpuCores: cfg.Reserved.Cores},
		Memory:   model.NodeMemory{MemoryMB: cfg.Reserved.MemoryMB},
		Disk:     model.NodeDisk{DiskMB: cfg.Reserved.DiskMB},
		Networks: model.NodeReservedNetworks{ReservedHostPorts: cfg.Reserved.Ports},
	}
	allowed := filter(cfg.Options)
	var errs []error
	for _, p := range printers {
		if !allowed(p.name) {
			continue
		}
		if err := p.look(&cfg, r); err != nil {
			errs = append(errs, fmt.Errorf("fingerprint %s: %w", p.name, err))
		}
	}
	return r, errors.Join(errs...)
}

// filter reads the allow and deny lists: comma separated names; an allow list admits nothing else.
func filter(options map[string]string) func(name string) bool {
	allow, deny := list(options["fingerprint.allowlist"]), list(options["fingerprint.denylist"])
	return func(name string) bool {
		return (len(allow) == 0 || allow[name]) && !deny[name]
	}
}

func list(s string) map[string]bool {
	out := map[string]bool{}
	for _, f := range strings.Split(s, ",") {
		if f = strings.TrimSpace(f); f != "" {
			out[f] = true
		}
	}
	return out
}

func lookVersion(cfg *Config, r *Result) error {
	r.set("nomad.version", CompatVersion)
	r.set("nomad.service_discovery", "true")
	r.set("drover.version", cfg.Version)
	r.set("unique.advertise.address", cfg.AdvertiseAddr)
	return nil
}
