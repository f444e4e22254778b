package core_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/host/core"
	"github.com/ozanturksever/go-cluster/host/core/election"
	"github.com/ozanturksever/go-cluster/host/core/lifecycle"
	"github.com/ozanturksever/go-cluster/host/core/membership"
)

// bench is cores on a perfect store: every message takes no time.
type bench struct {
	now   time.Time
	cores map[string]*core.Core
	names []string
	seq   [2]uint64
	recs  [2]map[string]benchRec
	queue []func()
	steps int
}

type benchRec struct {
	seq   uint64
	value []byte
}

func newBench(nodes, apps int) *bench {
	w := &bench{now: time.Unix(1000, 0), cores: map[string]*core.Core{}, recs: [2]map[string]benchRec{{}, {}}}
	for i := range nodes {
		name := fmt.Sprint("n", i)
		w.names = append(w.names, name)
		cfg := core.Config{
			Platform: "p", Node: name, Home: "h" + name, TTL: 3 * time.Second, Every: 750 * time.Millisecond, Budget: time.Second,
			Margin: 60 * time.Millisecond, Retry: 15 * time.Millisecond, Rank: 8 * time.Millisecond, Digest: 2 * time.Second,
			Self: membership.NodeRecord{Address: name},
		}
		for a := range apps {
			cfg.Apps = append(cfg.Apps, core.App{Name: fmt.Sprint("a", a), Spec: lifecycle.Spec{
				Singleton: true, Backend: true, Hooks: map[lifecycle.Step]bool{lifecycle.CallActive: true},
				HookTimeout: time.Second, StartTimeout: time.Second, StopTimeout: time.Second,
			}})
		}
		w.cores[name] = core.New(cfg)
	}
	for _, n := range w.names {
		w.step(n, core.Loaded{Bucket: core.Records})
	}
	w.run(time.Second)
	return w
}

func (w *bench) step(node string, in core.Input) {
	c := w.cores[node]
	if c == nil {
		return
	}
	w.steps++
	for _, e := range c.Step(w.now, in) {
		switch e := e.(type) {
		case core.Write:
			w.queue = append(w.queue, func() { w.write(node, e) })
		case core.Read:
			r := w.recs[e.Bucket][e.Key]
			w.queue = append(w.queue, func() {
				w.step(node, core.Seen{Bucket: e.Bucket, Key: e.Key, Seq: r.seq, Value: r.value})
			})
		case core.Observe:
			w.queue = append(w.queue, func() {
				for _, n := range w.names {
					if r := w.recs[core.Sessions][n]; r.seq > 0 {
						w.step(node, core.Seen{Bucket: core.Sessions, Key: n, Seq: r.seq, Value: r.value})
					}
				}
				w.step(node, core.Loaded{Bucket: core.Sessions})
			})
		case core.Run:
			w.queue = append(w.queue, func() { w.step(node, core.StepDone{App: e.App, ID: e.ID}) })
		}
	}
	_ = c.View() // the host publishes it
}

func (w *bench) write(node string, e core.Write) {
	if w.recs[e.Bucket][e.Key].seq != e.After {
		w.step(node, core.Written{ID: e.ID, Result: election.Conflict})
		return
	}
	w.seq[e.Bucket]++
	seq := w.seq[e.Bucket]
	w.recs[e.Bucket][e.Key] = benchRec{seq, e.Value}
	w.step(node, core.Written{ID: e.ID, Result: election.Done, Seq: seq})
	for _, n := range w.names {
		w.step(n, core.Seen{Bucket: e.Bucket, Key: e.Key, Seq: seq, Value: e.Value})
	}
}

func (w *bench) drain() {
	for len(w.queue) > 0 {
		f := w.queue[0]
		w.queue = w.queue[1:]
		f()
	}
}

// run lets time pass.
func (w *bench) run(d time.Duration) {
	for end := w.now.Add(d); w.now.Before(end); {
		w.drain()
		next := end
		for _, n := range w.names {
			if c := w.cores[n]; c != nil {
				if t := c.Next(); !t.IsZero() && t.Before(next) {
					next = t
				}
			}
		}
		w.now = next.Add(time.Microsecond)
		for _, n := range w.names {
			w.step(n, core.Tick{Wall: w.now})
		}
	}
}

func (w *bench) leads(app string) string {
	for _, n := range w.names {
		if c := w.cores[n]; c != nil {
			if _, ok := c.Leads(w.now, app); ok {
				return n
			}
		}
	}
	return ""
}

// BenchmarkRenewal is what one core does for one renewal of its session: the
// alarm, the write, the answer, the word of the watch, the next alarm.
func BenchmarkRenewal(b *testing.B) {
	for _, apps := range []int{1, 1000} {
		b.Run(fmt.Sprintf("%d apps", apps), func(b *testing.B) {
			w := newBench(1, apps)
			c := w.cores["n0"]
			b.ReportAllocs()
			for b.Loop() {
				w.now = w.now.Add(750*time.Millisecond + time.Microsecond)
				w.step("n0", core.Tick{Wall: w.now})
				w.drain()
				c.Next()
			}
			if _, ok := c.Leads(w.now, "a0"); !ok {
				b.Fatal("the session was not renewed")
			}
		})
	}
}

// BenchmarkFailover is the thinking of all living cores from the moment that the
// session of a node that leads 200 apps is released by its guard until all of
// them are led by others; there is no network and no disk in it.
func BenchmarkFailover(b *testing.B) {
	const apps = 200
	for b.Loop() {
		b.StopTimer()
		w := newBench(3, apps)
		victim := w.leads("a0")
		var led []string
		for a := range apps {
			if name := fmt.Sprint("a", a); w.leads(name) == victim {
				led = append(led, name)
			}
		}
		delete(w.cores, victim)
		r := w.recs[core.Sessions][victim]
		rec, err := election.DecodeSession(victim, r.value)
		if err != nil {
			b.Fatal(err)
		}
		rec.State, rec.By = election.StateReleased, "the guard"
		b.StartTimer()
		w.seq[core.Sessions]++
		seq, value := w.seq[core.Sessions], election.Encode(rec)
		w.recs[core.Sessions][victim] = benchRec{seq, value}
		for _, n := range w.names {
			w.step(n, core.Seen{Bucket: core.Sessions, Key: victim, Seq: seq, Value: value})
		}
		w.run(100 * time.Millisecond)
		for _, a := range led {
			if w.leads(a) == "" {
				b.Fatalf("%s of %d has no leader", a, len(led))
			}
		}
		b.ReportMetric(float64(len(led)), "apps")
	}
}
