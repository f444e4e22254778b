package flow

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/ozanturksever/go-cluster/replication/page"
)

// world runs one primary after the other, some of them frozen and revived, and
// two standbys, over a stream whose answers are lost, late or lies. Databases
// are lists of numbers: the checksum of one is a hash of its list.
type world struct {
	t        *testing.T
	r        *rand.Rand
	stream   []entry
	epoch    uint64
	epochSeq uint64
	late     []func() // writes that are still on their way
	primary  []*leader
	standbys []*follower
	acked    Position
	resyncs  map[Why]int
	old      []Found
}

// entry is a message of the stream; epoch is set if it raises.
type entry struct {
	raise  uint64
	change Change
	data   []uint64
}

type leader struct {
	m    *Primary
	db   []uint64
	send *Send
	ask  bool
	hold bool
	done bool
}

type follower struct {
	m     *Standby
	db    []uint64
	next  int // of the stream
	apply *Change
	sync  bool
}

func sum(db []uint64) page.Sum {
	if len(db) == 0 {
		return 0
	}
	h := uint64(14695981039346656037)
	for _, v := range db {
		h = (h ^ v) * 1099511628211
	}
	return page.Sum(h | 1)
}

// last is the stream's last change and its sequence.
func (w *world) last() (Change, uint64) {
	for i := len(w.stream) - 1; i >= 0; i-- {
		if w.stream[i].raise == 0 {
			return w.stream[i].change, uint64(i + 1)
		}
	}
	return Change{}, 0
}

// history is the database that the stream makes.
func (w *world) history() (db []uint64) {
	for _, e := range w.stream {
		db = append(db, e.data...)
	}
	return db
}

// append is what the servers do: both conditions, or nothing.
func (w *world) append(s Send, data []uint64) (uint64, bool) {
	if _, seq := w.last(); s.EpochSeq != w.epochSeq || s.Seq != seq {
		return 0, false
	}
	w.stream = append(w.stream, entry{change: s.Change, data: data})
	return uint64(len(w.stream)), true
}

// takeover makes a new primary of the content of the stream.
func (w *world) takeover() {
	w.epoch++
	w.stream = append(w.stream, entry{raise: w.epoch})
	w.epochSeq = uint64(len(w.stream))
	db := w.history()
	c, seq := w.last()
	m := NewPrimary(w.epoch, w.epochSeq, Position{c.Epoch, c.Last, sum(db)}, seq, 50)
	w.primary = append(w.primary, &leader{m: m, db: db})
}

// commit lets a primary's program write, whether it should or not.
func (w *world) commit(l *leader) {
	if l.hold || l.done {
		return
	}
	pre, first := sum(l.db), uint64(len(l.db)+1)
	n := 1 + w.r.IntN(3)
	for range n {
		l.db = append(l.db, w.r.Uint64())
	}
	c := Change{Epoch: l.m.epoch, First: first, Last: first + uint64(n) - 1, Pre: pre, Post: sum(l.db), Bytes: 10 * n}
	w.do(l, l.m.Step(Captured{c}))
}

func (w *world) do(l *leader, effects []Effect) {
	for _, e := range effects {
		switch e := e.(type) {
		case Send:
			l.send = &e
		case Probe:
			l.ask = true
		case Hold:
			l.hold = e.Wait
		case Fenced:
			if e.By == 0 || e.By > w.epoch {
				w.t.Fatalf("fenced by %d", e.By)
			}
			l.done = true
		case Durable:
			if e.Position.TX < w.acked.TX && l == w.primary[len(w.primary)-1] {
				w.t.Fatalf("durable goes back from %+v to %+v", w.acked, e.Position)
			}
			h := w.history()
			if int(e.Position.TX) > len(h) || sum(h[:e.Position.TX]) != e.Position.Sum {
				w.t.Fatalf("%+v is told to be durable, the stream has %d", e.Position, len(h))
			}
			if e.Position.TX > w.acked.TX {
				w.acked = e.Position
			}
		}
	}
}

