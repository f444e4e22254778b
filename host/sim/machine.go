package sim

import (
	"fmt"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// birth is the second from which all clocks count.
const birth = 1_000_000

// machine is one computer: a clock, a link, a disk, and what runs on it. It
// outlives the processes of its node.
type machine struct {
	w    *world
	name string

	rate int64         // parts of a million by which its clock runs fast
	off  time.Duration // what its clock showed at the start
	wall time.Duration // by how much its wall clock is wrong

	cutIn, cutOut bool // answers do not come in, requests do not get out
	slow          bool // its messages take long
	paused        bool
	wakes         uint64 // counts pauses, so that each ends only its own

	durable  bool // it has a data directory
	home     string
	lives    int
	floors   map[string]pluginapi.Epoch // epochs in the data directory
	backends map[string]*service

	proc   *process // nil while none runs
	down   bool     // the machine is off
	lost   bool     // for good
	guards []*guard // that have not ended
}

// service is a backend that runs. A restart of the machine ends it, the death
// of its host does not.
type service struct {
	p     *process
	epoch pluginapi.Epoch
	inc   uint64
}

func newMachine(w *world, i int) *machine {
	m := &machine{
		w: w, name: fmt.Sprintf("n%d", i+1), off: w.upTo(1000 * time.Hour),
		durable: i%3 != 2, floors: map[string]pluginapi.Epoch{}, backends: map[string]*service{},
	}
	if s := w.faults.Skew; s > 0 {
		m.rate = w.rnd.Int64N(2*int64(s*1e6)+1) - int64(s*1e6)
		if w.chance(0.5) { // the extremes are where it breaks
			m.rate = int64(s * 1e6)
			if i%2 == 0 {
				m.rate = -m.rate
			}
		}
	}
	m.home = m.name + "-data"
	return m
}

// clock is what the machine's clock shows at a time of the world.
func (m *machine) clock(at time.Duration) time.Time {
	return time.Unix(birth, 0).Add(m.off + at + time.Duration(int64(at)*m.rate/1e6))
}

func (m *machine) now() time.Time { return m.clock(m.w.now) }

// real is the first time of the world at which the machine's clock shows t.
func (m *machine) real(t time.Time) time.Duration {
	local := t.Sub(time.Unix(birth, 0)) - m.off
	at := time.Duration(float64(local) * 1e6 / float64(1e6+m.rate))
	for m.clock(at).Before(t) {
		at++
	}
	return max(at, 0)
}

// start begins a new life of the node. What an earlier one left behind is
// killed first.
func (m *machine) start() {
	if m.proc != nil || m.down || m.lost || m.w.closing {
		return
	}
	m.lives++
	if !m.durable {
		m.home = fmt.Sprintf("%s-process-%d", m.name, m.lives)
	}
	clear(m.backends)
	m.proc = newProcess(m)
	m.w.note(m.name, "process starts", func() any { return m.home })
	m.proc.begin()
}

// kill ends the process at once; its guard finds out.
func (m *machine) kill(why string) {
	p := m.proc
	if p == nil {
		return
	}
	m.w.note(m.name, "process dies", func() any { return why })
	p.dead, m.proc, m.paused = true, nil, false
	if m.w.cfg.Guard.None {
		return
	}
	p.guard.hostDied()
}

// crash ends the whole machine.
func (m *machine) crash() {
	m.w.note(m.name, "machine dies", nil)
	m.down, m.paused = true, false
	if m.proc != nil {
		m.proc.dead, m.proc = true, nil
	}
	for _, g := range m.guards {
		g.over = true
	}
	m.guards = nil
	clear(m.backends)
}

// pause stops the process (SIGSTOP); what is for it waits.
func (m *machine) pause(d time.Duration) {
	if m.paused || m.proc == nil {
		return
	}
	m.w.note(m.name, "stands still", func() any { return d })
	m.paused = true
	m.wakes++
	life := m.wakes
	m.w.after(d, func() {
		if m.paused && m.wakes == life {
			m.wake()
		}
	})
}

func (m *machine) wake() {
	m.paused = false
	m.w.note(m.name, "wakes", nil)
	if m.proc != nil {
		m.proc.wake()
	}
}

// cut breaks the link in one direction or both.
func (m *machine) cut(in, out bool, d time.Duration) {
	if m.cutIn || m.cutOut {
		return
	}
	m.w.note(m.name, "link breaks", func() any { return line{in, out, d} })
	m.cutIn, m.cutOut = in, out
	m.w.after(d, m.mend)
}

func (m *machine) mend() {
	if !m.cutIn && !m.cutOut {
		return
	}
	m.w.note(m.name, "link mends", nil)
	m.cutIn, m.cutOut = false, false
	m.w.after(m.w.upTo(200*time.Millisecond), func() {
		if m.proc != nil {
			m.proc.reread()
		}
	})
}
