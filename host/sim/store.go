package sim

import (
	"slices"
	"time"

	"github.com/ozanturksever/go-cluster/host/core"
	"github.com/ozanturksever/go-cluster/host/core/election"
)

// staleMost is how long a server may answer reads without knowing that it is cut
// off.
const staleMost = 4 * time.Second

// version is what a key held from a time on.
type version struct {
	seq   uint64
	value []byte
	at    time.Duration
}

// bucket is one stream of records: linearizable for writes, with a memory for
// reads that are answered by someone who is behind.
type bucket struct {
	seq  uint64
	keys []string // sorted
	recs map[string][]version
}

func newBucket() bucket { return bucket{recs: map[string][]version{}} }

// get returns what the key held at a time.
func (b *bucket) get(key string, at time.Duration) version {
	vs := b.recs[key]
	for i := len(vs) - 1; i >= 0; i-- {
		if vs[i].at <= at {
			return vs[i]
		}
	}
	return version{}
}

// cas writes if the key still has the sequence after.
func (b *bucket) cas(now time.Duration, key string, after uint64, value []byte) (election.Result, uint64) {
	vs := b.recs[key]
	if len(vs) == 0 && after != 0 || len(vs) > 0 && vs[len(vs)-1].seq != after {
		return election.Conflict, 0
	}
	if len(vs) == 0 {
		i, _ := slices.BinarySearch(b.keys, key)
		b.keys = slices.Insert(b.keys, i, key)
	}
	b.seq++
	old := 0
	for old+1 < len(vs) && vs[old+1].at < now-2*staleMost {
		old++
	}
	b.recs[key] = append(slices.Delete(vs, 0, old), version{b.seq, value, now})
	return election.Done, b.seq
}

// newest returns what the key holds.
func (b *bucket) newest(key string) version {
	if vs := b.recs[key]; len(vs) > 0 {
		return vs[len(vs)-1]
	}
	return version{}
}

// cas writes, checks what that means, and tells the watchers.
func (w *world) cas(b core.Bucket, key string, after uint64, value []byte) (election.Result, uint64) {
	before := w.store[b].newest(key)
	r, seq := w.store[b].cas(w.now, key, after, value)
	if r != election.Done {
		w.stats.Conflicts++
		return r, seq
	}
	w.note("store", "wrote", func() any { return line{b.String(), key, seq, string(value)} })
	w.applied(b, key, before, version{seq, value, w.now})
	for _, m := range w.nodes {
		if p := m.proc; p != nil && p.watches(b, key) {
			w.push(p, core.Seen{Bucket: b, Key: key, Seq: seq, Value: value})
		}
	}
	return r, seq
}

// push is one word of a watch on its way: it may be late, lost, doubled, and
// come after a later one.
func (w *world) push(p *process, in core.Input) {
	times := 1
	if w.chance(w.faults.Duplicate) {
		times = 2
	}
	for range times {
		w.reply(p.m, func() { p.tell(in) })
	}
}

// asOf returns the time whose state a read is answered with: some reach the
// server that was the leader once.
func (w *world) asOf() time.Duration {
	if w.behind > 0 && w.chance(0.4) {
		return w.behind
	}
	return w.now
}

// read answers one record.
func (p *process) read(e core.Read) {
	w := p.m.w
	w.request(p.m, func() {
		v := w.store[e.Bucket].get(e.Key, w.asOf())
		w.reply(p.m, func() { p.tell(core.Seen{Bucket: e.Bucket, Key: e.Key, Seq: v.seq, Value: v.value}) })
	})
}

// list answers all records of a bucket that the process watches, then calls
// done.
func (p *process) list(b core.Bucket, done func()) {
	w := p.m.w
	w.request(p.m, func() {
		at := w.asOf()
		var all []core.Seen
		for _, key := range w.store[b].keys {
			if v := w.store[b].get(key, at); v.seq > 0 && p.watches(b, key) {
				all = append(all, core.Seen{Bucket: b, Key: key, Seq: v.seq, Value: v.value})
			}
		}
		w.reply(p.m, func() {
			for _, in := range all {
				p.tell(in)
			}
			if done != nil {
				done()
			}
		})
	})
}

// write is a compare-and-set over the network, answered exactly once.
func (p *process) write(e core.Write) {
	w, answered := p.m.w, false
	w.stats.Writes++
	if e.Bucket == core.Sessions && e.Key == p.m.name {
		w.stats.Renewals++
	}
	answer := func(r election.Result, seq uint64) {
		if answered {
			return
		}
		answered = true
		if p.m.paused && w.chance(0.3) { // when it wakes, its timer may be faster than its socket
			r, seq = election.Unknown, 0
		}
		if r == election.Unknown {
			w.stats.Unknown++
		}
		p.tell(core.Written{ID: e.ID, Result: r, Seq: seq})
	}
	w.after(w.cfg.writeTimeout(), func() { answer(election.Unknown, 0) })
	if w.outage && w.chance(0.5) {
		w.after(w.delay(p.m), func() { answer(election.Refused, 0) }) // nobody is there to take it
		return
	}
	w.request(p.m, func() {
		if w.chance(w.faults.Liar) {
			w.reply(p.m, func() { answer(election.Conflict, 0) })
			w.after(w.upTo(liarLate), func() { w.cas(e.Bucket, e.Key, e.After, e.Value) })
			return
		}
		r, seq := w.cas(e.Bucket, e.Key, e.After, e.Value)
		w.reply(p.m, func() { answer(r, seq) })
	})
}

// liarLate is how long after a false conflict the write may still be stored.
const liarLate = 200 * time.Millisecond
