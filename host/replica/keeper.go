package replica

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/replication"
)

// Tools are what an app's database is replicated with.
type Tools struct {
	Feed   Feed
	Chunks *bus.Chunks
	Shelf  Shelf
}

// Config is what a [Keeper] needs to know.
type Config struct {
	Path string // of the database
	// Open opens the tools; it is called until it succeeds.
	Open   func(ctx context.Context) (Tools, error)
	Logger *slog.Logger
}

// Role is what a node does with a database.
type Role string

// The roles.
const (
	Opening   Role = "opening"   // the tools are not there yet
	Following Role = "following" // a copy is kept
	Leading   Role = "leading"   // the database is written here, and fed to the others
)

// Keeper owns the database of an app on a node: it keeps a copy as long as
// another node leads, and feeds the changes when this one does. Run is called
// once.
type Keeper struct {
	cfg    Config
	wishes chan wish
	look   chan struct{} // asks to look for the file at once
	ended  chan struct{}

	mu      sync.Mutex
	role    Role
	tools   Tools
	standby *replication.Standby
	primary *replication.Primary
	err     error         // what keeps it from working at the moment
	changed chan struct{} // closed when one of these changes
}

// Path is where the database is.
func (k *Keeper) Path() string { return k.cfg.Path }

// wish is a promotion, or a demotion: epoch 0.
type wish struct {
	ctx   context.Context
	epoch uint64
	done  chan error
}

// NewKeeper returns a keeper that has started nothing.
func NewKeeper(cfg Config) *Keeper {
	return &Keeper{cfg: cfg, wishes: make(chan wish), look: make(chan struct{}, 1), ended: make(chan struct{}), role: Opening, changed: make(chan struct{})}
}

// Promote makes the database the one that is written, in an epoch: the copy has
// all that the feed has, and no older leader can add to that. It returns when
// the service may begin to write.
//
// # Errors
//
// [pluginapi.ErrFenced] when a newer epoch is there; ctx's when the copy does
// not have it all in time. The database is then as it was.
func (k *Keeper) Promote(ctx context.Context, epoch pluginapi.Epoch) error {
	if err := k.ask(ctx, uint64(epoch)); err != nil {
		return fmt.Errorf("promote database %s: %w", k.cfg.Path, err)
	}
	return nil
}

// Demote feeds what was committed, when nothing writes any more, and follows
// again. It follows also when it returns an error.
//
// # Errors
//
// What kept the last transactions from being fed: they may be lost, and are
// still in the database's file.
func (k *Keeper) Demote(ctx context.Context) error {
	if err := k.ask(ctx, 0); err != nil {
		return fmt.Errorf("demote database %s: %w", k.cfg.Path, err)
	}
	return nil
}

func (k *Keeper) ask(ctx context.Context, epoch uint64) error {
	w := wish{ctx, epoch, make(chan error, 1)}
	select {
	case k.wishes <- w:
	case <-ctx.Done():
		return ctx.Err()
	case <-k.ended:
		return pluginapi.ErrShuttingDown
	}
	return <-w.done
}

// Sync waits until all that was committed before the call is in the feed.
//
// # Errors
//
// [pluginapi.ErrNotLeader] when the database is not written here; as of
// [replication.Primary.Sync].
func (k *Keeper) Sync(ctx context.Context) error {
	for {
		k.mu.Lock()
		p, role, changed := k.primary, k.role, k.changed
		k.mu.Unlock()
		switch {
		case role != Leading:
			return fmt.Errorf("sync database %s: %w", k.cfg.Path, pluginapi.ErrNotLeader)
		case p != nil:
			return p.Sync(ctx)
		case k.missing():
			return nil // nothing was committed
		}
		select { // its service has just made it
		case k.look <- struct{}{}:
		default:
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("sync database %s: it is not open: %w", k.cfg.Path, errors.Join(ctx.Err(), k.State().Err))
		}
	}
}

// State is what is known of a database.
type State struct {
	Role    Role
	Err     error // what keeps it from working at the moment
	Primary *replication.PrimaryStats
	Standby *replication.StandbyStats
	Epoch   uint64 // where the copy, or the feed, stands
	TX      uint64
	Seq     uint64 // of the feed; 0 on the leader
	Follows bool   // the copy has all that it was told
}

// State returns what is known now.
func (k *Keeper) State() State {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := State{Role: k.role, Err: k.err}
	if p := k.primary; p != nil {
		stats := p.Stats()
		s.Primary, s.Epoch, s.TX = &stats, stats.Durable.Epoch, stats.Durable.TX
	}
	if b := k.standby; b != nil {
		stats := b.Stats()
		at, seq, follows := b.Position()
		s.Standby, s.Epoch, s.TX, s.Seq, s.Follows = &stats, at.Epoch, at.TX, seq, follows
	}
	return s
}

// Tools returns what the database is replicated with.
//
// # Errors
//
// [pluginapi.ErrBusy] as long as it is not open.
func (k *Keeper) Tools() (Tools, *replication.Standby, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.role == Opening {
		return Tools{}, nil, fmt.Errorf("database %s: %w: its feed is not open yet: %w", k.cfg.Path, pluginapi.ErrBusy, k.err)
	}
	return k.tools, k.standby, nil
}

// note changes what State tells.
func (k *Keeper) note(change func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change()
	close(k.changed)
	k.changed = make(chan struct{})
}

// failed notes and logs what keeps it from working.
func (k *Keeper) failed(what string, err error) {
	k.note(func() { k.err = err })
	k.cfg.Logger.Warn(what, "database", k.cfg.Path, "err", err)
}

