//go:build !failpoints

package tasklog

// builtinFailpoint is inert in every build without the tag "failpoints".
func builtinFailpoint() failpoint { return nil }
