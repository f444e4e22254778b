package bus

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// MaxRecord is the largest value of a record, in bytes.
const MaxRecord = 512 << 10

// Record is one record as it was stored.
type Record struct {
	Key   string
	Seq   uint64 // sequence of the stored change; 0: no such record
	Value []byte

	// Of entries of a bucket only.
	deleted bool      // it says that the key was deleted
	time    time.Time // when it was stored, by the clock of the stream's leader
}

// Records is a stream of records: each key has one value, changed only by
// compare-and-set, never deleted, never expired. Its methods may be called at
// the same time.
type Records struct {
	s        stream
	cfg      RecordsConfig
	created  time.Time
	kind     kind
	replicas int // as of the opening

	mu       sync.Mutex
	watchers map[string]*watcher // by pattern
}

// OpenRecords creates the stream, or checks that the existing one has all
// settings that matter, and raises its replicas when there are more servers now
// (see Grow). While JetStream is electing its leader, or the stream is still to be
// made by another one (Existing), it tries again until ctx ends. Any number of
// nodes may do this at once.
//
// # Errors
//
// [pluginapi.ErrInvalid] when the existing stream has settings that are not
// safe; the error names each. [pluginapi.ErrTimeout] with the last reason when
// ctx ended. ErrRefused when the server says no for good.
func OpenRecords(ctx context.Context, c *Conn, cfg RecordsConfig) (*Records, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("open records: %w", err)
	}
	s := stream{c, cfg.Stream}
	if cfg.Existing {
		if err := s.await(ctx); err != nil {
			return nil, fmt.Errorf("wait for records %s: %w", cfg.Stream, err)
		}
	}
	in, err := s.ensure(ctx, wanted{cfg.config(), cfg.Replicas, cfg.verify})
	if err != nil {
		return nil, fmt.Errorf("open records %s: %w", cfg.Stream, err)
	}
	r := newRecords(s, cfg, in.Created, recordKind())
	if r.replicas, err = in.replicas(); err != nil {
		return nil, fmt.Errorf("open records %s: %w", cfg.Stream, err)
	}
	if n, err := r.Grow(ctx); err == nil {
		r.replicas = n
	} else {
		c.log.Debug("replicas of a stream could not be raised yet", "stream", cfg.Stream, "error", err)
	}
	return r, nil
}

// kind is how the records of one stream differ from those of another.
type kind struct {
	checkKey func(string) error
	// exact is for streams whose watchers must get each change, not only the
	// newest: how long a read waits for the live path before what it found there
	// counts as lost. 0: not exact.
	exact time.Duration
}

func recordKind() kind { return kind{checkKey: checkKey} }

func newRecords(s stream, cfg RecordsConfig, created time.Time, k kind) *Records {
	return &Records{s: s, cfg: cfg, created: created, kind: k, watchers: map[string]*watcher{}}
}

// Replicas is how many replicas the stream had when it was opened, or was going
// to have.
func (r *Records) Replicas() int { return r.replicas }

// Grow raises the stream's replicas when there are servers for more: to what
// the config asks for, or to 3. It returns how many it has or is going to have.
// It changes nothing when there are no more servers, and never lowers them.
// OpenRecords does it once; a host does it again when a server joins, because a
// server may be known to JetStream only some time after its start.
func (r *Records) Grow(ctx context.Context) (replicas int, err error) {
	replicas, err = r.s.grow(ctx, r.cfg.Replicas)
	if err != nil {
		return replicas, fmt.Errorf("grow stream %s: %w", r.cfg.Stream, err)
	}
	return replicas, nil
}

// CAS writes value to key if the record is at sequence expect (0: if there is
// no record), and returns the sequence of the new record. It sends one request
// and never tries again. A nil value is an empty one.
//
// # Errors
//
// Exactly one of: ErrConflict, read it again; ErrRefused, nothing was
// written; ErrUnknown, it may have been written and may still be, and only a
// later CAS tells. [pluginapi.ErrInvalid] comes with ErrRefused for a bad key
// or a value above MaxRecord.
func (r *Records) CAS(ctx context.Context, key string, expect uint64, value []byte) (seq uint64, err error) {
	if err = checkKey(key); err == nil && len(value) > MaxRecord {
		err = fmt.Errorf("%w: value has %d bytes, the most is %d", pluginapi.ErrInvalid, len(value), MaxRecord)
	}
	if err != nil {
		return 0, fmt.Errorf("change record: %w", asRefused(err))
	}
	if seq, err = r.cas(ctx, key, expect, value); err != nil {
		return 0, fmt.Errorf("change record %s: %w", key, err)
	}
	return seq, nil
}

func (r *Records) cas(ctx context.Context, key string, expect uint64, value []byte) (uint64, error) {
	seq, err := r.s.put(ctx, &nats.Msg{
		Subject: r.cfg.Subject + "." + key,
		Header:  nats.Header{headExpect: {strconv.FormatUint(expect, 10)}, "Nats-Expected-Stream": {r.cfg.Stream}},
		Data:    value,
	})
	if err == nil && seq <= expect {
		return 0, asUnknown(fmt.Errorf("answer with sequence %d", seq))
	}
	return seq, err
}

// Get reads a record from the server that leads the stream. That may be old by
// seconds if the server has been cut off; only a CAS proves anything. The
// record has Seq 0 when there is none.
//
// # Errors
//
// As of [Conn.Request].
func (r *Records) Get(ctx context.Context, key string) (Record, error) {
	if err := checkKey(key); err != nil {
		return Record{}, fmt.Errorf("read record: %w", err)
	}
	rec, err := r.get(ctx, key)
	if err != nil {
		return Record{}, fmt.Errorf("read record %s: %w", key, err)
	}
	return rec, nil
}

