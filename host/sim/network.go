package sim

import (
	"time"
)

// Delays of one message.
const (
	delayLeast = 100 * time.Microsecond
	delayMost  = 4 * time.Millisecond
)

func (w *world) chance(p float64) bool { return p > 0 && w.rnd.Float64() < p }

// upTo returns a time from 0 to d.
func (w *world) upTo(d time.Duration) time.Duration { return time.Duration(w.rnd.Int64N(int64(d) + 1)) }

// between returns a time from a to b.
func (w *world) between(a, b time.Duration) time.Duration { return a + w.upTo(b-a) }

func (w *world) delay(m *machine) time.Duration {
	d := w.between(delayLeast, delayMost)
	if w.chance(w.faults.Tail) {
		d *= 10
	}
	if m.slow {
		d *= time.Duration(1 + w.rnd.IntN(100))
	}
	return d
}

// request carries a message from a machine to the store.
func (w *world) request(m *machine, arrive func()) {
	w.stats.Messages++
	if m.cutOut || w.outage || w.chance(w.faults.Loss) {
		return
	}
	d := w.delay(m)
	if w.chance(w.faults.Late) {
		d += w.cfg.writeTimeout() + w.upTo(w.cfg.TTL)
	}
	w.after(d, func() {
		if !w.outage {
			arrive()
		}
	})
}

// reply carries a message from the store, or from another node, to a machine.
func (w *world) reply(m *machine, arrive func()) {
	w.stats.Messages++
	if m.cutIn || w.outage || w.chance(w.faults.Loss) {
		return
	}
	w.after(w.delay(m), func() {
		if !m.cutIn {
			arrive()
		}
	})
}

// broadcast carries a hint to every process.
func (w *world) broadcast(from *machine, tell func(*process)) {
	if from.cutOut || w.outage {
		return
	}
	for _, m := range w.nodes {
		if p := m.proc; p != nil {
			w.reply(m, func() { tell(p) })
		}
	}
}
