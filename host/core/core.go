package core

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ozanturksever/go-cluster/host/core/election"
	"github.com/ozanturksever/go-cluster/host/core/lifecycle"
	"github.com/ozanturksever/go-cluster/host/core/membership"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// App is what the core needs to know of an app.
type App struct {
	Name  string
	Spec  lifecycle.Spec
	Floor pluginapi.Epoch // highest epoch found in this node's own durable state
}

// Config is what a [Core] needs to know.
type Config struct {
	Platform string
	Node     string
	Home     string                // see election.SessionRecord
	Self     membership.NodeRecord // address, version, labels; apps are added
	TTL      time.Duration         // lease of the session
	Every    time.Duration         // between renewals
	Budget   time.Duration         // what stopping all work may take when the lease runs out
	Margin   time.Duration         // between the end of all work and the deadline, and added to an observer's patience
	Retry    time.Duration         // pause after a failed write
	Rank     time.Duration         // between two candidates
	Digest   time.Duration         // between two digests of the controller
	Apps     []App
}

// Core is the state of one node. It is a value to be used by one goroutine.
type Core struct {
	cfg   Config
	now   time.Time
	wall  time.Duration // wall clock minus now
	out   []Effect
	view  *View
	dirty bool // something in the view has changed
	all   bool // what has changed concerns every app
	some  []*app

	staleApps bool // what the view shows of every app may have changed

	session *election.Session
	watch   *election.Watch
	control *election.Ownership
	apps    map[string]*app
	order   []*app // by name
	writes  map[uint64]write
	serial  uint64

	recordsLoaded  bool
	sessionsLoaded bool
	observing      election.Observe
	deadline       time.Time // last known deadline of the session
	shutdown       bool
	finished       bool
	fatal          bool

	members   membership.Follower
	tableSeq  uint64
	tableBad  bool      // what is stored cannot be read
	tablePut  bool      // a write of the table is on its way
	tableWait time.Time // no write of the table before this
	digestAt  time.Time
	heard     time.Time // when the present controller last spoke, or got the role
	lastSeen  map[string]time.Time
	why       map[string]string    // node -> why its last session is over
	bad       map[string]uint64    // record -> sequence at which it could not be read
	asked     map[string]time.Time // node -> when its session was last read because nobody may be left to tell
	askAgain  time.Time

	nodes  map[string]*node
	can    map[string][]string // app -> nodes that have it
	leads  map[string]int      // node -> apps it leads
	ranked map[string]ranking  // app -> what its policy says
	edits  map[uint64]*edit
}

type node struct {
	seq uint64
	rec membership.NodeRecord
}

// write remembers for whom a write is on its way.
type write struct {
	done func(r election.Result, seq uint64)
}

// New returns a core that has seen nothing. It does not check the config.
func New(cfg Config) *Core {
	c := &Core{
		cfg:      cfg,
		apps:     map[string]*app{},
		writes:   map[uint64]write{},
		lastSeen: map[string]time.Time{},
		why:      map[string]string{},
		asked:    map[string]time.Time{},
		bad:      map[string]uint64{},
		nodes:    map[string]*node{},
		can:      map[string][]string{},
		ranked:   map[string]ranking{},
		leads:    map[string]int{},
		edits:    map[uint64]*edit{},
		dirty:    true, staleApps: true,
	}
	c.session = election.NewSession(election.SessionConfig{
		Node: cfg.Node, Home: cfg.Home, TTL: cfg.TTL, Every: cfg.Every,
		Budget: cfg.Budget, Margin: cfg.Margin, Retry: cfg.Retry,
	})
	c.watch = election.NewWatch(election.WatchConfig{Self: cfg.Node, Margin: cfg.Margin, Retry: cfg.Retry})
	c.control = c.newOwnership(KeyController, 0)
	for _, a := range cfg.Apps {
		c.apps[a.Name] = newApp(c, a)
		c.cfg.Self.Apps = append(c.cfg.Self.Apps, a.Name)
	}
	slices.Sort(c.cfg.Self.Apps)
	for _, name := range slices.Sorted(maps.Keys(c.apps)) {
		c.order = append(c.order, c.apps[name])
	}
	self := c.cfg.Self
	c.edits[0] = &edit{node: cfg.Node, edit: membership.Edit{Set: cfg.Self.Labels, Self: &self}, create: true}
	return c
}

