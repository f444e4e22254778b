package replication

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ozanturksever/go-cluster/replication/flow"
	"github.com/ozanturksever/go-cluster/replication/segment"
	"github.com/ozanturksever/go-cluster/replication/snapshot"
	"github.com/ozanturksever/go-cluster/replication/sqlite"
)

// PrimaryConfig is what a [Primary] needs to know.
type PrimaryConfig struct {
	Path    string         // the database
	Epoch   uint64         // of the leadership
	Feed    Feed           // of the app
	Chunks  snapshot.Store // where changes go that are too large for messages
	Shelf   Shelf          // of the snapshots that it takes; nil: none
	Table   *sqlite.Table  // of the database as the feed has it: what a standby that is promoted knows; nil: not known
	Capture sqlite.CaptureOptions
	Large   int // 0: DefaultLarge
	// PagesEvery is the time between two writings of the hashes of the pages to
	// Path + ".pages": after a crash, what was changed since then is sent again.
	PagesEvery time.Duration // 0: DefaultPagesEvery
	Logger     *slog.Logger  // nil: nowhere
}

// Primary feeds the changes of a database to the standbys.
type Primary struct {
	cfg     PrimaryConfig
	capture *sqlite.Capture
	machine *flow.Primary
	encoder *encoder
	given   *sqlite.Table
	answers chan flow.Input
	batches chan batch
	reading sync.WaitGroup // of the database, by snapshots

	mu      sync.Mutex
	emitted uint64        // last transaction that the capture has given out
	bytes   uint64        // of what was given out
	durable flow.Position // up to there the feed has it
	seq     uint64        // the feed's message there
	marks   []mark
	fenced  bool
	changed chan struct{} // closed when one of the above changes

	// The rest belongs to the loop.
	waiting []batch // as the machine's queue
	held    []chan struct{}
	holding bool
	kept    time.Time // when the hashes were last written; the capture's
}

// batch is a change on its way to the loop.
type batch struct {
	change   flow.Change
	messages [][]byte
	taken    chan struct{} // closed when the capture may go on
}

// OpenPrimary raises the epoch and opens the database. Run is to be called next,
// then Close.
//
// # Errors
//
// [pluginapi.ErrFenced] when a newer epoch is there; those of the feed and of
// [sqlite.OpenCapture].
func OpenPrimary(ctx context.Context, cfg PrimaryConfig) (*Primary, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Capture.Logger == nil {
		cfg.Capture.Logger = cfg.Logger
	}
	head, err := cfg.Feed.Raise(ctx, cfg.Epoch)
	if err != nil {
		return nil, fmt.Errorf("open primary: %w", err)
	}
	last, err := lastOf(head)
	if err != nil {
		return nil, fmt.Errorf("open primary: %w", err)
	}
	at := flow.Position{Epoch: last.Epoch, TX: last.Last, Sum: last.Post}
	p := &Primary{
		cfg: cfg, answers: make(chan flow.Input, 1), batches: make(chan batch), durable: at, seq: head.LastSeq, emitted: at.TX, kept: time.Now(), changed: make(chan struct{}),
		machine: flow.NewPrimary(cfg.Epoch, head.EpochSeq, at, head.LastSeq, 0),
		encoder: &encoder{epoch: cfg.Epoch, tx: at.TX, sum: at.Sum, cache: newCache(), chunks: cfg.Chunks, large: cmp.Or(cfg.Large, DefaultLarge), now: time.Now},
	}
	p.base(ctx, head, at)
	if p.capture, err = sqlite.OpenCapture(ctx, cfg.Path, cfg.Capture); err != nil {
		return nil, fmt.Errorf("open primary: %w", err)
	}
	// From now on the database may have what the feed does not have.
	if err := p.remember(); err != nil {
		p.capture.Close()
		return nil, fmt.Errorf("open primary: %w", err)
	}
	return p, nil
}

// remember writes down up to where the feed has the database for certain.
func (p *Primary) remember() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.durable
	return remember(p.cfg.Path, place{Epoch: at.Epoch, TX: at.TX, Seq: p.seq, Sum: at.Sum, Primary: p.cfg.Epoch, Boot: boot()})
}

// base finds out what the feed has. What is not known is sent, on top of whatever
// is there.
func (p *Primary) base(ctx context.Context, head Head, at flow.Position) {
	if t := p.cfg.Table; t != nil && t.Sum() == at.Sum {
		p.given = t
		return
	}
	if at.Sum == 0 {
		return
	}
	t, exact, err := recall(ctx, p.cfg.Path, p.cfg.Feed, head)
	if err != nil {
		p.cfg.Logger.Info("what the feed has of the pages is not known: all of them are sent", "database", p.cfg.Path, "why", err)
	}
	if p.given = t; !exact {
		p.encoder.whole = at.Sum
	}
}

// lastOf is the last change of a feed.
func lastOf(h Head) (flow.Change, error) {
	if h.Last == nil {
		return flow.Change{}, nil
	}
	s, err := segment.Decode(h.Last)
	if err != nil {
		return flow.Change{}, fmt.Errorf("read the last change of the feed: %w", err)
	}
	return changeOf(s.Header), nil
}

// changeOf is what the machines know of a segment.
func changeOf(h segment.Header) flow.Change {
	return flow.Change{Epoch: h.Epoch, First: h.First, Last: h.Last, Pre: h.Pre, Post: h.Post}
}

// Close lets go of the database. Run must have returned.
func (p *Primary) Close() {
	p.reading.Wait()
	p.capture.Close()
}
