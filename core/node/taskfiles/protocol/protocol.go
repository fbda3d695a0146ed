// Package protocol is what the node and its helper drover-taskfiles say to each other: JSON values, one after the
// other, on the helper's standard input and output. The helper ends when its input does.
//
// Rendering is a pure function: the node sends a template with everything it may know and gets the text, or the list of
// what is missing. The helper reads no file and asks nobody.
package protocol

import "fmt"

// Binary is the helper's name; it lies beside the drover binary.
const Binary = "drover-taskfiles"

// Verbs of the helper.
const (
	VerbRender = "render" // many requests, in any order of answers
	VerbFetch  = "fetch"  // one Fetch, progress and one result
)

// Kinds of data that a template may need.
const (
	NeedService  = "service"  // instances of one service
	NeedServices = "services" // names and tags of all services
	NeedFile     = "file"
)

// Need names data. Choose, with NeedService, asks for that many instances picked by Hash.
type Need struct {
	Kind   string
	Name   string `json:",omitempty"`
	Choose int    `json:",omitempty"`
	Hash   string `json:",omitempty"`
}

// String is how the need is shown to users.
func (n Need) String() string {
	if n.Name == "" {
		return n.Kind
	}
	return fmt.Sprintf("%s(%s)", n.Kind, n.Name)
}

// Known is the data for a need.
type Known struct {
	Need     Need
	Services []Service     `json:",omitempty"`
	Names    []ServiceName `json:",omitempty"`
	File     []byte        `json:",omitempty"`
}

// Service is one instance.
type Service struct {
	ID, Name, NodeID, Datacenter, Address, JobID, AllocID string
	Tags                                                  []string
	Port                                                  int
}

// ServiceName is one service with the tags of all its instances.
type ServiceName struct {
	Name string
	Tags []string
}

// Render asks for a template's text. Env is the task's environment as KEY=value.
type Render struct {
	ID            uint64
	Text          string
	Left, Right   string
	ErrMissingKey bool
	Region        string
	Env           []string
	Known         []Known
	Denied        []string // functions that are refused, patterns with *
}

// Rendered is the answer: an error of the template's own, the needs that Known did not have, or the text. Used are
// all needs that the template named.
type Rendered struct {
	ID      uint64
	Output  []byte
	Used    []Need
	Missing []Need
	Error   string
}

// MaxOutput bounds what a template renders, in bytes.
const MaxOutput = 16 << 20

// Fetch asks for one artifact. Dir is an empty directory that the helper may write to; the artifact goes to Dir/out
// (mode dir and any: a directory) or Dir/file (mode file).
type Fetch struct {
	Source   string // URL with options as query
	Mode     string // any, file, dir
	Headers  map[string]string
	Insecure bool
	Dir      string
	Limits   Limits
}

// Limits of a download; sizes in bytes.
type Limits struct {
	HTTPReadTimeout int64 // ns
	HTTPMaxSize     int64
	GitTimeout      int64 // ns
	Files           int
	Size            int64 // unpacked
}

// Places beneath Fetch.Dir.
const (
	FetchedDir  = "out"
	FetchedFile = "file"
)

// Fetched is either progress (Done false) or the result.
type Fetched struct {
	Bytes, Total int64 // of the current file; Total 0 = unknown
	Done         bool
	Error        string
	Permanent    bool // another try would end the same
}
