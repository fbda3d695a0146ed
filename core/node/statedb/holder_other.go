//go:build !linux

package statedb

func holder(string) string { return "another process" }

func isNoSpace(error) bool { return false }
