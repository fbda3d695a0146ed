package consensus

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// diskStore is the log and the term on disk. A full disk must not end the process and must not lose anything:
//
//   - an entry that does not fit is refused, and the server gives leadership up, so that another one can lead;
//   - raft takes a term that cannot be written for a reason to panic. Here the write waits until the disk has room
//     again, and with it this server's part in elections.
type diskStore struct {
	dir    string
	logger hclog.Logger
	inner  interface {
		raft.LogStore
		raft.StableStore
	}
	closed chan struct{}

	mu   sync.Mutex
	full error // why the last write failed; nil when it did not
}

// retryFull is how often a full disk is tried again.
const retryFull = 250 * time.Millisecond

// probeSize is how much must be free before a term is written: enough for the entries that follow an election.
const probeSize = 256 << 10

func (d *diskStore) FirstIndex() (uint64, error)              { return d.inner.FirstIndex() }
func (d *diskStore) LastIndex() (uint64, error)               { return d.inner.LastIndex() }
func (d *diskStore) GetLog(index uint64, log *raft.Log) error { return d.inner.GetLog(index, log) }
func (d *diskStore) DeleteRange(min, max uint64) error        { return d.inner.DeleteRange(min, max) }
func (d *diskStore) Get(key []byte) ([]byte, error)           { return d.inner.Get(key) }
func (d *diskStore) GetUint64(key []byte) (uint64, error)     { return d.inner.GetUint64(key) }
func (d *diskStore) StoreLog(log *raft.Log) error             { return d.note(d.inner.StoreLog(log)) }
func (d *diskStore) StoreLogs(logs []*raft.Log) error         { return d.note(d.inner.StoreLogs(logs)) }
func (d *diskStore) Set(key, value []byte) error {
	return d.wait(func() error { return d.inner.Set(key, value) })
}
func (d *diskStore) SetUint64(key []byte, value uint64) error {
	return d.wait(func() error { return d.inner.SetUint64(key, value) })
}

// note remembers whether the disk is full.
func (d *diskStore) note(err error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	was := d.full != nil
	if err == nil || !isFull(err) {
		d.full = nil
		if was && err == nil {
			d.logger.Info("the disk has room again: the raft log goes on", "dir", d.dir)
		}
		return err
	}
	d.full = fmt.Errorf("write the raft log in %s: %w: nothing was changed; free some space, the server then goes on by itself", d.dir, err)
	if !was {
		d.logger.Error("the disk is full: changes are refused until there is room again", "dir", d.dir, "error", err)
	}
	return d.full
}

// err tells why nothing can be written now, nil when it can.
func (d *diskStore) err() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.full
}

// wait writes as soon as there is room.
func (d *diskStore) wait(write func() error) error {
	for {
		err := error(nil)
		if d.err() != nil {
			err = probe(d.dir)
		}
		if err == nil {
			err = write()
		}
		if d.note(err); err == nil || !isFull(err) {
			return err
		}
		select {
		case <-time.After(retryFull):
		case <-d.closed:
			return err
		}
	}
}

// probe tells whether a directory's disk has some room.
func probe(dir string) error {
	path := filepath.Join(dir, "probe.tmp")
	defer os.Remove(path)
	return os.WriteFile(path, make([]byte, probeSize), 0o600)
}

func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, errNoQuota)
}