func (r *Records) get(ctx context.Context, key string) (Record, error) {
	m, err := r.s.last(ctx, r.cfg.Subject+"."+key)
	if err != nil || m.Seq == 0 {
		return Record{}, err
	}
	rec, _ := r.record(m)
	return rec, nil
}

// List reads all records whose key matches pattern ("*" is one part, a last ">"
// is all further ones), complete and in the order of their last change. Like
// Get it reads from the stream's leader.
//
// # Errors
//
// As of [Conn.Request], and ErrRefused when the leader changed meanwhile.
func (r *Records) List(ctx context.Context, pattern string) ([]Record, error) {
	if err := checkPattern(pattern); err != nil {
		return nil, fmt.Errorf("list records: %w", err)
	}
	out, _, err := r.list(ctx, pattern)
	if err != nil {
		return nil, fmt.Errorf("list records %s: %w", pattern, err)
	}
	return out, nil
}

func (r *Records) list(ctx context.Context, pattern string) ([]Record, streamInfo, error) {
	found, in, err := r.s.list(ctx, r.cfg.Subject+"."+pattern)
	if err != nil {
		return nil, in, err
	}
	out := make([]Record, 0, len(found))
	for _, m := range found {
		if rec, ok := r.record(m); ok {
			out = append(out, rec)
		}
	}
	return out, in, nil
}

// record takes the key out of a stored message. Something with a subject that
// is no key was not written by us.
func (r *Records) record(m stored) (Record, bool) {
	key, ok := strings.CutPrefix(m.Subject, r.cfg.Subject+".")
	rec := Record{Key: key, Seq: m.Seq, Value: m.Data, time: m.Time}
	if len(m.Head) > 0 {
		head, err := nats.DecodeHeadersMsg(m.Head) // what is no header says nothing
		rec.deleted = err == nil && deletes(head)
	}
	return rec, ok && r.kind.checkKey(key) == nil
}

// LastSeq returns the sequence of the newest change of any record.
//
// # Errors
//
// As of [Conn.Request].
func (r *Records) LastSeq(ctx context.Context) (uint64, error) {
	in, err := r.info(ctx)
	if err != nil {
		return 0, fmt.Errorf("read state of stream %s: %w", r.cfg.Stream, err)
	}
	return in.State.LastSeq, nil
}

// info reads the stream's state and refuses another stream of the same name.
// Attached records know no birth of their stream.
func (r *Records) info(ctx context.Context) (streamInfo, error) {
	in, err := r.s.info(ctx)
	if err == nil && !r.created.IsZero() && !in.Created.Equal(r.created) {
		return streamInfo{}, fmt.Errorf("%w: created %v, was %v", ErrReplaced, in.Created, r.created)
	}
	return in, err
}

// Created returns when the stream was made, by the clock of its server; zero for
// attached records.
func (r *Records) Created() time.Time { return r.created }

// Leadership says who leads a stream.
type Leadership struct {
	Leader   string    // name of the server
	Replicas []Replica // the servers with the other copies
}

// Replica is a copy of a stream that does not lead.
type Replica struct {
	Name    string // name of the server
	Current bool   // it is online and has all changes
	Silent  bool   // the leader has not heard of it for some time
	Lag     uint64 // how many changes it is behind
}

// Leader says which server leads the stream and how far the others are.
//
// # Errors
//
// As of [Conn.Request]; ErrRefused when there is no leader at the moment.
func (r *Records) Leader(ctx context.Context) (Leadership, error) { return r.s.leadership(ctx) }

func (s stream) leadership(ctx context.Context) (Leadership, error) {
	in, err := s.info(ctx)
	if err != nil {
		return Leadership{}, fmt.Errorf("read leader of stream %s: %w", s.name, err)
	}
	out := Leadership{Leader: in.Cluster.Leader}
	for _, p := range in.Cluster.Replicas {
		out.Replicas = append(out.Replicas, Replica{Name: p.Name, Current: p.Current && !p.Offline, Silent: p.silent(), Lag: p.Lag})
	}
	return out, nil
}

// Servers counts the servers that hold the stream, and those of them that are up.
func (l Leadership) Servers() (all, up int) {
	all = 1 + len(l.Replicas)
	up = all
	for _, r := range l.Replicas {
		if r.Silent {
			up--
		}
	}
	return all, up
}

// StepDownLeader lets the stream's leader give its role to the server named
// preferred, or to any other if that is "". It returns when the leader has
// agreed, not when the new one leads. It does nothing when preferred leads.
//
// # Errors
//
// ErrRefused when there is only one server, or no such replica.
func (r *Records) StepDownLeader(ctx context.Context, preferred string) error {
	return r.s.moveLeader(ctx, preferred)
}

func (s stream) moveLeader(ctx context.Context, preferred string) error {
	var question any
	if preferred != "" {
		now, err := s.leadership(ctx)
		if err != nil {
			return fmt.Errorf("move leader: %w", err)
		}
		if now.Leader == preferred {
			return nil
		}
		question = map[string]any{"placement": map[string]string{"preferred": preferred}}
	}
	if err := s.c.api(ctx, "STREAM.LEADER.STEPDOWN."+s.name, question, nil); err != nil {
		return fmt.Errorf("move leader of stream %s to %q: %w", s.name, preferred, err)
	}
	return nil
}
