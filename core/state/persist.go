package state

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"iter"
	"maps"
	"slices"

	"github.com/hashicorp/go-memdb"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/core/scheduler/fleet"
	"github.com/droverhq/drover/core/state/paged"
)

// A persisted snapshot is a header, one record per row and an end:
//
//	"DROVERST" | version (1 byte) | index (8 bytes)
//	kind (1 byte) | length (4 bytes) | msgpack of the row         ... repeated
//	0 | number of records (8 bytes) | CRC-64 of all before it (8 bytes)
//
// Numbers are big-endian. A row's fields are named, so that a later release reads what an earlier one wrote. A kind is
// never given to another type. What can be counted again (counts, columns, schema users) is not in it.
const (
	persistMagic   = "DROVERST"
	persistVersion = 1
	kindEnd        = 0
	maxRecord      = 256 << 20
)

// rowKind ties a record kind to a table and its type of row.
type rowKind struct {
	kind  byte
	table Table
	new   func() any
}

func rowKinds() []rowKind {
	return []rowKind{
		{1, TableNamespaces, func() any { return new(model.Namespace) }},
		{2, TableNodePools, func() any { return new(model.NodePool) }},
		{3, TableNodes, func() any { return new(model.Node) }},
		{4, TableJobVersions, func() any { return new(model.Job) }},
		{5, TableJobs, func() any { return new(jobRef) }},
		{6, TableJobSummaries, func() any { return new(model.JobSummary) }},
		{7, TableJobSubmissions, func() any { return new(model.JobSubmission) }},
		{8, TableEvals, func() any { return new(model.Evaluation) }},
		{9, TableAllocs, func() any { return new(model.Allocation) }},
		{10, TableDeployments, func() any { return new(model.Deployment) }},
		{11, TableSchedulerConfig, func() any { return new(model.SchedulerConfig) }},
		{12, TableServices, func() any { return new(model.ServiceRegistration) }},
		{13, TableSchemas, func() any { return new(Schema) }},
		{14, TableScaling, func() any { return new(JobScaling) }},
		{15, TablePeriodic, func() any { return new(PeriodicLaunch) }},
		{16, tableSchemaNodes, func() any { return new(schemaNode) }},
		{17, tableIndexes, func() any { return new(tableIndex) }},
		{18, TableAutopilotConfig, func() any { return new(model.AutopilotConfig) }},
		{19, TableIntroTokens, func() any { return new(model.IntroToken) }},
		{20, tableCluster, func() any { return new(model.Cluster) }},
	}
}

// jobRef stands for a row of the jobs table, which is also a row of the versions.
type jobRef struct {
	Namespace, ID        string
	CreateIndex, Version uint64
}

// Persist writes the whole snapshot.
func (s *Snapshot) Persist(w io.Writer) error {
	sum := crc64.New(crc64.MakeTable(crc64.ECMA))
	buf := bufio.NewWriterSize(io.MultiWriter(w, sum), 64<<10)
	buf.WriteString(persistMagic)
	buf.WriteByte(persistVersion)
	buf.Write(binary.BigEndian.AppendUint64(nil, s.index))
	count := uint64(0)
	for _, k := range rowKinds() {
		for row := range s.rows(k.table) {
			if j, ok := row.(*model.Job); ok && k.table == TableJobs {
				row = &jobRef{j.Namespace, j.ID, j.CreateIndex, j.Version}
			}
			b, err := rpc.Encode(row)
			if err != nil {
				return fmt.Errorf("encode a row of %s: %w", k.table, err)
			}
			buf.WriteByte(k.kind)
			buf.Write(binary.BigEndian.AppendUint32(nil, uint32(len(b))))
			if _, err := buf.Write(b); err != nil {
				return fmt.Errorf("write snapshot: %w", err)
			}
			count++
		}
	}
	buf.WriteByte(kindEnd)
	buf.Write(binary.BigEndian.AppendUint64(nil, count))
	if err := buf.Flush(); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	if _, err := w.Write(binary.BigEndian.AppendUint64(nil, sum.Sum64())); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	return nil
}

// rows are all of a table, in the order of their IDs.
func (s *Snapshot) rows(t Table) iter.Seq[any] {
	if t != TableAllocs {
		return each[any](s, t, byID)
	}
	return func(yield func(any) bool) {
		for a := range s.allocs.Prefix("") {
			if !yield(a) {
				return
			}
		}
	}
}

// Restore replaces the state by what Persist wrote. A snapshot that is damaged or cut off changes nothing.
func (s *Store) Restore(r io.Reader) error {
	db, err := memdb.NewMemDB(schema())
	if err != nil {
		return fmt.Errorf("make the state's tables: %w", err)
	}
	txn, edit := db.Txn(true), newAllocTable().Txn()
	index, err := readRows(r, txn, edit, func(Table, int) {})
	if err != nil {
		txn.Abort()
		return fmt.Errorf("restore state: %w", err)
	}
	fl := fleet.New()
	allocs := edit.Commit()
	snap := &Snapshot{txn: txn, allocs: allocs, index: index}
	for _, c := range recount(snap) {
		if err := txn.Insert(string(tableCounts), c); err != nil {
			txn.Abort()
			return fmt.Errorf("restore state: count jobs: %w", err)
		}
	}
	txn.Commit()
	snap = &Snapshot{txn: db.Txn(false), allocs: allocs, index: index}
	for n := range snap.Nodes() {
		fl.UpsertNode(n)
	}
	for a := range snap.Allocs(AllNamespaces, "") {
		fl.ApplyAlloc(nil, a)
	}

	s.mu.Lock()
	s.db, s.allocs, s.fleet, s.seen, s.index = db, allocs, fl, nil, index
	close(s.abandon)
	s.abandon = make(chan struct{})
	s.feeds.closeAll()
	s.mu.Unlock()
	s.events.reset(index)
	return nil
}

