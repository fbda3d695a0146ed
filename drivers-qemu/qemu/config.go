package qemu

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/droverhq/drover/sdk/schema"
)

// pluginConfig is the agent's plugin block.
type pluginConfig struct {
	// ImagePaths are directories that images may lie in, besides the task's
	// allocation.
	ImagePaths []string `config:"image_paths"`
	// ArgsAllowlist are the options that a task's args may hold; nil is all.
	ArgsAllowlist []string `config:"args_allowlist"`
	// EmulatorsAllowlist are the emulators that may be used; empty is all.
	EmulatorsAllowlist []string `config:"emulators_allowlist"`
}

// taskConfig is a task's config block.
type taskConfig struct {
	ImagePath        string           `config:"image_path,required"`
	Emulator         string           `config:"emulator" default:"x86_64"`
	MachineType      string           `config:"machine_type" default:"pc"`
	DriveInterface   string           `config:"drive_interface" default:"ide"`
	Accelerator      string           `config:"accelerator" default:"tcg"`
	GracefulShutdown bool             `config:"graceful_shutdown" default:"false"`
	GuestAgent       bool             `config:"guest_agent" default:"false"`
	Args             []string         `config:"args"`
	PortMap          schema.NumberMap `config:"port_map"`
	Disks            []diskConfig     `config:"disk,block"`
	NoCloud          *noCloudConfig   `config:"nocloud,block"`
}

// diskConfig is a disk besides the one that image_path names.
type diskConfig struct {
	Path string `config:"path,required"`
	// Interface is drive_interface if empty.
	Interface string `config:"interface"`
	ReadOnly  bool   `config:"read_only" default:"false"`
}

// noCloudConfig asks for a seed of cloud-init's NoCloud data source. What is
// not given here is read from the directory, if one is named.
type noCloudConfig struct {
	Dir           string `config:"dir"`
	UserData      string `config:"user_data"`
	MetaData      string `config:"meta_data"`
	NetworkConfig string `config:"network_config"`
	VendorData    string `config:"vendor_data"`
}

// interfaces are what QEMU's -drive takes as if=.
var interfaces = []string{"ide", "scsi", "sd", "mtd", "floppy", "pflash", "virtio", "none"}

// word is what may stand inside an option of QEMU's, where commas begin the
// next one.
var word = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// emulatorName is an emulator without qemu-system-, which a job may write too.
func emulatorName(given string) string { return strings.TrimPrefix(given, programPrefix) }

// CheckConfig refuses a task's config for what the schema cannot say.
func (d *Driver) CheckConfig(_ context.Context, c taskConfig) schema.Diagnostics {
	var found schema.Diagnostics
	refuse := func(path, format string, args ...any) {
		found = append(found, schema.Diagnostic{Summary: "Invalid value", Detail: fmt.Sprintf(format, args...), Path: path})
	}
	if c.ImagePath == "" {
		refuse("image_path", "it must name a disk image")
	}
	if !word.MatchString(emulatorName(c.Emulator)) {
		refuse("emulator", "%q is no emulator; names are such as x86_64", c.Emulator)
	}
	if !word.MatchString(c.MachineType) {
		refuse("machine_type", "%q is no machine type; names are such as pc and q35", c.MachineType)
	}
	for _, a := range strings.Split(c.Accelerator, ":") {
		if !word.MatchString(a) {
			refuse("accelerator", "%q is no accelerator; names are such as tcg and kvm", c.Accelerator)
		}
	}
	check := func(path, name string) {
		if !slices.Contains(interfaces, name) {
			refuse(path, "%q is no drive interface; it must be one of %s", name, strings.Join(interfaces, ", "))
		}
	}
	check("drive_interface", c.DriveInterface)
	for i, disk := range c.Disks {
		if disk.Path == "" {
			refuse(fmt.Sprintf("disk[%d].path", i), "it must name a disk image")
		}
		if disk.Interface != "" {
			check(fmt.Sprintf("disk[%d].interface", i), disk.Interface)
		}
	}
	for label, port := range c.PortMap {
		if port < 1 || port > 65535 {
			refuse("port_map."+label, "%d is no port", port)
		}
	}
	for i, arg := range c.Args {
		if name, _ := optionName(arg); name == "daemonize" {
			refuse(fmt.Sprintf("args[%d]", i), "%s would take the machine out of the driver's hands", arg)
		}
	}
	if n := c.NoCloud; n != nil && *n == (noCloudConfig{}) {
		refuse("nocloud", "it is empty: give user_data, meta_data or a dir")
	}
	return found
}

// check refuses a plugin block that cannot be meant.
func check(p pluginConfig) error {
	for _, dir := range p.ImagePaths {
		if !filepath.IsAbs(dir) {
			return fmt.Errorf("image_paths: %q must be an absolute path", dir)
		}
	}
	return nil
}

// checkEmulator refuses emulators that the operator does not allow.
func checkEmulator(name string, allowed []string) error {
	for _, a := range allowed {
		if emulatorName(a) == name {
			return nil
		}
	}
	if len(allowed) == 0 {
		return nil
	}
	return fmt.Errorf("emulator %q is not in the plugin's emulators_allowlist (%s)", name, strings.Join(allowed, ", "))
}
