// Package reconcile compares what a job asks for with the allocations there are and says what to do about the
// difference: place, stop, replace, update, wait. It decides nothing about nodes except whether one is still there, so
// its result reads as a list of wishes that the scheduler then finds nodes for.
//
// Generic is for service and batch jobs, System for system and sysbatch jobs. Both are
// pure. The transcripts in testdata show what they do, case by case.
package reconcile
