//go:build !race

package tasklog

const raceDetector = false
