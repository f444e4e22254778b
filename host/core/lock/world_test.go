package lock_test

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/ozanturksever/go-cluster/host/core/election"
	"github.com/ozanturksever/go-cluster/host/core/lock"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// mutant is a defect planted around the machine. The world must find each.
type mutant string

const (
	sound          mutant = ""
	surelyNotDone  mutant = "a write of unknown fate counts as not done"
	cachedSession  mutant = "a session that is over counts as valid"
	dropsLiving    mutant = "a silent node counts as dead"
	neverLooks     mutant = "nobody looks at the sessions of others"
	blindStore     mutant = "the store does not compare"
	overtakes      mutant = "the last in the queue is let in first"
	epochFalls     mutant = "epochs begin anew when nobody holds the lock"
	forgetsTickets mutant = "who gives up tells nobody"
)

// world is several processes, their machines, one lock, and everything that may
// go wrong between them.
type world struct {
	rng    *rand.Rand
	mutant mutant
	calm   bool // nothing goes wrong any more
	kinds  []lock.Enter
	past   []stored // what the store held, newest last
	procs  []*proc
	afloat []lock.Write // writes that nobody waits for and that may still be done
	owner  []*proc      // whose they are
	ticket uint64
	faults []string
	grants int
}

type stored struct {
	seq uint64
	rec lock.Record
}

// proc is one process. It may lose its session (valid is false), be revoked
// (over), come back in the next incarnation, or crash and lose its memory.
type proc struct {
	node  string
	inc   uint64
	valid bool // by its own clock
	over  bool // by the session record
	m     *lock.Machine
	out   []lock.Effect // a write or a read on its way: one at most
	mine  map[uint64]*client
}

type client struct {
	lock.Enter
	held    pluginapi.Epoch // 0: it waits
	leaving bool
}

func newWorld(seed uint64, m mutant) *world {
	w := &world{rng: rand.New(rand.NewPCG(seed, 1)), mutant: m, past: []stored{{}}}
	w.kinds = [][]lock.Enter{{{}}, {{Shared: true, Limit: 2}}, {{Limit: lock.MaxShared}, {Shared: true, Limit: lock.MaxShared}}}[seed%3]
	for _, n := range []string{"a", "b", "c"} {
		w.procs = append(w.procs, &proc{node: n, inc: 1, valid: true, m: lock.New(100), mine: map[uint64]*client{}})
	}
	return w
}

func (w *world) fault(format string, args ...any) {
	w.faults = append(w.faults, fmt.Sprintf(format, args...))
}

func (w *world) now() stored { return w.past[len(w.past)-1] }

// chance is true once in n times, and never when nothing goes wrong any more.
func (w *world) chance(n int) bool { return !w.calm && w.rng.IntN(n) == 0 }

func (p *proc) holder() election.Holder { return election.Holder{Node: p.node, Inc: p.inc} }

func (w *world) self(p *proc) election.Holder {
	if p.valid || w.mutant == cachedSession {
		return p.holder()
	}
	return election.Holder{}
}

// tell is one step of a machine.
func (w *world) tell(p *proc, in lock.Input) {
	for _, e := range p.m.Step(w.self(p), in) {
		switch e := e.(type) {
		case lock.Write, lock.Read:
			if len(p.out) > 0 {
				w.fault("%s begins %v while %v is on its way", p.node, e, p.out)
			}
			p.out = append(p.out, e)
		case lock.Granted:
			c := p.mine[e.Ticket]
			if c == nil || c.leaving || c.held != 0 || e.Self != p.holder() {
				w.fault("%s is granted %v", p.node, e)
				continue
			}
			c.held = e.Epoch
			w.grants++
		case lock.Refused:
			if c := p.mine[e.Ticket]; c == nil || !c.Try && w.mutant == sound {
				w.fault("%s is refused: %v", p.node, e.Err)
			}
			delete(p.mine, e.Ticket)
		case lock.Lost:
			delete(p.mine, e.Ticket)
		case lock.Left:
			if w.mutant == sound && p.valid && w.names(p, e.Ticket) {
				w.fault("%s: ticket %d left and is in the record", p.node, e.Ticket)
			}
			delete(p.mine, e.Ticket)
		}
	}
	w.checkHolders()
}

func (w *world) names(p *proc, ticket uint64) bool {
	r := w.now().rec
	return slices.ContainsFunc(slices.Concat(r.Holders, r.Queue), func(c lock.Claim) bool { return c.Holder == p.holder() && c.Ticket == ticket })
}

