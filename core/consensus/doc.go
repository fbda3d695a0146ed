// Package consensus keeps the servers' common log and applies it to package state.
//
// Every change of state is an Entry: a plain struct that is encoded, appended to the raft log, made durable on a
// majority of servers, and then applied by each of them. Whoever wants a change calls Apply on the leader and gets the
// entry's index and result once it is applied there.
//
// An entry in the log is
//
//	type (1 byte) | version (1 byte) | msgpack of the struct
//
// and stays readable for ever: a type number is never given to another struct, a field that is added is zero in older
// entries, and a struct whose meaning changes gets a new version with a decoder of its own beside the old one. The files
// in testdata/entries are such entries as they were once written; a test decodes each.
package consensus