func (c *Core) newOwnership(key string, floor pluginapi.Epoch) *election.Ownership {
	return election.NewOwnership(election.OwnershipConfig{
		Key: key, Retry: c.cfg.Retry, Rank: c.cfg.Rank, Floor: floor,
	}, facts{c})
}

// facts answers the ownerships' questions about sessions.
type facts struct{ c *Core }

func (f facts) Self(now time.Time) (election.Holder, bool) {
	return f.c.session.Self(), f.c.session.Valid(now)
}

func (f facts) Over(now time.Time, h election.Holder) bool { return f.c.watch.Over(now, h) }

// Step tells the core one thing and returns what it wants done, in order.
func (c *Core) Step(now time.Time, in Input) []Effect {
	c.now, c.out = now, nil
	if c.finished || c.fatal {
		return nil
	}
	if until := c.session.Until(); !until.IsZero() && !now.Before(until) {
		c.toSession(election.Tick{}) // a process that was frozen: nothing runs before it knows that
	}
	c.take(in)
	c.settle()
	return c.out
}

// touched remembers that an app has to be settled. With a thousand apps most
// inputs concern one of them; all are looked at when something that they share
// has changed, and with each Tick.
func (c *Core) touched(a *app) {
	if !c.all && (len(c.some) == 0 || c.some[len(c.some)-1] != a) {
		c.some = append(c.some, a)
	}
}

func (c *Core) take(in Input) {
	switch in := in.(type) {
	case Tick:
		c.wall = in.Wall.Sub(c.now)
		c.tick()
	case Seen:
		c.seen(in)
	case Loaded:
		c.loaded(in.Bucket)
	case Written:
		if w, ok := c.writes[in.ID]; ok {
			delete(c.writes, in.ID)
			w.done(in.Result, in.Seq)
		}
	case StepDone:
		c.toApp(in.App, func(a *app) { a.life(lifecycle.StepDone{ID: in.ID, Err: in.Err}) })
	case BackendFailed:
		c.toApp(in.App, func(a *app) { a.life(lifecycle.Fail{Reason: in.Reason}) })
	case Gone:
		c.gone(in.Node)
	case GuardFired:
		c.guardFired(in.Inc)
	case DigestSeen:
		c.digest(in.Value)
	case Ranked:
		c.policyRanked(in)
	case StepDown:
		c.stepDown(in)
	case EditNode:
		c.edits[in.ID] = &edit{node: in.Node, edit: in.Edit, reply: true}
	case Forget:
		c.forget(in.ID)
	case Shutdown:
		c.beginShutdown()
	case Hurry:
		for _, a := range c.order {
			a.life(lifecycle.Hurry{By: c.now.Add(c.cfg.Budget)})
		}
	default:
		panic(fmt.Sprintf("core: unknown input %T", in))
	}
}

func (c *Core) emit(e Effect) { c.out = append(c.out, e) }

func (c *Core) note(kind, app, format string, args ...any) {
	c.emit(Note{Kind: kind, App: app, Text: fmt.Sprintf(format, args...)})
}

func (c *Core) warn(kind, app, format string, args ...any) {
	c.emit(Note{Kind: kind, App: app, Text: fmt.Sprintf(format, args...), Warn: true})
}

// put asks for a write; done is called with its fate inside a later Step.
func (c *Core) put(b Bucket, key string, after uint64, value []byte, done func(election.Result, uint64)) {
	c.serial++
	c.writes[c.serial] = write{done}
	c.emit(Write{c.serial, b, key, after, value})
}

