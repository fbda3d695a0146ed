//go:build race

package tasklog

// raceDetector costs memory that says nothing about the collector.
const raceDetector = true