// checkHolders: of those who may believe that they hold the lock, none excludes
// another.
func (w *world) checkHolders() {
	var shared, exclusive, limit int
	for _, p := range w.procs {
		for _, c := range p.mine {
			switch {
			case c.held == 0 || c.leaving || !p.valid && w.mutant != cachedSession:
			case c.Shared:
				shared, limit = shared+1, c.Limit
			default:
				exclusive++
			}
		}
	}
	if exclusive > 1 || exclusive == 1 && shared > 0 || shared > limit {
		w.fault("%d exclusive and %d shared holders, limit %d", exclusive, shared, limit)
	}
}

// store does a compare-and-set.
func (w *world) store(by *proc, e lock.Write) (seq uint64, done bool) {
	old := w.now()
	if e.After != old.seq && w.mutant != blindStore {
		return 0, false
	}
	rec := e.Record
	switch {
	case w.mutant == overtakes && len(rec.Queue) > 1:
		rec.Queue = slices.Clone(rec.Queue)
		slices.Reverse(rec.Queue)
	case w.mutant == epochFalls && len(rec.Holders) == 0:
		rec.Epoch = 0
	}
	if again, err := lock.Decode("x", rec.Encode()); err != nil || again.Epoch != rec.Epoch {
		w.fault("%s writes what cannot be read: %v", by.node, err)
	}
	w.checkChange(by, old.rec, rec)
	w.past = append(w.past, stored{old.seq + 1 + w.rng.Uint64N(3), rec})
	return w.now().seq, true
}

// checkChange: epochs rise, nobody overtakes, nobody drops the living claims of
// another node.
func (w *world) checkChange(by *proc, old, rec lock.Record) {
	if rec.Epoch < old.Epoch {
		w.fault("epoch %d after %d", rec.Epoch, old.Epoch)
	}
	is := func(c lock.Claim) func(lock.Claim) bool {
		return func(o lock.Claim) bool { return o.Holder == c.Holder && o.Ticket == c.Ticket }
	}
	for _, c := range rec.Holders {
		if slices.ContainsFunc(old.Holders, is(c)) {
			continue
		}
		if c.Epoch <= old.Epoch || c.Epoch <= 100 {
			w.fault("%v comes in with an epoch not above %d", c, old.Epoch)
		}
		ahead := old.Queue
		if i := slices.IndexFunc(old.Queue, is(c)); i >= 0 {
			ahead = old.Queue[:i]
		}
		for _, o := range ahead {
			if slices.ContainsFunc(rec.Queue, is(o)) {
				w.fault("%v overtakes %v", c, o)
			}
		}
	}
	for _, c := range slices.Concat(old.Holders, old.Queue) {
		there := slices.ContainsFunc(slices.Concat(rec.Holders, rec.Queue), is(c))
		if !there && c.Node != by.node && !w.isOver(c.Holder) {
			w.fault("%s drops the living %v", by.node, c)
		}
	}
}

func (w *world) isOver(h election.Holder) bool {
	for _, p := range w.procs {
		if p.node == h.Node {
			return p.inc > h.Inc || p.over
		}
	}
	return false
}

// answer ends what a process has on its way, in one of the ways there are.
func (w *world) answer(p *proc) {
	if len(p.out) == 0 {
		return
	}
	e := p.out[0]
	p.out = nil
	write, isWrite := e.(lock.Write)
	maybe := false
	switch {
	case !isWrite || w.chance(8): // refused: certainly not done
	case w.chance(6): // lost on its way there, or not: it may still be done
		w.afloat, w.owner, maybe = append(w.afloat, write), append(w.owner, p), true
	case w.chance(8): // done, and the answer is lost
		w.store(p, write)
		maybe = true
	default:
		if seq, done := w.store(p, write); done {
			w.tell(p, lock.Stored{Seq: seq})
			return
		}
		if p.m.Seq() > write.After && w.rng.IntN(2) == 0 {
			w.tell(p, lock.Beaten{})
			return
		}
	}
	w.tell(p, lock.Found{Seen: w.look(), Maybe: maybe && w.mutant != surelyNotDone})
}

// look is what a reader gets: a server that was cut off tells old news.
func (w *world) look() lock.Seen {
	s := w.now()
	if w.chance(4) {
		s = w.past[w.rng.IntN(len(w.past))]
	}
	return lock.Seen{Seq: s.seq, Record: s.rec}
}

// watch tells a process what has changed, if it has a reason to watch, and lets
// it forget what it has no use for.
func (w *world) watch(p *proc) {
	switch {
	case p.m.Contended():
		w.tell(p, w.look())
	case p.m.Idle():
		p.m = lock.New(100)
	}
}

