//go:build !linux

package fingerprint

func lookCgroup(*Config, *Result) error   { return nil }
func lookLandlock(*Config, *Result) error { return nil }