// network carries one write of a primary: it may be done at once, later, never,
// and its answer may be lost or a lie.
func (w *world) network(l *leader) {
	s := *l.send
	l.send = nil
	data := append([]uint64(nil), l.db[s.Change.First-1:s.Change.Last]...)
	write := func() (uint64, bool) { return w.append(s, data) }
	switch w.r.IntN(6) {
	case 0: // lost, or late
		if w.r.IntN(2) == 0 {
			w.late = append(w.late, func() { write() })
		}
		w.do(l, l.m.Step(Unknown{}))
	case 1: // the answer is lost
		write()
		w.do(l, l.m.Step(Unknown{}))
	case 2: // one that has been replaced refuses what is stored elsewhere
		write()
		w.do(l, l.m.Step(Refused{}))
	default:
		if seq, ok := write(); ok {
			w.do(l, l.m.Step(Stored{seq}))
		} else {
			w.do(l, l.m.Step(Refused{}))
		}
	}
}

// probe answers a primary's question, or not.
func (w *world) probe(l *leader) {
	l.ask = false
	if w.r.IntN(4) == 0 {
		w.do(l, l.m.Step(Unreadable{}))
		return
	}
	now := w.found()
	w.do(l, l.m.Step(w.old[w.r.IntN(len(w.old))]))
	if w.r.IntN(3) > 0 {
		w.do(l, l.m.Step(now))
	}
}

// found is what the stream's leader answers; earlier answers are kept, for one
// that has been replaced may still give them.
func (w *world) found() Found {
	c, seq := w.last()
	now := Found{w.epoch, w.epochSeq, c, seq}
	w.old = append(w.old, now)
	if len(w.old) > 5 {
		w.old = w.old[1:]
	}
	return now
}

// follow tells a standby the next message and does what it wants.
func (w *world) follow(f *follower) {
	switch {
	case f.apply != nil:
		c := *f.apply
		f.apply = nil
		if sum(f.db) != c.Pre {
			w.t.Fatalf("asked to apply %+v on %x", c, sum(f.db))
		}
		if w.r.IntN(15) == 0 {
			w.obey(f, f.m.Step(Failed{"disk full"}))
			return
		}
		for _, e := range w.stream {
			if e.change == c {
				f.db = append(f.db, e.data...)
			}
		}
		w.obey(f, f.m.Step(Applied{}))
	case f.sync:
		w.resync(f)
	case f.next < len(w.stream):
		e := w.stream[f.next]
		f.next++
		if e.raise != 0 {
			w.obey(f, f.m.Step(Raised{e.raise, uint64(f.next)}))
		} else {
			w.obey(f, f.m.Step(Arrived{e.change, uint64(f.next)}))
		}
		w.obey(f, f.m.Step(Reached{uint64(f.next)}))
		if w.r.IntN(20) == 0 { // told again
			f.next -= min(f.next, w.r.IntN(5))
		}
	default:
		w.obey(f, f.m.Step(Reached{uint64(f.next)}))
	}
}

// resync brings a standby to some state that the stream has had, and begins anew
// there.
func (w *world) resync(f *follower) {
	var at []int // changes
	for i, e := range w.stream {
		if e.raise == 0 {
			at = append(at, i)
		}
	}
	if len(at) == 0 {
		*f = follower{m: NewStandby(Position{}, 0)}
		return
	}
	i := at[len(at)-1-w.r.IntN(min(len(at), 10))]
	c := w.stream[i].change
	db := w.history()[:c.Last]
	_, seq := w.last()
	*f = follower{m: NewStandby(c.end(), seq), db: append([]uint64(nil), db...), next: i}
	if sum(db) != c.Post {
		w.t.Fatalf("the stream's own %+v does not fit", c)
	}
}

func (w *world) obey(f *follower, effects []Effect) {
	for _, e := range effects {
		switch e := e.(type) {
		case Apply:
			f.apply = &e.Change
		case At:
			if e.Position.Sum != sum(f.db) || int(e.Position.TX) != len(f.db) {
				w.t.Fatalf("it says %+v, the database has %d", e.Position, len(f.db))
			}
		case Stale:
			w.t.Fatal("the stream took nothing stale")
		case Resync:
			f.sync = true
			w.resyncs[e.Why]++
		}
	}
}