// step is one random thing.
func (w *world) step() {
	p := w.procs[w.rng.IntN(len(w.procs))]
	switch w.rng.IntN(12) {
	case 0, 1:
		w.enter(p)
	case 2, 3:
		w.leave(p)
	case 4, 5, 6, 7:
		w.answer(p)
	case 8:
		w.watch(p)
	case 9:
		w.land()
	case 10:
		w.lookAround(p)
	case 11:
		w.fate(p)
	}
	w.checkGhosts()
}

// checkGhosts: a process that wants nothing and waits for nothing has no claim in
// the record. As long as its session lives nobody else would take it out.
func (w *world) checkGhosts() {
	for _, p := range w.procs {
		for _, c := range slices.Concat(w.now().rec.Holders, w.now().rec.Queue) {
			if p.valid && p.m.Idle() && c.Holder == p.holder() {
				w.fault("%s has forgotten its claim %v", p.node, c)
			}
		}
	}
}

func (w *world) enter(p *proc) {
	if len(p.mine) > 3 {
		return
	}
	w.ticket++
	c := &client{Enter: w.kinds[w.rng.IntN(len(w.kinds))]}
	c.Ticket, c.Try = w.ticket, w.rng.IntN(4) == 0
	p.mine[c.Ticket] = c
	w.tell(p, c.Enter)
}

// leave lets one client of a process unlock or give up.
func (w *world) leave(p *proc) {
	for _, id := range sorted(p.mine) {
		if c := p.mine[id]; !c.leaving && (c.held != 0 || w.chance(4)) {
			c.leaving = true
			if w.mutant == forgetsTickets && c.held == 0 {
				return
			}
			w.tell(p, lock.Leave{Ticket: id})
			return
		}
	}
}

func sorted(mine map[uint64]*client) (ids []uint64) {
	for id := range mine {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// land does a write that nobody waits for any more, or loses it.
func (w *world) land() {
	if len(w.afloat) == 0 {
		return
	}
	i := w.rng.IntN(len(w.afloat))
	e, p := w.afloat[i], w.owner[i]
	w.afloat, w.owner = slices.Delete(w.afloat, i, i+1), slices.Delete(w.owner, i, i+1)
	if w.rng.IntN(4) > 0 {
		w.store(p, e)
	}
}

// lookAround lets a process look at the session records of the others.
func (w *world) lookAround(p *proc) {
	for _, o := range w.procs {
		switch h := o.holder(); {
		case o == p || w.mutant == neverLooks:
		case o.over, w.mutant == dropsLiving && !w.calm:
			w.tell(p, lock.Over{Holder: h})
		case h.Inc > 1:
			w.tell(p, lock.Over{Holder: election.Holder{Node: h.Node, Inc: h.Inc - 1}})
		}
	}
}

// fate changes the session of a process. Its own clock ends it before anybody
// else may.
func (w *world) fate(p *proc) {
	switch {
	case p.over: // it begins its next life
		p.inc, p.valid, p.over = p.inc+1, true, false
	case !p.valid && w.rng.IntN(2) == 0:
		p.over = true
	case !p.valid: // a renewal has come through after all
		p.valid = true
	case w.chance(3):
		p.valid = false
	case w.chance(6): // it is killed: its memory and what it has not sent are lost
		p.valid, p.over, p.m, p.mine = false, true, lock.New(100), map[uint64]*client{}
		for _, e := range p.out {
			if write, ok := e.(lock.Write); ok {
				w.afloat, w.owner = append(w.afloat, write), append(w.owner, p)
			}
		}
		p.out = nil
		return
	}
	w.tell(p, lock.Look{})
}

// settle lets everything come to its end when nothing goes wrong any more:
// each client that waits must get the lock, and nothing of a living session may
// stay behind.
func (w *world) settle() {
	w.calm = true
	for len(w.afloat) > 0 {
		w.land()
	}
	for round := 0; ; round++ {
		left := 0
		for _, p := range w.procs {
			if p.over || !p.valid {
				w.fate(p)
			}
			w.lookAround(p)
			w.watch(p)
			w.answer(p)
			w.leave(p)
			left += len(p.mine) + len(p.out)
		}
		r := w.now().rec
		if left == 0 && !slices.ContainsFunc(slices.Concat(r.Holders, r.Queue), func(c lock.Claim) bool { return !w.isOver(c.Holder) }) {
			return
		}
		if round == 1000 {
			w.fault("it never comes to an end: %+v", r)
			return
		}
	}
}
