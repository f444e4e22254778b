package lock

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/host/core/election"
	"github.com/ozanturksever/go-cluster/host/core/lock"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

const (
	lookEvery = time.Second      // between two looks at the sessions of those who are in the way
	lookPause = lookEvery / 10   // at least, unless there is a hint
	calmAfter = 3 * time.Second  // a record that nobody waits for is watched for this long
	keepFor   = 30 * time.Second // an idle lock's last known record is kept for this long
)

// Session is what a node knows of its own session.
type Session struct {
	Self    election.Holder // zero: it does not hold at this moment
	Stop    time.Time       // when work must begin to stop unless the session is renewed
	Until   time.Time       // when it ends unless it is renewed
	Leaving bool            // the node shuts down
}

// Config is what a [Keeper] needs to know. All fields but OnEvent are needed.
type Config struct {
	Open     func(context.Context) (*bus.Records, error) // opens the stream of locks
	Sessions func() *bus.Records
	Session  func() Session
	Confirms func(election.Holder) bool              // the table of members has the node in this incarnation
	Changes  func() (<-chan struct{}, func())        // of what Session and Confirms say
	OnGone   func(func(node string)) (func(), error) // hints that a session is over
	Now      func() time.Time
	Timeout  time.Duration // of one write or read
	Logger   *slog.Logger
	OnEvent  func(Event) // called in order for each lock, must return soon and use no lock; nil: none
}

// Kinds of an [Event].
const (
	Acquired = "acquired"
	Released = "released"
	Lost     = "lost" // with the session
)

// Event is something that happened to a lock on this node.
type Event struct {
	Name  Name
	Kind  string // Acquired, Released or Lost
	Epoch pluginapi.Epoch
	Took  time.Duration // acquired: how long it was waited for; else how long it was held
}

// Name says which lock is meant.
type Name struct {
	App  string // "": a lock of the platform
	Lock string
}

// String returns the lock's key.
func (n Name) String() string {
	if n.App == "" {
		return bus.PlatformLock(n.Lock)
	}
	return bus.AppLock(n.App, n.Lock)
}

// Keeper carries all locks of one node.
type Keeper struct {
	cfg     Config
	life    context.Context // of everything that it starts
	end     context.CancelFunc
	leaving context.Context // ends when the node begins to shut down
	leave   context.CancelFunc
	wake    chan struct{}
	tickets atomic.Uint64
	opening chan struct{} // holds a token while the stream is opened
	records atomic.Pointer[bus.Records]

	mu    sync.Mutex
	slots map[Name]*slot
	holds map[*hold]struct{}
	looks map[string]*look // by node

	working sync.Mutex // guards closed, and the work that begins
	closed  bool
	work    sync.WaitGroup

	// Used by Run only.
	self   election.Holder
	looked time.Time
}

// New returns a keeper that has started nothing.
func New(cfg Config) *Keeper {
	k := &Keeper{
		cfg: cfg, wake: make(chan struct{}, 1), opening: make(chan struct{}, 1),
		slots: map[Name]*slot{}, holds: map[*hold]struct{}{}, looks: map[string]*look{},
	}
	k.life, k.end = context.WithCancel(context.Background())
	k.leaving, k.leave = context.WithCancel(k.life)
	// A ticket of an earlier process of this node is never taken for one of ours.
	k.tickets.Store(rand.Uint64() >> 2)
	return k
}

// Run follows the node's session until ctx ends. Then it returns when all that
// the keeper has started has ended; whoever waits gets ErrShuttingDown.
func (k *Keeper) Run(ctx context.Context) error {
	defer k.close()
	changed, cancel := k.cfg.Changes()
	defer cancel()
	stop, err := k.cfg.OnGone(func(node string) { k.lookAt(node, 0) })
	if err != nil {
		return fmt.Errorf("follow hints: %w", err)
	}
	defer stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-changed:
		case <-timer.C:
		case <-k.wake:
		case <-ctx.Done():
			return nil
		}
		timer.Reset(k.check())
	}
}

