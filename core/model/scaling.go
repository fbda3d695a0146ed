package model

// MaxScalingEvents is how many scaling events a group keeps.
const MaxScalingEvents = 20

// ScalingEvent records that a group's count was changed, or why it was not.
type ScalingEvent struct {
	Time          int64
	Count         *int64
	PreviousCount int64
	Message       string
	Error         bool
	Meta          map[string]any
	EvalID        *string
	CreateIndex   uint64
}

// How a drain stands (DrainMetadata.Status).
const (
	DrainDraining = "draining"
	DrainComplete = "complete"
	DrainCanceled = "canceled"
)

// DrainSpec asks for a drain.
type DrainSpec struct {
	Deadline         int64 // nanoseconds; < 0 at once, 0 none
	IgnoreSystemJobs bool
}