// restart begins a standby anew, from what its pages say and a bad memory.
func (w *world) restart(f *follower) {
	_, seq := w.last()
	db := f.db
	if w.r.IntN(3) == 0 { // a power cut has taken the last ones
		db = db[:max(0, len(db)-w.r.IntN(4))]
	}
	if w.r.IntN(6) == 0 { // an old primary, with commits that nobody has
		db = append(append([]uint64(nil), db...), w.r.Uint64())
	}
	_, hint, _ := f.m.Position()
	next := 0
	if w.r.IntN(2) == 0 && hint > 0 {
		next = int(hint) - 1
	}
	*f = follower{m: NewStandby(Position{w.epoch, w.r.Uint64N(100), sum(db)}, seq), db: db, next: next}
}

func (w *world) step() {
	l := w.primary[w.r.IntN(len(w.primary))]
	if w.r.IntN(3) > 0 {
		l = w.primary[len(w.primary)-1]
	}
	f := w.standbys[w.r.IntN(len(w.standbys))]
	switch n := w.r.IntN(100); {
	case n == 0:
		w.takeover()
	case n == 1:
		w.restart(f)
	case n < 6 && len(w.late) > 0:
		w.late[0]()
		w.late = w.late[1:]
	case n < 30:
		w.commit(l)
	case n < 60 && l.send != nil:
		w.network(l)
	case n < 60 && l.ask:
		w.probe(l)
	default:
		w.follow(f)
	}
	for i, f := range w.standbys { // always a state that the stream has had, but for an old primary's own
		h := w.history()
		if _, _, follows := f.m.Position(); follows && (len(f.db) > len(h) || sum(h[:len(f.db)]) != sum(f.db)) {
			w.t.Fatalf("standby %d follows with %d numbers that the stream has not had", i, len(f.db))
		}
	}
}

// settle lets the last primary and the standbys come to an end.
func (w *world) settle() {
	l := w.primary[len(w.primary)-1]
	for range 10_000 {
		switch {
		case l.send != nil:
			w.network(l)
		case l.ask:
			w.probe(l)
		}
		for _, f := range w.standbys {
			w.follow(f)
		}
	}
	if l.send != nil || l.ask || l.done || l.hold {
		w.t.Fatalf("the last primary does not come to rest: %+v", l)
	}
	if tx, bytes := l.m.AtRisk(); tx != 0 || bytes != 0 || l.m.Durable().Sum != sum(l.db) {
		w.t.Fatalf("%d transactions and %d bytes at risk at the end", tx, bytes)
	}
	for i, f := range w.standbys {
		if at, _, follows := f.m.Position(); !follows || at.Sum != sum(l.db) || sum(f.db) != at.Sum {
			w.t.Fatalf("standby %d ends at %+v (follows: %v) with %d of %d", i, at, follows, len(f.db), len(l.db))
		}
	}
}

// TestWorld: whatever happens, no standby that follows has anything that the
// stream has not had, what was told to be durable stays, and in the end all have
// the same.
func TestWorld(t *testing.T) {
	resyncs := map[Why]int{}
	seeds := uint64(150)
	if os.Getenv("CHAOS") == "long" {
		seeds = 5000
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := &world{t: t, r: rand.New(rand.NewPCG(seed, 5)), resyncs: resyncs}
			w.takeover()
			for range 2 {
				w.standbys = append(w.standbys, &follower{m: NewStandby(Position{}, 0)})
			}
			for range 1500 {
				w.step()
			}
			w.settle()
			h := w.history()
			if int(w.acked.TX) > len(h) || sum(h[:w.acked.TX]) != w.acked.Sum {
				t.Fatalf("durable %+v is lost", w.acked)
			}
		})
	}
	for _, why := range []Why{WhyFailed, WhyLost} {
		if resyncs[why] == 0 {
			t.Errorf("no resync for %q: %v", why, resyncs)
		}
	}
}