func (c *Core) tick() {
	c.all = true
	c.toSession(election.Tick{})
	c.toWatch(election.Tick{})
	c.toControl(election.Tick{})
	for _, a := range c.order {
		a.life(lifecycle.Tick{})
		if a.own != nil {
			a.owner(election.Tick{})
		}
	}
}

// seen takes what the store holds. What cannot be read is noted and left alone:
// a record is only ever replaced by those whose turn it is.
func (c *Core) seen(in Seen) {
	if in.Bucket == Sessions {
		c.seenSession(in)
		return
	}
	var err error
	switch kind, name, _ := strings.Cut(in.Key, "."); {
	case in.Key == KeyMembers:
		err = c.seenTable(in)
	case in.Key == KeyController:
		err = c.seenOwner(in, c.toControl)
	case kind == "app":
		if a := c.apps[name]; a != nil && a.own != nil {
			err = c.seenOwner(in, a.owner)
		}
	case kind == "node":
		err = c.seenNode(name, in)
	}
	if err != nil {
		c.badRecord(in, err)
	}
}

// badRecord notes what cannot be read, once for each time it was written.
func (c *Core) badRecord(in Seen, err error) {
	key := in.Bucket.String() + "." + in.Key
	if c.bad[key] != in.Seq {
		c.bad[key] = in.Seq
		c.warn("bad-record", "", "%v", err)
	}
}

func (c *Core) seenOwner(in Seen, tell func(election.Input)) error {
	if in.Seq == 0 {
		tell(election.OwnerSeen{})
		return nil
	}
	rec, err := election.DecodeOwner(in.Key, in.Value)
	if err != nil {
		return err
	}
	tell(election.OwnerSeen{Seq: in.Seq, Record: rec})
	return nil
}

// loaded tells every ownership that was not seen that there is no record.
func (c *Core) loaded(b Bucket) {
	if b == Sessions {
		c.sessionsLoaded = true
		return
	}
	c.recordsLoaded = true
	if c.control.Record().Seq == 0 {
		c.toControl(election.OwnerSeen{})
	}
	for _, a := range c.order {
		if a.own != nil && a.own.Record().Seq == 0 {
			a.owner(election.OwnerSeen{})
		}
	}
}

// settle does what follows from the change of several machines at once.
func (c *Core) settle() {
	c.settleEdits()
	c.settleSession()
	c.settleObserve()
	c.settleControl()
	c.settleTable()
	c.settleApps()
	c.settleShutdown()
}

func (c *Core) settleApps() {
	all, some := c.all, c.some
	c.all, c.some = false, nil
	if !all {
		for _, a := range some {
			a.settle()
		}
		c.some = nil // what settling has touched is settled
		return
	}
	for _, a := range c.order {
		a.settle()
	}
	c.some = nil
}

// Next returns when the core wants a Tick.
func (c *Core) Next() time.Time {
	next := soonest(c.session.Next(), c.watch.Next(), c.control.Next(), c.future(c.tableWait), c.future(c.askAgain), c.future(c.silentAt()))
	if c.control.Held() {
		next = soonest(next, c.future(c.digestAt))
	}
	for _, e := range c.edits {
		if !e.inflight {
			next = soonest(next, c.future(e.pause))
		}
	}
	for _, a := range c.order {
		next = soonest(next, a.machine.Next(), c.future(a.avoid), c.future(a.yield))
		if a.own != nil {
			next = soonest(next, a.own.Next())
		}
	}
	return next
}

// future leaves out what every Step looks at anyway and that is due already.
func (c *Core) future(t time.Time) time.Time {
	if t.After(c.now) {
		return t
	}
	return time.Time{}
}

func soonest(times ...time.Time) time.Time {
	var out time.Time
	for _, t := range times {
		if !t.IsZero() && (out.IsZero() || t.Before(out)) {
			out = t
		}
	}
	return out
}
