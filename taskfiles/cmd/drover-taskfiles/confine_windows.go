package main

// confine does nothing: on Windows the helper runs with the agent's rights.
func confine(string) error { return nil }
