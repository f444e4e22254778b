package audit

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// What is kept of the entries: the oldest are dropped first.
const (
	keepFor         = 7 * 24 * time.Hour
	keepBytes int64 = 64 << 20
	skew            = time.Minute // between the clock of a node and that of the store
)

// Config is what a [Log] needs to know.
type Config struct {
	Names  bus.Names
	Conn   func() (c *bus.Conn, replicas int, err error) // replicas 0: min(3, servers)
	Node   string
	Logger *slog.Logger
	OnDrop func(n int) // entries of the platform itself that were given up; nil: not counted
}

// Log is the audit log of a platform as one node writes and reads it. Its
// methods may be called at the same time.
type Log struct {
	cfg Config
	box box

	life      context.Context // ends with Run
	end       context.CancelFunc
	following sync.WaitGroup

	mu  sync.Mutex
	log *bus.Log // nil: not opened yet
}

// New returns a log that has opened nothing.
func New(cfg Config) *Log {
	l := &Log{cfg: cfg, box: box{signal: make(chan struct{}, 1)}}
	l.life, l.end = context.WithCancel(context.Background())
	return l
}

func (l *Log) open(ctx context.Context) (*bus.Log, error) {
	conn, replicas, err := l.cfg.Conn()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	log := l.log
	l.mu.Unlock()
	if log != nil {
		return log, nil
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, bus.DefaultTimeout)
		defer cancel()
	}
	log, err = bus.OpenLog(ctx, conn, bus.LogConfig{
		Stream: l.cfg.Names.AuditStream(), Subject: l.cfg.Names.Audit(), MaxAge: keepFor, MaxBytes: keepBytes, Replicas: replicas,
	})
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.log = log
	return log, nil
}

// Write stores an entry as one of this node and returns when that is
// acknowledged.
//
// # Errors
//
// ErrInvalid, ErrTooLarge; ErrShuttingDown; ErrUnknownOutcome when it may have
// been stored; what JetStream says.
func (l *Log) Write(ctx context.Context, e Entry) error {
	return l.write(ctx, e, rand.Text())
}

func (l *Log) write(ctx context.Context, e Entry, id string) error {
	e.NodeID = l.cfg.Node
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	e.Time = e.Time.UTC()
	subject, data, err := Encode(e)
	if err != nil {
		return err
	}
	log, err := l.open(ctx)
	if err != nil {
		return ending(err)
	}
	_, err = log.Append(ctx, bus.Message{Subject: l.cfg.Names.Audit() + "." + subject, Data: data}, id)
	if errors.Is(err, bus.ErrNoResponders) { // it may have been deleted
		l.mu.Lock()
		l.log = nil
		l.mu.Unlock()
	}
	return ending(err)
}

// ending gives the end of the connection the name that users know.
func ending(err error) error {
	if errors.Is(err, bus.ErrClosed) {
		return pluginapi.ErrShuttingDown
	}
	return err
}

// Query returns the entries that are asked for, the newest first; when there
// are more than MaxEntries, the newest of them.
//
// # Errors
//
// ErrInvalid for a filter that cannot be meant; ErrTimeout; what JetStream says.
func (l *Log) Query(ctx context.Context, f Filter) ([]Entry, error) {
	subject, err := f.subject()
	if err != nil {
		return nil, err
	}
	if f.Since.IsZero() {
		f.Since = time.Now().Add(-defaultSince)
	}
	log, err := l.open(ctx)
	if err != nil {
		return nil, ending(err)
	}
	var found newest
	err = log.Read(ctx, l.cfg.Names.Audit()+"."+subject, bus.Start{Time: f.Since.Add(-skew)}, func(m bus.Stored) bool {
		if e, ok := l.entry(m); ok && f.matches(e) {
			found.add(e)
		}
		return true
	})
	if err != nil {
		return nil, ending(err)
	}
	return found.list(), nil
}

// entry reads what is stored; what is none was written by hand.
func (l *Log) entry(m bus.Stored) (Entry, bool) {
	e, err := Decode(strings.TrimPrefix(m.Subject, l.cfg.Names.Audit()+"."), m.Data)
	if err != nil {
		l.cfg.Logger.Debug("audit log", "sequence", m.Seq, "err", err)
		return Entry{}, false
	}
	return e, true
}
