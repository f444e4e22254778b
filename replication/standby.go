package replication

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/ozanturksever/go-cluster/replication/flow"
	"github.com/ozanturksever/go-cluster/replication/segment"
	"github.com/ozanturksever/go-cluster/replication/snapshot"
	"github.com/ozanturksever/go-cluster/replication/sqlite"
)

// StandbyConfig is what a [Standby] needs to know.
type StandbyConfig struct {
	Path   string // of the copy; its position is kept in Path + ".position"
	Feed   Feed
	Chunks snapshot.Store
	Shelf  Shelf
	// Want is called when the feed alone does not lead on from the copy and there
	// is no snapshot that does: somebody has to take one. nil: nobody is asked.
	Want   func(ctx context.Context)
	Apply  sqlite.ApplierOptions
	Logger *slog.Logger // nil: nowhere
}

// Standby keeps a copy of a database that is fed by a primary.
type Standby struct {
	cfg     StandbyConfig
	applier *sqlite.Applier
	machine *flow.Standby
	parts   segment.Assembler
	cache   *cache
	commit  uint32
	from    uint64 // the feed is told from there
	whole   bool   // it begins with a whole database
	anew    bool   // the hint has led nowhere
	pins    chan pinning
	ended   chan struct{}  // closed when Run has returned
	reading sync.WaitGroup // of the copy, by snapshots

	mu      sync.Mutex
	at      flow.Position
	seq     uint64
	follows bool
	stats   StandbyStats
	changed chan struct{}
}

// StandbyStats counts what a standby has done.
type StandbyStats struct {
	Changes uint64 // applied
	Stale   uint64 // refused: written by a leader whose time was over
	Damaged uint64 // messages that are no segments
	Resyncs map[flow.Why]uint64
	Aside   []string // files that a copy was moved to because it had what nobody else had
}

// OpenStandby opens the copy, which may not be there yet. Run is to be called
// next, then Close.
func OpenStandby(ctx context.Context, cfg StandbyConfig) (*Standby, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	a, err := sqlite.OpenApplier(ctx, cfg.Path, cfg.Apply)
	if err != nil {
		return nil, fmt.Errorf("open standby: %w", err)
	}
	s := &Standby{cfg: cfg, applier: a, cache: newCache(), commit: a.Table().Pages(), changed: make(chan struct{}), pins: make(chan pinning), ended: make(chan struct{})}
	s.stats.Resyncs = map[flow.Why]uint64{}
	return s, nil
}

// Close lets go of the copy and returns the table of its pages, for the primary
// that takes over, or nil when there is no copy. The hashes are kept beside the
// copy as well. Run must have returned.
func (s *Standby) Close() *sqlite.Table {
	s.reading.Wait()
	table := s.applier.Table()
	s.applier.Close()
	if table.Pages() == 0 {
		return nil
	}
	if s.seq > 0 && table.Sum() == s.at.Sum {
		if err := keepPages(s.cfg.Path, pages{table, s.seq}); err != nil {
			s.cfg.Logger.Warn("a primary will send all pages", "database", s.cfg.Path, "err", err)
		}
	}
	return table
}

// Run follows the feed until ctx ends; it returns nil then, or what keeps the
// copy from being written. What passes, such as a feed that cannot be read, is
// logged and tried again.
func (s *Standby) Run(ctx context.Context) error {
	defer close(s.ended)
	for wait := 50 * time.Millisecond; ; wait = min(max(2*wait, 50*time.Millisecond), 2*time.Second) {
		err := s.follow(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errResynced):
			wait = 0
			continue
		case errors.Is(err, errCopy):
			return fmt.Errorf("keep copy %s: %w", s.cfg.Path, err)
		}
		s.cfg.Logger.Warn("follow the feed", "database", s.cfg.Path, "err", err)
		s.note(func() { s.follows = false })
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
	}
}

// errCopy is what ends a standby; errResynced says that it stands elsewhere now.
var (
	errCopy     = errors.New("the copy cannot be written")
	errResynced = errors.New("the copy is at a snapshot")
)

// feedRoom is how many messages are read ahead.
const feedRoom = 64