func (k *Keeper) close() {
	k.leave()
	k.working.Lock()
	k.closed = true
	k.working.Unlock()
	k.end()
	k.work.Wait()
	for _, h := range k.allHolds() {
		h.finish(pluginapi.ErrShuttingDown)
	}
}

// spawn runs fn, unless the keeper has ended. fn must end with k.life.
func (k *Keeper) spawn(fn func()) {
	k.working.Lock()
	defer k.working.Unlock()
	if !k.closed {
		k.work.Go(fn)
	}
}

// check does what the time or the session asks for, and returns how long there is
// nothing more to do.
func (k *Keeper) check() time.Duration {
	now, s := k.cfg.Now(), k.cfg.Session()
	if s.Leaving {
		k.leave()
	}
	wait := time.Hour
	for _, h := range k.allHolds() {
		h.warn(now, s)
		for _, t := range []time.Time{s.Stop, s.Until} {
			if d := t.Sub(now); d > 0 {
				wait = min(wait, d)
			}
		}
	}
	look := now.Sub(k.looked) >= lookEvery
	if look {
		k.looked = now
	}
	slots := k.allSlots()
	for _, slot := range slots {
		if s.Self != k.self {
			slot.step(lock.Look{})
		}
		slot.tend(now, look)
	}
	k.self = s.Self
	k.forget(now)
	if len(slots) > 0 {
		wait = min(wait, max(0, k.looked.Add(lookEvery).Sub(now)))
	}
	return wait
}

func (k *Keeper) allSlots() (out []*slot) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, s := range k.slots {
		out = append(out, s)
	}
	return out
}

func (k *Keeper) allHolds() (out []*hold) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for h := range k.holds {
		out = append(out, h)
	}
	return out
}

// forget drops what is known of locks that have not been used for a while. Only
// a pin can put an idle slot to use; k.mu must not be held while a slot is
// asked.
func (k *Keeper) forget(now time.Time) {
	for _, s := range k.allSlots() {
		before := k.pinned(s)
		if before == 0 || !s.idle(now) {
			continue
		}
		k.mu.Lock()
		if s.pins == 0 && s.uses == before {
			delete(k.slots, s.name)
		}
		k.mu.Unlock()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	maps.DeleteFunc(k.looks, func(_ string, l *look) bool { return !l.busy && now.Sub(l.at) >= keepFor })
}

// pinned returns how often an unpinned slot was pinned; 0 if it is pinned.
func (k *Keeper) pinned(s *slot) uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	if s.pins > 0 {
		return 0
	}
	return s.uses
}

// slot returns the slot of a lock. The caller must unpin it.
func (k *Keeper) slot(ctx context.Context, name Name) (*slot, error) {
	r, err := k.open(ctx)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.slots[name]
	if s == nil {
		floor := pluginapi.Epoch(max(0, r.Created().UnixMicro()))
		s = &slot{k: k, name: name, records: r, machine: lock.New(floor), tickets: map[uint64]*ticket{}}
		k.slots[name] = s
		k.hurry()
	}
	s.pins++
	s.uses++
	return s, nil
}

func (k *Keeper) unpin(s *slot) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s.pins--
}

// hurry wakes Run.
func (k *Keeper) hurry() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// open opens the stream with the first lock that is used. Whoever comes
// meanwhile waits.
func (k *Keeper) open(ctx context.Context) (*bus.Records, error) {
	select {
	case k.opening <- struct{}{}:
		defer func() { <-k.opening }()
	case <-ctx.Done():
		return nil, ended(ctx)
	case <-k.leaving.Done():
		return nil, pluginapi.ErrShuttingDown
	}
	if r := k.records.Load(); r != nil {
		return r, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(k.leaving, cancel)()
	r, err := k.cfg.Open(ctx)
	if err != nil && k.leaving.Err() != nil {
		return nil, pluginapi.ErrShuttingDown
	}
	if err != nil {
		return nil, err
	}
	k.records.Store(r)
	return r, nil
}
