package launch

// Spec describes one process. It crosses the wire between plugin and keeper as
// JSON, so fields are only ever added and the zero value keeps its meaning.
type Spec struct {
	// Path is the program, absolute, as seen by the process (inside Root).
	Path string
	// Args is the complete argument vector, Args[0] included.
	Args []string
	// Env is the complete environment as KEY=value.
	Env []string
	// Dir is the working directory as seen by the process; empty means "/".
	Dir string

	// Stdout and Stderr are the paths of named pipes, on Windows.
	Stdout, Stderr string `json:",omitempty"`
	// TTY makes standard input the controlling terminal.
	TTY bool
	// OOMScoreAdj replaces the keeper's own, which is low.
	OOMScoreAdj int
	// NoFile is the limit of open files; nil leaves the keeper's.
	NoFile *Limit

	// Cgroup is a cgroup v2 directory that the process is born in.
	Cgroup string `json:",omitempty"`
	// Join lists cgroup v1 directories that the process enters before it runs.
	Join []string `json:",omitempty"`

	// Namespaces are made new for the process.
	Namespaces Namespaces
	// NetNS is the file of a network namespace to enter; empty stays.
	NetNS string `json:",omitempty"`
	// Root replaces the file system the process sees; it needs
	// Namespaces.Mount. Nil keeps the host's.
	Root *Root `json:",omitempty"`
	// Enter puts the process into the namespaces of another one, whose pidfd
	// comes with the call. Root and Namespaces must be empty then.
	Enter Namespaces

	// User is switched to before the program runs; nil stays who we are.
	User *User `json:",omitempty"`
	// Capabilities, when not nil, is the complete set that the process and
	// its descendants may ever hold, as a bit mask by capability number.
	Capabilities *uint64 `json:",omitempty"`
	// NoNewPrivileges keeps set-uid programs from giving more than that.
	NoNewPrivileges bool `json:",omitempty"`
	// Landlock, when not nil, confines writing by the kernel's module of that
	// name, as a second fence behind Root's mounts. It needs NoNewPrivileges.
	Landlock *Landlock `json:",omitempty"`
	// Seccomp is a filter of system calls: instructions of struct sock_filter
	// in this machine's byte order. It needs NoNewPrivileges.
	Seccomp []byte `json:",omitempty"`
}

// Limit is a resource limit.
type Limit struct{ Soft, Hard uint64 }

// User is who a process runs as.
type User struct {
	UID, GID uint32
	// Groups are the supplementary groups.
	Groups []uint32
}

// Landlock is where a process may write; reading is not restricted.
type Landlock struct {
	// ABI is the version of the kernel's interface, at least 2.
	ABI int
	// Write are directories and files, as seen by the process. What standard
	// input, output and error lead to may be written too.
	Write []Writable
}

// Writable is a directory, with all below it, or a file.
type Writable struct {
	Path string
	File bool `json:",omitempty"`
}

// Namespaces names kinds of Linux namespaces.
type Namespaces struct {
	Mount, PID, IPC, Net bool `json:",omitempty"`
}

// Any reports whether any kind is named.
func (n Namespaces) Any() bool { return n != Namespaces{} }

// Root is a file system of the process's own. It begins as an empty tmpfs to
// which Entries are added in order; at the end it is made read-only.
type Root struct {
	// On is an existing host directory that the new root is mounted on while
	// it is being built, visible to the new process alone.
	On string
	// Entries are added in order, parents before children.
	Entries []Entry
	// NoPivot uses chroot, for hosts whose root is an initial ramdisk.
	NoPivot bool `json:",omitempty"`
}

// Kind says what an Entry is.
type Kind string

const (
	// Bind mounts Source, a host path, with everything mounted below it.
	Bind Kind = "bind"
	// Rebind mounts Source, a path inside the new root, once more: this is
	// how a part of /proc becomes read-only. A missing one is passed over.
	Rebind Kind = "rebind"
	// Filesystem mounts a file system of type Source with Data as options.
	Filesystem Kind = "fs"
	// Point makes an empty directory or file.
	Point Kind = "point"
	// Symlink makes a symbolic link to Source.
	Symlink Kind = "symlink"
	// Device makes a character device Major:Minor with permissions 0666.
	Device Kind = "device"
	// Seal makes the file system mounted at Target read-only, but not what is
	// mounted below it.
	Seal Kind = "seal"
)

// Entry is one thing to put into a Root.
type Entry struct {
	Kind   Kind
	Source string
	// Target is the absolute path inside the new root. What is missing of it
	// is made, if the file system it is on can be written.
	Target string
	// Beneath is the directory, which only root can change, that Source of a
	// Bind lies in. From there on no link is followed: others may have put one
	// in the way. Empty follows links, as for the operator's own paths.
	Beneath string `json:",omitempty"`
	// File says that Source of a Bind is no directory.
	File bool `json:",omitempty"`
	// Data is the option string of a Filesystem.
	Data string `json:",omitempty"`
	// ReadOnly, NoDev and NoExec apply to everything mounted below as well.
	// Set-user-id bits count in no mount.
	ReadOnly, NoDev, NoExec bool `json:",omitempty"`
	// Propagation of later mounts: "private" (the default), "host-to-task"
	// or "bidirectional".
	Propagation  string `json:",omitempty"`
	Major, Minor uint32 `json:",omitempty"`
}

// Files are the open files a process is started with on Linux. The caller
// keeps them. On Windows the keeper opens Spec.Stdout and Spec.Stderr itself.
type Files struct {
	// Stdio are standard input, output and error; none may be 0, 1 or 2.
	Stdio [3]int
	// Enter is the pidfd of the process whose namespaces Spec.Enter names.
	Enter int
}
