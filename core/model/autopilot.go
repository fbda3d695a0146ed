package model

import (
	"encoding/json"
	"fmt"
	"time"
)

// AutopilotConfig is how the group of servers is tended.
type AutopilotConfig struct {
	CleanupDeadServers      bool // remove a dead server once another one is there for it
	LastContactThreshold    Text // a server that hears the leader less often is unhealthy
	MaxTrailingLogs         uint64
	MinQuorum               uint // dead servers are not removed below this many; 0: server.bootstrap_expect
	ServerStabilizationTime Text // a new server votes after being healthy for so long
	EnableRedundancyZones   bool
	DisableUpgradeMigration bool
	EnableCustomUpgrades    bool
	CreateIndex             uint64
	ModifyIndex             uint64
}

// DefaultAutopilotConfig is in force until an operator changes it.
func DefaultAutopilotConfig() *AutopilotConfig {
	return &AutopilotConfig{
		CleanupDeadServers: true, LastContactThreshold: Text(200 * time.Millisecond), MaxTrailingLogs: 250,
		ServerStabilizationTime: Text(10 * time.Second),
	}
}

// Text is a duration whose JSON form is a text such as "200ms"; a number is nanoseconds.
type Text time.Duration

// MarshalJSON writes the text.
func (d Text) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).String()) }

// UnmarshalJSON reads either form.
func (d *Text) UnmarshalJSON(b []byte) error {
	var n int64
	if json.Unmarshal(b, &n) == nil {
		*d = Text(n)
		return nil
	}
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("a duration is a text such as \"200ms\", got %s", b)
	}
	v, err := time.ParseDuration(s)
	if err != nil {
		return err
	}
	*d = Text(v)
	return nil
}
