package plan

import (
	"fmt"
	"time"
)

// Rules say when a new version is worse than the one before. The zero value of
// each means its default.
type Rules struct {
	Trial    time.Duration // how long one node tries it; 10 s
	Watch    time.Duration // how long all nodes are watched then; 60 s
	Patience time.Duration // how long a phase may take; 2 min

	// It is worse when at least MinFaults calls have failed and the share of
	// failed calls is above FaultFactor times that of the old one + FaultShare.
	MinFaults   uint64  // 3
	FaultFactor float64 // 2
	FaultShare  float64 // 0.01

	// It is worse, too, when both have had MinCalls calls and nine of ten took
	// longer than SlowFactor times those of the old one + SlowBy.
	MinCalls   uint64        // 20
	SlowFactor float64       // 2
	SlowBy     time.Duration // 2 ms
}

func (r Rules) withDefaults() Rules {
	def := Rules{
		Trial: 10 * time.Second, Watch: time.Minute, Patience: 2 * time.Minute,
		MinFaults: 3, FaultFactor: 2, FaultShare: 0.01,
		MinCalls: 20, SlowFactor: 2, SlowBy: 2 * time.Millisecond,
	}
	setTo(&r.Trial, def.Trial)
	setTo(&r.Watch, def.Watch)
	setTo(&r.Patience, def.Patience)
	setTo(&r.MinFaults, def.MinFaults)
	setTo(&r.FaultFactor, def.FaultFactor)
	setTo(&r.FaultShare, def.FaultShare)
	setTo(&r.MinCalls, def.MinCalls)
	setTo(&r.SlowFactor, def.SlowFactor)
	setTo(&r.SlowBy, def.SlowBy)
	return r
}

func setTo[T comparable](p *T, value T) {
	var zero T
	if *p == zero {
		*p = value
	}
}

// worse compares the calls to the new version with those to the old one on all
// nodes, and says why it is to be rolled back; "" when it is not.
func worse(p Plugin, w World) string {
	if p.Current == "" {
		return ""
	}
	var now, old Tally
	for _, n := range w.Nodes {
		if h := n.Has(p.Name, p.Rollout.To); h.Try == p.Serial {
			now = now.plus(h.Tally)
		}
		old = old.plus(n.Has(p.Name, p.Current).Tally)
	}
	r := w.Rules
	if most := r.FaultFactor*old.share() + r.FaultShare; now.Faults >= r.MinFaults && now.share() > most {
		return fmt.Sprintf("%d of %d calls failed, before it were %d of %d", now.Faults, now.Calls, old.Faults, old.Calls)
	}
	most := time.Duration(r.SlowFactor*float64(old.slow())) + r.SlowBy
	if now.Calls >= r.MinCalls && old.Calls >= r.MinCalls && now.slow() > most {
		return fmt.Sprintf("nine of ten calls took up to %v, before it up to %v", now.slow(), old.slow())
	}
	return ""
}

// plus adds two tallies. What is slow on many nodes is the mean of what is slow
// on each, by their calls.
func (t Tally) plus(o Tally) Tally {
	sum := Tally{Calls: t.Calls + o.Calls, Faults: t.Faults + o.Faults}
	if sum.Calls > 0 {
		sum.SlowUS = int64((float64(t.SlowUS)*float64(t.Calls) + float64(o.SlowUS)*float64(o.Calls)) / float64(sum.Calls))
	}
	return sum
}

func (t Tally) share() float64 {
	if t.Calls == 0 {
		return 0
	}
	return float64(t.Faults) / float64(t.Calls)
}

func (t Tally) slow() time.Duration { return time.Duration(t.SlowUS) * time.Microsecond }
