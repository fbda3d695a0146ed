// Package record keeps what was made for each allocation, so that it can be found and removed by a later process.
package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/droverhq/drover/sdk/network"
)

// Record is what is kept of an allocation's network. It is written before the first thing is made.
type Record struct {
	Alloc       network.Allocation
	ContainerID string
	Namespace   string
	Inode       uint64 // of the namespace; tells it from others when its file is gone
	Made        bool   // the namespace is ours
	Networks    []*Network
	Done        bool // everything has been made
}

// Network is one attachment.
type Network struct {
	Mode      string
	Interface string
	Conf      []byte // the configuration list as it was
	Result    []byte // what CNI answered; nil = not made yet
	Status    network.Interface
	DNS       network.DNS
}

// Status is what the contract calls it.
func (r *Record) Status() *network.Status {
	s := &network.Status{AllocID: r.Alloc.ID, NamespacePath: r.Namespace, Healthy: r.Done}
	for _, n := range r.Networks {
		if n.Status.Name != "" {
			s.Interfaces = append(s.Interfaces, n.Status)
		}
		s.DNS.Servers = append(s.DNS.Servers, n.DNS.Servers...)
		s.DNS.Searches = append(s.DNS.Searches, n.DNS.Searches...)
		s.DNS.Options = append(s.DNS.Options, n.DNS.Options...)
	}
	return s
}

// Store is a directory of records, one file each.
type Store struct{ dir string }

const suffix = ".json"

// Open makes the directory.
func Open(dir string) (*Store, error) {
	return &Store{dir}, os.MkdirAll(dir, 0o700)
}

func (s *Store) file(allocID string) string { return filepath.Join(s.dir, allocID+suffix) }

// Put stores a record: a reader sees the old one or the new one.
func (s *Store) Put(r *Record) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	file := s.file(r.Alloc.ID)
	next := file + ".next"
	if err := os.WriteFile(next, text, 0o600); err != nil {
		return fmt.Errorf("record of the network: %w", err)
	}
	return os.Rename(next, file)
}

// Get returns an allocation's record, network.ErrUnknown if there is none.
func (s *Store) Get(allocID string) (*Record, error) {
	text, err := os.ReadFile(s.file(allocID))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("allocation %s: %w", allocID, network.ErrUnknown)
	}
	if err != nil {
		return nil, err
	}
	r := new(Record)
	if err := json.Unmarshal(text, r); err != nil || r.Alloc.ID != allocID {
		return nil, fmt.Errorf("record %s is damaged (%v); move it away to have the network made anew", s.file(allocID), err)
	}
	return r, nil
}

// Delete removes an allocation's record.
func (s *Store) Delete(allocID string) error {
	if err := os.Remove(s.file(allocID)); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// All returns the ids of all records.
func (s *Store) All() ([]string, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, e := range entries {
		if id, ok := strings.CutSuffix(e.Name(), suffix); ok {
			ids = append(ids, id)
		}
	}
	return ids, nil
}