// Pauses between two tries.
const (
	firstPause = 100 * time.Millisecond
	mostPause  = 5 * time.Second
	filePause  = time.Second // between two looks for the file of a database
)

// Run keeps the database until ctx ends. What goes wrong is logged, shown by
// State, and tried again.
func (k *Keeper) Run(ctx context.Context) {
	defer close(k.ended)
	if !k.open(ctx) {
		return
	}
	p := k.follow(ctx)
	for pause := firstPause; ; {
		select {
		case <-ctx.Done():
			p.stop()
			return
		case w := <-k.wishes:
			var err error
			if w.epoch != 0 {
				p, err = k.promote(ctx, w, p)
			} else {
				p, err = k.demote(ctx, w, p)
			}
			pause = firstPause
			w.done <- err
		case <-p.ended:
			p.stop()
			p = k.again(ctx, p, pause)
			pause = min(2*pause, mostPause)
		}
	}
}

// open opens the tools; false when ctx has ended.
func (k *Keeper) open(ctx context.Context) bool {
	for pause := firstPause; ; pause = min(2*pause, mostPause) {
		t, err := k.cfg.Open(ctx)
		if err == nil {
			k.note(func() { k.tools, k.role, k.err = t, Following, nil })
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		k.failed("open the feed", err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return false
		}
	}
}

// part is a primary or a standby that runs.
type part struct {
	epoch  uint64 // of the primary; 0 for a standby
	cancel context.CancelFunc
	ended  chan struct{}
	then   func() // closes it
	once   *sync.Once
}

// stop ends it and waits for that.
func (p part) stop() {
	p.cancel()
	<-p.ended
	p.once.Do(p.then)
}

// begin runs do until it is stopped.
func (k *Keeper) begin(ctx context.Context, epoch uint64, do func(context.Context) error, then func()) part {
	ctx, cancel := context.WithCancel(ctx)
	p := part{epoch: epoch, cancel: cancel, ended: make(chan struct{}), then: then, once: &sync.Once{}}
	go func() {
		defer close(p.ended)
		if err := do(ctx); err != nil && ctx.Err() == nil {
			k.failed("replicate", err)
		}
	}()
	return p
}

// again begins what has ended by itself, after a pause.
func (k *Keeper) again(ctx context.Context, p part, pause time.Duration) part {
	epoch := p.epoch
	return k.begin(ctx, epoch, func(ctx context.Context) error {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
		if epoch != 0 {
			return k.lead(ctx, epoch, nil)
		}
		return k.copy(ctx)
	}, func() {})
}

// follow keeps a copy.
func (k *Keeper) follow(ctx context.Context) part {
	k.note(func() { k.role = Following })
	return k.begin(ctx, 0, k.copy, func() {})
}

func (k *Keeper) copy(ctx context.Context) error {
	s, err := replication.OpenStandby(ctx, replication.StandbyConfig{
		Path: k.cfg.Path, Feed: k.tools.Feed, Chunks: k.tools.Chunks, Shelf: k.tools.Shelf, Logger: k.cfg.Logger,
	})
	if err != nil {
		return err
	}
	k.note(func() { k.standby, k.err = s, nil })
	err = s.Run(ctx)
	k.note(func() { k.standby = nil })
	s.Close()
	return err
}

// promote lets the copy have all of the feed, and begins to feed.
func (k *Keeper) promote(ctx context.Context, w wish, p part) (part, error) {
	begun := time.Now()
	head, err := k.tools.Feed.Raise(w.ctx, w.epoch)
	if err != nil {
		return p, err
	}
	raised := time.Since(begun)
	if head.LastSeq > 0 && p.epoch == 0 && !replication.Continues(k.cfg.Path, head) {
		if err := k.reach(w.ctx, head.LastSeq); err != nil {
			return p, err
		}
	}
	p.stop()
	k.note(func() { k.role, k.err = Leading, nil })
	opened := make(chan error, 1)
	p = k.begin(ctx, w.epoch, func(ctx context.Context) error { return k.lead(ctx, w.epoch, opened) }, func() {})
	select {
	case err = <-opened:
	case <-w.ctx.Done():
		err = w.ctx.Err()
	}
	if err == nil {
		k.cfg.Logger.Info("database promoted", "database", k.cfg.Path, "epoch", w.epoch, "raised", raised, "took", time.Since(begun))
	}
	return p, err
}

// reach waits until the copy has what the feed had at seq. The standby may be
// begun anew meanwhile.
func (k *Keeper) reach(ctx context.Context, seq uint64) error {
	tick := time.NewTicker(firstPause)
	defer tick.Stop()
	for {
		k.mu.Lock()
		s := k.standby
		k.mu.Unlock()
		if s != nil {
			return s.Reach(ctx, seq)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(ctx.Err(), k.State().Err)
		}
	}
}

// demote feeds the last changes, as long as the wish allows, and follows.
func (k *Keeper) demote(ctx context.Context, w wish, p part) (part, error) {
	if p.epoch == 0 {
		return p, nil
	}
	k.mu.Lock()
	primary, err := k.primary, k.err
	k.mu.Unlock()
	switch {
	case primary != nil:
		err = primary.Sync(w.ctx)
	case k.missing():
		err = nil // nothing was committed
	default:
		err = fmt.Errorf("%w: what was committed last may not be fed: %w", pluginapi.ErrUnknownOutcome, err)
	}
	p.stop()
	return k.follow(ctx), err
}