// follow finds the place of the copy in the feed and goes on from there.
func (s *Standby) follow(ctx context.Context) error {
	head, err := s.cfg.Feed.Head(ctx)
	if err != nil {
		return err
	}
	hint := remembered(s.cfg.Path)
	table := s.applier.Table()
	at := flow.Position{Epoch: hint.Epoch, TX: hint.TX, Sum: table.Sum()}
	from := uint64(1)
	if hint.Sum == at.Sum && hint.Seq > 0 && !s.anew {
		from = hint.Seq
	}
	s.from, s.whole = from, false
	s.machine, s.parts = flow.NewStandby(at, head.LastSeq), segment.Assembler{}
	ctx, cancel := context.WithCancel(ctx)
	messages := make(chan Message, feedRoom)
	var wg sync.WaitGroup
	var lost error
	wg.Go(func() {
		defer close(messages)
		lost = s.cfg.Feed.Follow(ctx, from, func(m Message) {
			select {
			case messages <- m:
			case <-ctx.Done():
			}
		})
	})
	defer wg.Wait()
	defer cancel()
	if head.LastSeq < from || head.LastSeq == 0 { // nothing will be told
		err = s.do(ctx, s.machine.Step(flow.Reached{Seq: head.LastSeq}))
	}
	for err == nil {
		select {
		case m, open := <-messages:
			if !open {
				return lost
			}
			err = s.take(ctx, m)
		case w := <-s.pins:
			s.pin(w)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return err
}

// take tells the machine one message of the feed.
func (s *Standby) take(ctx context.Context, m Message) error {
	if m.Epoch != 0 {
		return s.tell(ctx, flow.Raised{Epoch: m.Epoch, Seq: m.Seq}, m.Seq)
	}
	part, err := segment.Decode(m.Data)
	var parts []segment.Segment
	if err == nil {
		parts, err = s.parts.Add(part)
	}
	if err != nil {
		// What it was meant to be is not known: the next change will not fit, unless
		// it was nothing.
		s.cfg.Logger.Warn("message of the feed", "sequence", m.Seq, "err", err)
		s.note(func() { s.stats.Damaged++ })
		return nil
	}
	if parts == nil {
		return nil
	}
	c := changeOf(parts[0].Header)
	if c.First == 1 && c.Pre == 0 {
		s.whole = true
	}
	for _, e := range s.machine.Step(flow.Arrived{Change: c, Seq: m.Seq}) {
		if _, ok := e.(flow.Apply); !ok {
			if err := s.do(ctx, []flow.Effect{e}); err != nil {
				return err
			}
			continue
		}
		in, err := s.apply(ctx, parts)
		if err == nil {
			err = s.do(ctx, s.machine.Step(in))
		}
		if err != nil {
			return err
		}
	}
	return s.tell(ctx, nil, m.Seq)
}

// tell tells the machine what a message was, if that is left to tell, and that
// it was all up to there.
func (s *Standby) tell(ctx context.Context, in flow.Input, seq uint64) error {
	var effects []flow.Effect
	if in != nil {
		effects = s.machine.Step(in)
	}
	return s.do(ctx, append(effects, s.machine.Step(flow.Reached{Seq: seq})...))
}

// do carries out what the machine wants, apart from applying.
func (s *Standby) do(ctx context.Context, effects []flow.Effect) error {
	for _, e := range effects {
		switch e := e.(type) {
		case flow.At:
			s.anew = false
			if err := remember(s.cfg.Path, place{Epoch: e.Position.Epoch, TX: e.Position.TX, Seq: e.Seq, Sum: e.Position.Sum}); err != nil {
				s.cfg.Logger.Warn("remember position", "database", s.cfg.Path, "err", err)
			}
		case flow.Stale:
			s.cfg.Logger.Warn("change of an older epoch refused", "epoch", e.Change.Epoch, "first", e.Change.First, "last", e.Change.Last)
			s.note(func() { s.stats.Stale++ })
		case flow.Resync:
			if err := s.resync(ctx, e.Why); err != nil {
				return err
			}
			return errResynced
		}
	}
	at, seq, follows := s.machine.Position()
	s.note(func() { s.at, s.seq, s.follows = at, seq, follows })
	return nil
}

// note changes what others wait for.
func (s *Standby) note(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	close(s.changed)
	s.changed = make(chan struct{})
}

// Position is where the copy stands, up to which message of the feed that is,
// and whether it follows: nothing that it was told is missing.
func (s *Standby) Position() (at flow.Position, seq uint64, follows bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at, s.seq, s.follows
}

// Reach waits until the copy follows and has what the feed had at seq.
func (s *Standby) Reach(ctx context.Context, seq uint64) error {
	for {
		s.mu.Lock()
		done, changed := s.follows && s.seq >= seq, s.changed
		s.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait until copy %s has message %d of the feed: %w", s.cfg.Path, seq, ctx.Err())
		}
	}
}

// Stats returns what was done up to now.
func (s *Standby) Stats() StandbyStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.stats
	out.Aside = slices.Clone(s.stats.Aside)
	out.Resyncs = map[flow.Why]uint64{}
	for why, n := range s.stats.Resyncs {
		out.Resyncs[why] = n
	}
	return out
}
