package feasible

// Verdict is the answer for one node: OK or the number of the reason against it.
type Verdict uint16

// The verdicts every set of rules has; those of constraints follow.
const (
	OK Verdict = iota
	OutOfCPU
	OutOfMemory
	OutOfDisk
	OutOfCores
	OutOfPorts
	OutOfAllocs
	MissingDrivers
	MissingDevices
	MissingNetwork
	MissingVolumes
	fixedVerdicts
)

// Reasons, in the words that users and tools know.
const (
	reasonDrivers = "missing drivers"
	reasonDevices = "missing devices"
	reasonNetwork = "missing network"
	reasonVolumes = "missing compatible host volumes"
	reasonPorts   = "network: dynamic port selection failed"
	reasonAllocs  = "max allocation exceeded"
)

// reason is the text of a verdict. Exhausted ones are about room, the others about what a node is.
type reason struct {
	text      string
	exhausted bool
}

// reasons numbers texts as they come up.
type reasons struct {
	list []reason
	ids  map[string]Verdict
}

func newReasons() reasons {
	return reasons{list: []reason{
		OK:             {"", false},
		OutOfCPU:       {"cpu", true},
		OutOfMemory:    {"memory", true},
		OutOfDisk:      {"disk", true},
		OutOfCores:     {"cores", true},
		OutOfPorts:     {reasonPorts, true},
		OutOfAllocs:    {reasonAllocs, true},
		MissingDrivers: {reasonDrivers, false},
		MissingDevices: {reasonDevices, false},
		MissingNetwork: {reasonNetwork, false},
		MissingVolumes: {reasonVolumes, false},
	}}
}

// verdict returns the number of a text.
func (r *reasons) verdict(text string, exhausted bool) Verdict {
	key := text
	if exhausted {
		key = "\x00" + text
	}
	if v, ok := r.ids[key]; ok {
		return v
	}
	if r.ids == nil {
		r.ids = map[string]Verdict{}
	}
	v := Verdict(len(r.list))
	r.list = append(r.list, reason{text, exhausted})
	r.ids[key] = v
	return v
}
