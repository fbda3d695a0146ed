package consensus

import (
	"fmt"
	"time"

	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/core/state"
)

// Type numbers an entry's struct in the log.
type Type byte

// Entry is one change of the state.
type Entry interface {
	// entryType is the number under which the struct is in the log.
	entryType() Type
	// stamp gives the entry the time at which the leader made it; the state reads no other clock.
	stamp(now time.Time)
	// at is that time.
	at() time.Time
	// kind is the type of the events it causes.
	kind() string
	// apply changes the state. What it returns is Apply's result. An error leaves the state as it was.
	apply(*state.Txn) (any, error)
}

// Stamp is part of every entry.
type Stamp struct {
	At int64 // nanoseconds since the epoch, by the leader's clock
}

func (s *Stamp) stamp(now time.Time) { s.At = now.UnixNano() }
func (s *Stamp) at() time.Time       { return time.Unix(0, s.At) }

// version is the one that new entries of a type are written in.
func version(t Type) byte {
	if t == typeApplyPlans {
		return 2 // Placed
	}
	return 1
}

// empty returns the struct for a type and version that is, or ever was, in a log; nil for one that never was.
func empty(t Type, version byte) Entry {
	switch version {
	case 2:
		if t == typeApplyPlans {
			return new(ApplyPlans)
		}
	case 1:
		switch t {
		case typeRegisterJob:
			return new(RegisterJob)
		case typeDeregisterJob:
			return new(DeregisterJob)
		case typeUpsertEvals:
			return new(UpsertEvals)
		case typeReap:
			return new(Reap)
		case typeApplyPlans:
			return new(ApplyPlans)
		case typeRegisterNode:
			return new(RegisterNode)
		case typeNodeStatus:
			return new(NodeStatus)
		case typeNodeDrain:
			return new(NodeDrain)
		case typeNodeEligibility:
			return new(NodeEligibility)
		case typeDeleteNodes:
			return new(DeleteNodes)
		case typeNodeUpdates:
			return new(NodeUpdates)
		case typeAllocTransitions:
			return new(AllocTransitions)
		case typeDeploymentStatus:
			return new(DeploymentStatus)
		case typePromoteDeployment:
			return new(PromoteDeployment)
		case typeDeploymentHealth:
			return new(DeploymentHealth)
		case typeJobStability:
			return new(JobStability)
		case typeTagJobVersion:
			return new(TagJobVersion)
		case typeScaleJob:
			return new(ScaleJob)
		case typeSchedulerConfig:
			return new(SchedulerConfig)
		case typeNamespaces:
			return new(Namespaces)
		case typeNodePools:
			return new(NodePools)
		case typeDeleteServices:
			return new(DeleteServices)
		case typeReconcileSummaries:
			return new(ReconcileSummaries)
		case typeSkipLaunch:
			return new(SkipLaunch)
		case typeAutopilotConfig:
			return new(AutopilotConfig)
		case typeIntroTokens:
			return new(IntroTokens)
		case typeIntroduceNode:
			return new(IntroduceNode)
		case typeNameCluster:
			return new(NameCluster)
		}
	}
	return nil
}

// Encode is an entry as it stands in the log.
func Encode(e Entry) ([]byte, error) {
	b, err := rpc.AppendEncoded([]byte{byte(e.entryType()), version(e.entryType())}, e)
	if err != nil {
		return nil, fmt.Errorf("encode log entry %T: %w", e, err)
	}
	return b, nil
}

// Decode reads an entry from the log.
func Decode(data []byte) (Entry, error) {
	if len(data) < 2 {
		return nil, fmt.Errorf("log entry of %d bytes: it has no type", len(data))
	}
	e := empty(Type(data[0]), data[1])
	if e == nil {
		return nil, fmt.Errorf("log entry of type %d, version %d: this release does not know it; it was written by a later one", data[0], data[1])
	}
	if err := rpc.Decode(data[2:], e); err != nil {
		return nil, fmt.Errorf("decode log entry %T: %w", e, err)
	}
	return e, nil
}
