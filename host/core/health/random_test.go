package health_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/host/core/health"
)

// rig drives a machine on a clock of its own.
type rig struct {
	t       *testing.T
	m       *health.Machine
	now     time.Time
	deps    map[string][]string
	running map[string]uint64
	starts  []string
	changes []string
	failing []string // as told
	rounds  []uint64
}

func newRig(t *testing.T, checks ...health.Check) *rig {
	r := &rig{t: t, m: health.New(), now: time.Unix(1000, 0), deps: map[string][]string{}, running: map[string]uint64{}}
	for _, c := range checks {
		r.register(c)
	}
	return r
}

func (r *rig) register(c health.Check) {
	r.t.Helper()
	if err := r.m.Register(c); err != nil {
		r.t.Fatal(err)
	}
	r.deps[c.Name] = c.DependsOn
}

// step holds every effect to what must be true always.
func (r *rig) step(in health.Input) {
	r.t.Helper()
	if e, ok := in.(health.Ended); ok && r.running[e.Name] == e.ID {
		delete(r.running, e.Name)
	}
	for _, e := range r.m.Step(r.now, in) {
		switch e := e.(type) {
		case health.Start:
			if r.running[e.Name] != 0 {
				r.t.Errorf("%s is started while it runs", e.Name)
			}
			for _, on := range r.deps[e.Name] {
				if s := r.m.Status(r.now).Checks[on].Status; s != "passing" {
					r.t.Errorf("%s is started while %s is %s", e.Name, on, s)
				}
			}
			r.running[e.Name] = e.ID
			r.starts = append(r.starts, e.Name)
		case health.Changed:
			if n := len(r.changes); n > 0 && r.changes[n-1] == e.Status.Status {
				r.t.Errorf("%s is told twice", e.Status.Status)
			}
			r.changes = append(r.changes, e.Status.Status)
		case health.FailingChanged:
			if slices.Equal(r.failing, e.Names) {
				r.t.Errorf("%v is told twice", e.Names)
			}
			r.failing = e.Names
		case health.RoundDone:
			r.rounds = append(r.rounds, e.ID)
		}
	}
	if !slices.Equal(r.failing, r.m.Failing()) {
		r.t.Errorf("told %v, failing are %v", r.failing, r.m.Failing())
	}
}

// tick lets time pass, from one due time to the next.
func (r *rig) tick(d time.Duration) {
	r.t.Helper()
	end := r.now.Add(d)
	for range 100_000 {
		at, ok := r.m.Next()
		if !ok || at.After(end) {
			r.now = end
			r.step(health.Tick{})
			return
		}
		if at.After(r.now) {
			r.now = at
		}
		r.step(health.Tick{})
	}
	r.t.Fatal("time stands still: Next is due again and again")
}

// turn lets time pass until the check is started.
func (r *rig) turn(name string) {
	r.t.Helper()
	for range 100 {
		if r.running[name] != 0 {
			return
		}
		if at, ok := r.m.Next(); ok {
			r.tick(max(0, at.Sub(r.now)))
		}
	}
	r.t.Fatalf("%s has no turn", name)
}

// end ends a running check.
func (r *rig) end(name, err string) {
	r.t.Helper()
	id := r.running[name]
	if id == 0 {
		r.t.Fatalf("%s does not run", name)
	}
	r.step(health.Ended{ID: id, Name: name, Err: err})
}

func (r *rig) want(name, status string, failures int, open bool) {
	r.t.Helper()
	got := r.m.Status(r.now).Checks[name]
	if got.Status != status || got.FailureCount != failures || got.CircuitOpen != open {
		r.t.Errorf("%s is %+v, want %s, %d failures, open: %v", name, got, status, failures, open)
	}
}

func (r *rig) count(name string) (n int) {
	for _, s := range r.starts {
		if s == name {
			n++
		}
	}
	return n
}

// TestRandom: whatever happens in whatever order, no check runs twice at a time,
// no change is told twice, none starts while what it depends on does not pass,
// each has its turn, and each round ends.
func TestRandom(t *testing.T) {
	for seed := range uint64(60) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		r := newRig(t)
		var names []string
		for i := range 1 + rnd.IntN(6) {
			c := health.Check{Name: fmt.Sprint("c", i), Interval: time.Duration(1+rnd.IntN(5)) * time.Second, Timeout: time.Duration(1+rnd.IntN(5)) * time.Second}
			for _, on := range names {
				if rnd.IntN(3) == 0 {
					c.DependsOn = append(c.DependsOn, on)
				}
			}
			r.register(c)
			names = append(names, c.Name)
		}
		asked := uint64(0)
		for range 300 {
			switch name := names[rnd.IntN(len(names))]; rnd.IntN(6) {
			case 0:
				asked++
				r.step(health.RunNow{ID: asked})
			case 1:
				if err := r.m.Reset(name); err != nil {
					t.Fatal(err)
				}
			case 2:
				r.step(health.Ended{ID: rnd.Uint64N(50), Name: name, Err: "out of nowhere"})
			case 3:
				r.tick(time.Duration(rnd.IntN(8000)) * time.Millisecond)
			default:
				if id := r.running[name]; id != 0 {
					r.step(health.Ended{ID: id, Name: name, Err: [...]string{"", "no"}[rnd.IntN(2)]})
				}
			}
		}
		r.finish(names, asked)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// finish lets everything pass from now on.
func (r *rig) finish(names []string, asked uint64) {
	r.t.Helper()
	for range 400 {
		for _, name := range names {
			if r.running[name] != 0 {
				r.end(name, "")
			}
		}
		if at, ok := r.m.Next(); ok {
			r.tick(max(0, at.Sub(r.now)))
		}
	}
	if s := r.m.Status(r.now); s.Status != "passing" || len(r.m.Failing())+len(r.m.Pending()) > 0 {
		r.t.Errorf("%+v", s)
	}
	if len(r.rounds) != int(asked) {
		r.t.Errorf("%d rounds ended, %d were asked for", len(r.rounds), asked)
	}
}