// readRows stores every record in txn, or allocs, and tells read of each.
func readRows(r io.Reader, txn *memdb.Txn, allocs *paged.Txn[*model.Allocation], read func(t Table, bytes int)) (index uint64, err error) {
	sum := crc64.New(crc64.MakeTable(crc64.ECMA))
	src := bufio.NewReaderSize(r, 64<<10)
	in := io.TeeReader(src, sum)
	head := make([]byte, len(persistMagic)+1+8)
	if _, err := io.ReadFull(in, head); err != nil {
		return 0, fmt.Errorf("read the header: %w", unexpected(err))
	}
	if string(head[:len(persistMagic)]) != persistMagic {
		return 0, errors.New("this is not a snapshot of Drover's state")
	}
	if v := head[len(persistMagic)]; v != persistVersion {
		return 0, fmt.Errorf("the snapshot has format %d, this release reads format %d", v, persistVersion)
	}
	index = binary.BigEndian.Uint64(head[len(persistMagic)+1:])
	kinds := map[byte]rowKind{}
	for _, k := range rowKinds() {
		kinds[k.kind] = k
	}
	count := uint64(0)
	for {
		var b [8]byte
		if _, err := io.ReadFull(in, b[:1]); err != nil {
			return 0, fmt.Errorf("read record %d: %w", count, unexpected(err))
		}
		if b[0] == kindEnd {
			break
		}
		k, ok := kinds[b[0]]
		if !ok {
			return 0, fmt.Errorf("record %d has the unknown kind %d: the snapshot is damaged or from a later release", count, b[0])
		}
		if _, err := io.ReadFull(in, b[:4]); err != nil {
			return 0, fmt.Errorf("read record %d: %w", count, unexpected(err))
		}
		size := binary.BigEndian.Uint32(b[:4])
		if size > maxRecord {
			return 0, fmt.Errorf("record %d has %d bytes, more than %d: the snapshot is damaged", count, size, maxRecord)
		}
		data := make([]byte, size)
		if _, err := io.ReadFull(in, data); err != nil {
			return 0, fmt.Errorf("read record %d: %w", count, unexpected(err))
		}
		row := k.new()
		if err := rpc.Decode(data, row); err != nil {
			return 0, fmt.Errorf("decode record %d of %s: %w", count, k.table, err)
		}
		if ref, ok := row.(*jobRef); ok {
			raw, err := txn.First(string(TableJobVersions), byID, ref.Namespace, ref.ID, number(ref.CreateIndex), number(ref.Version))
			if err != nil || raw == nil {
				return 0, fmt.Errorf("record %d names version %d of job %s, which is not in the snapshot", count, ref.Version, ref.ID)
			}
			row = raw
		}
		if a, ok := row.(*model.Allocation); ok {
			if a.ID == "" {
				return 0, fmt.Errorf("record %d is an allocation without an ID: the snapshot is damaged", count)
			}
			allocs.Put(a)
		} else if err := txn.Insert(string(k.table), row); err != nil {
			return 0, fmt.Errorf("store record %d of %s: %w", count, k.table, err)
		}
		read(k.table, len(data))
		count++
	}
	var tail [8]byte
	if _, err := io.ReadFull(in, tail[:]); err != nil {
		return 0, fmt.Errorf("read the end: %w", unexpected(err))
	}
	if want := binary.BigEndian.Uint64(tail[:]); want != count {
		return 0, fmt.Errorf("the snapshot has %d records and says %d", count, want)
	}
	if _, err := io.ReadFull(src, tail[:]); err != nil {
		return 0, fmt.Errorf("read the checksum: %w", unexpected(err))
	}
	if binary.BigEndian.Uint64(tail[:]) != sum.Sum64() {
		return 0, errors.New("the checksum is wrong: the snapshot is damaged")
	}
	return index, nil
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// recount derives the counts from the rows.
func recount(s *Snapshot) []*jobCounts {
	counts := map[model.JobID]*jobCounts{}
	for j := range s.Jobs(AllNamespaces, "") {
		counts[j.Key()] = &jobCounts{Namespace: j.Namespace, JobID: j.ID}
	}
	add := func(key model.JobID, fn func(*jobCounts)) {
		if c := counts[key]; c != nil {
			fn(c)
		}
	}
	for a := range s.Allocs(AllNamespaces, "") {
		if !a.Terminal() {
			add(a.JobKey(), func(c *jobCounts) { c.Allocs++ })
		}
	}
	for e := range s.Evals(AllNamespaces, "") {
		add(e.JobKey(), func(c *jobCounts) { c.addEval(e, 1) })
	}
	for d := range s.Deployments(AllNamespaces, "") {
		if d.Active() {
			add(model.JobID{Namespace: d.Namespace, ID: d.JobID}, func(c *jobCounts) { c.Deployments++ })
		}
	}
	return slices.Collect(maps.Values(counts))
}
