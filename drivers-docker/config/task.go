package config

import (
	"time"

	"github.com/droverhq/drover/sdk/schema"
)

// Task is a job's config block for one task.
type Task struct {
	Image            string        `config:"image,required"`
	Load             string        `config:"load"` // image archive below the task's local directory
	ForcePull        bool          `config:"force_pull"`
	ImagePullTimeout time.Duration `config:"image_pull_timeout"` // 0: the plugin's
	Auth             TaskAuth      `config:"auth,block"`
	AuthSoftFail     bool          `config:"auth_soft_fail"`

	Command     string   `config:"command"`
	Args        []string `config:"args"`
	Entrypoint  []string `config:"entrypoint"`
	WorkDir     string   `config:"work_dir"`
	Init        bool     `config:"init"`
	Interactive bool     `config:"interactive"`
	TTY         bool     `config:"tty"`

	CapAdd         []string         `config:"cap_add"`
	CapDrop        []string         `config:"cap_drop"`
	Privileged     bool             `config:"privileged"`
	SecurityOpt    []string         `config:"security_opt"`
	ReadonlyRootFS bool             `config:"readonly_rootfs"`
	GroupAdd       []string         `config:"group_add"`
	Sysctl         schema.StringMap `config:"sysctl"`
	Ulimit         schema.StringMap `config:"ulimit"`
	Runtime        string           `config:"runtime"`
	Isolation      string           `config:"isolation"`

	CgroupNS   string `config:"cgroupns"`
	IPCMode    string `config:"ipc_mode"`
	PIDMode    string `config:"pid_mode"`
	UTSMode    string `config:"uts_mode"`
	UserNSMode string `config:"userns_mode"`

	CPUCFSPeriod    int64             `config:"cpu_cfs_period" default:"100000"` // µs
	CPUHardLimit    bool              `config:"cpu_hard_limit"`
	CpusetCPUs      string            `config:"cpuset_cpus"`       // ignored with a warning: the scheduler owns cores
	MemoryHardLimit int64             `config:"memory_hard_limit"` // MB
	OOMScoreAdj     int               `config:"oom_score_adj"`
	PidsLimit       int64             `config:"pids_limit"`
	ShmSize         int64             `config:"shm_size"` // bytes
	StorageOpt      map[string]string `config:"storage_opt,block"`

	NetworkMode          string           `config:"network_mode"`
	NetworkAliases       []string         `config:"network_aliases"`
	Hostname             string           `config:"hostname"`
	MacAddress           string           `config:"mac_address"`
	IPv4Address          string           `config:"ipv4_address"`
	IPv6Address          string           `config:"ipv6_address"`
	AdvertiseIPv6Address bool             `config:"advertise_ipv6_address"`
	ExtraHosts           []string         `config:"extra_hosts"`
	DNSServers           []string         `config:"dns_servers"`
	DNSSearchDomains     []string         `config:"dns_search_domains"`
	DNSOptions           []string         `config:"dns_options"`
	Ports                []string         `config:"ports"`
	PortMap              schema.NumberMap `config:"port_map"`

	Devices      []Device `config:"devices,block"`
	Mount        []Mount  `config:"mount,block"`
	Mounts       []Mount  `config:"mounts,block"`
	Volumes      []string `config:"volumes"`
	VolumeDriver string   `config:"volume_driver"`

	Labels       schema.StringMap `config:"labels"`
	Logging      TaskLogging      `config:"logging,block"`
	Healthchecks Healthchecks     `config:"healthchecks,block"`

	ContainerExistsAttempts int `config:"container_exists_attempts"` // accepted; the plugin's counts
}

// TaskAuth are registry credentials in the job.
type TaskAuth struct {
	Username      string `config:"username"`
	Password      string `config:"password"`
	Email         string `config:"email"` // accepted, not used by registries
	ServerAddress string `config:"server_address"`
}

// Device gives the container a host device.
type Device struct {
	HostPath          string `config:"host_path"`
	ContainerPath     string `config:"container_path"` // empty: HostPath
	CgroupPermissions string `config:"cgroup_permissions"`
}

// Mount is a volume, a host path or a tmpfs in the container.
type Mount struct {
	Type          string        `config:"type" default:"volume"`
	Target        string        `config:"target"`
	Source        string        `config:"source"`
	Readonly      bool          `config:"readonly"`
	BindOptions   BindOptions   `config:"bind_options,block"`
	TmpfsOptions  TmpfsOptions  `config:"tmpfs_options,block"`
	VolumeOptions VolumeOptions `config:"volume_options,block"`
}

// BindOptions belong to a mount of type bind.
type BindOptions struct {
	Propagation string `config:"propagation"`
}

// TmpfsOptions belong to a mount of type tmpfs.
type TmpfsOptions struct {
	SizeBytes int64 `config:"size"`
	Mode      int   `config:"mode"`
}

// VolumeOptions belong to a mount of type volume.
type VolumeOptions struct {
	NoCopy       bool             `config:"no_copy"`
	Labels       schema.StringMap `config:"labels"`
	DriverConfig VolumeDriver     `config:"driver_config,block"`
}

// VolumeDriver makes the volume.
type VolumeDriver struct {
	Name    string           `config:"name"`
	Options schema.StringMap `config:"options"`
}

// TaskLogging is where the container logs to.
type TaskLogging struct {
	Type   string           `config:"type"`
	Driver string           `config:"driver"` // older name of type, which wins
	Config schema.StringMap `config:"config"`
}

// Healthchecks is about the image's own HEALTHCHECK.
type Healthchecks struct {
	Disable bool `config:"disable"`
}
