package core_test

import (
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/host/core"
	"github.com/ozanturksever/go-cluster/host/core/election"
	"github.com/ozanturksever/go-cluster/host/core/lifecycle"
	"github.com/ozanturksever/go-cluster/host/core/membership"
	"github.com/ozanturksever/go-cluster/host/story"
)

var update = flag.Bool("update", false, "write what the cores did into the stories")

// TestStories plays every story in testdata. Run with -update and read the diff.
func TestStories(t *testing.T) {
	story.Play(t, *update, func(t *testing.T) func([]string) []string { return newStage(t).act })
}

// stage is some cores on a store that takes no time. Steps end at once unless
// their app is stuck on its node.
type stage struct {
	t     *testing.T
	now   time.Time
	cores map[string]*core.Core
	names []string
	recs  [2]map[string]stored
	seq   [2]uint64
	queue []func()
	told  []string

	looks map[string]core.Observe // what each observes
	mute  bool                    // digests get lost

	cut    map[string]bool // nothing reaches it, nothing comes from it
	frozen map[string][]core.Input
	stuck  map[string]bool   // node app
	fails  map[string]string // node app step -> error, once
	steps  map[string]uint64 // node app -> step that runs
}

type stored struct {
	seq   uint64
	value []byte
}

var start = time.Unix(1000, 0)

func newStage(t *testing.T) *stage {
	return &stage{
		t: t, now: start, cores: map[string]*core.Core{}, recs: [2]map[string]stored{{}, {}},
		looks: map[string]core.Observe{}, cut: map[string]bool{},
		frozen: map[string][]core.Input{}, stuck: map[string]bool{}, fails: map[string]string{}, steps: map[string]uint64{},
	}
}

func (s *stage) act(w []string) []string {
	s.told = nil
	s.command(w)
	s.drain()
	return s.told
}

func (s *stage) command(w []string) {
	switch w[0] {
	case "start":
		for _, n := range w[1:] {
			s.start(n, "home-"+n)
			s.drain()
		}
	case "restart": // node home
		s.start(w[1], w[2])
	case "run":
		s.run(time.Duration(s.num(w[1])) * time.Millisecond)
	case "kill":
		delete(s.cores, w[1])
	case "release":
		s.release(w[1])
	case "cut":
		s.cut[w[1]] = true
	case "heal":
		delete(s.cut, w[1])
		s.reread(w[1])
	case "freeze":
		s.frozen[w[1]] = []core.Input{}
	case "thaw":
		inputs := s.frozen[w[1]]
		delete(s.frozen, w[1])
		for _, in := range inputs {
			s.step(w[1], in)
		}
	case "stuck":
		s.stuck[w[1]+" "+w[2]] = true
	case "loose":
		delete(s.stuck, w[1]+" "+w[2])
		s.step(w[1], core.StepDone{App: w[2], ID: s.steps[w[1]+" "+w[2]]})
	case "failing": // node app step ...
		s.fails[strings.Join(w[1:], " ")] = "it does not work"
	case "write":
		s.raw(w[1], w[2], strings.Join(w[3:], " "))
	case "mute":
		s.mute = w[1] == "on"
	case "view":
		s.view(w[1])
	case "observes":
		for _, n := range w[1:] {
			s.say(n, "observes %s", s.observed(n))
		}
	default:
		s.wish(w)
	}
}

func (s *stage) wish(w []string) {
	var in core.Input
	switch w[0] {
	case "stepdown": // node app id
		in = core.StepDown{App: w[2], ID: s.num(w[3])}
	case "label": // node id of k=v
		k, v, _ := strings.Cut(w[4], "=")
		in = core.EditNode{ID: s.num(w[2]), Node: w[3], Edit: membership.Edit{Set: map[string]string{k: v}}}
	case "cordon": // node id of true|false
		on := w[4] == "true"
		in = core.EditNode{ID: s.num(w[2]), Node: w[3], Edit: membership.Edit{Cordon: &on}}
	case "ranked": // node app best,next unfit,unfit ("-" for none)
		list := func(w string) []string {
			if w == "-" {
				return nil
			}
			return strings.Split(w, ",")
		}
		in = core.Ranked{App: w[2], Nodes: list(w[3]), Unfit: list(w[4])}
	case "forget":
		in = core.Forget{ID: s.num(w[2])}
	case "shutdown":
		in = core.Shutdown{}
	case "hurry":
		in = core.Hurry{}
	case "guard":
		in = core.GuardFired{Inc: s.num(w[2])}
	case "broken":
		in = core.BackendFailed{App: w[2], Reason: "it cannot be kept alive"}
	case "gone":
		in = core.Gone{Node: w[2]}
	case "digest":
		in = core.DigestSeen{Value: []byte(strings.Join(w[2:], " "))}
	default:
		s.t.Fatalf("unknown step %q", w)
	}
	s.step(w[1], in)
}

func (s *stage) num(word string) uint64 {
	n, err := strconv.ParseUint(word, 10, 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// start makes a node with the app web, which is led, and the app pool, which is
// active everywhere. Its lease is 1000 ms.
func (s *stage) start(name, home string) {
	hooks := func(steps ...lifecycle.Step) map[lifecycle.Step]bool {
		m := map[lifecycle.Step]bool{}
		for _, st := range steps {
			m[st] = true
		}
		return m
	}
	s.cores[name] = core.New(core.Config{
		Platform: "p", Node: name, Home: home, Self: membership.NodeRecord{Address: name + ":1"},
		TTL: time.Second, Every: 250 * time.Millisecond, Budget: 300 * time.Millisecond, Margin: 20 * time.Millisecond,
		Retry: 10 * time.Millisecond, Rank: 5 * time.Millisecond, Digest: time.Second,
		Apps: []core.App{
			{Name: "web", Spec: lifecycle.Spec{
				Singleton: true, Backend: true, Hooks: hooks(lifecycle.CallActive, lifecycle.CallPassive),
				HookTimeout: 5 * time.Second, StartTimeout: 5 * time.Second, StopTimeout: 5 * time.Second,
			}},
			{Name: "pool", Spec: lifecycle.Spec{Hooks: hooks(lifecycle.CallStart, lifecycle.CallStop), HookTimeout: 5 * time.Second}},
		},
	})
	if !slices.Contains(s.names, name) {
		s.names = append(s.names, name)
	}
	s.step(name, core.Tick{Wall: s.now}) // as the host does, before it has read anything
	s.list(name, core.Records)
	s.step(name, core.Loaded{Bucket: core.Records})
}

func (s *stage) list(name string, b core.Bucket) {
	keys := []string{}
	for k := range s.recs[b] {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		s.step(name, core.Seen{Bucket: b, Key: k, Seq: s.recs[b][k].seq, Value: s.recs[b][k].value})
	}
}

func (s *stage) reread(name string) {
	s.list(name, core.Records)
	s.list(name, core.Sessions)
}

func (s *stage) release(name string) {
	rec, err := election.DecodeSession(name, s.recs[core.Sessions][name].value)
	if err != nil {
		s.t.Fatal(err)
	}
	rec.State, rec.By = election.StateReleased, "its guard"
	s.raw("sessions", name, string(election.Encode(rec)))
}

// raw writes past all checks.
func (s *stage) raw(bucket, key, value string) {
	b := core.Records
	if bucket == "sessions" {
		b = core.Sessions
	}
	if n, ok := strings.CutPrefix(value, "huge "); ok {
		value = strings.Repeat("x", int(s.num(n)))
	}
	s.put(b, key, []byte(value))
}

func (s *stage) put(b core.Bucket, key string, value []byte) uint64 {
	s.seq[b]++
	seq := s.seq[b]
	s.recs[b][key] = stored{seq, value}
	for _, n := range s.names {
		if o := s.looks[n]; b == core.Records || o.All || slices.Contains(o.Nodes, key) {
			s.queue = append(s.queue, func() { s.step(n, core.Seen{Bucket: b, Key: key, Seq: seq, Value: value}) })
		}
	}
	return seq
}

func (s *stage) observed(name string) string {
	switch o := s.looks[name]; {
	case o.All:
		return "everybody"
	case len(o.Nodes) > 0:
		return strings.Join(o.Nodes, " ")
	}
	return "nobody"
}

func (s *stage) step(name string, in core.Input) {
	c := s.cores[name]
	if c == nil {
		return
	}
	if _, remote := in.(core.Seen); remote && s.cut[name] {
		return
	}
	if q, ok := s.frozen[name]; ok {
		if _, tick := in.(core.Tick); !tick {
			s.frozen[name] = append(q, in)
		}
		return
	}
	for _, e := range c.Step(s.now, in) {
		s.do(name, e)
	}
}

// tell carries what a node says to all nodes.
func (s *stage) tell(from string, in core.Input) {
	if _, digest := in.(core.DigestSeen); s.cut[from] || digest && s.mute {
		return
	}
	for _, n := range s.names {
		if !s.cut[n] {
			s.queue = append(s.queue, func() { s.step(n, in) })
		}
	}
}

func (s *stage) say(name, format string, args ...any) {
	s.told = append(s.told, fmt.Sprintf("%v %s: ", s.now.Sub(start), name)+fmt.Sprintf(format, args...))
}

func (s *stage) do(name string, e core.Effect) {
	switch e := e.(type) {
	case core.Write:
		s.queue = append(s.queue, func() { s.write(name, e) })
	case core.Read:
		s.queue = append(s.queue, func() {
			r := s.recs[e.Bucket][e.Key]
			s.step(name, core.Seen{Bucket: e.Bucket, Key: e.Key, Seq: r.seq, Value: r.value})
		})
	case core.Observe:
		s.looks[name] = e
		s.queue = append(s.queue, func() {
			s.list(name, core.Sessions)
			s.step(name, core.Loaded{Bucket: core.Sessions})
		})
	case core.Run:
		s.say(name, "run %v of %s in epoch %d, within %v", e.Step, e.App, e.Epoch, e.Timeout)
		s.steps[name+" "+e.App] = e.ID
		key := name + " " + e.App
		why := s.fails[key+" "+e.Step.String()]
		delete(s.fails, key+" "+e.Step.String())
		if !s.stuck[key] {
			s.queue = append(s.queue, func() { s.step(name, core.StepDone{App: e.App, ID: e.ID, Err: why}) })
		}
	case core.SayDigest:
		s.tell(name, core.DigestSeen(e))
	case core.SayGone:
		s.tell(name, core.Gone(e))
	case core.Renewed:
	case core.Reply:
		s.say(name, "reply %d: error %v, to %q, epoch %d, labels %v", e.ID, e.Err, e.To, e.Epoch, e.Labels)
	case core.Note:
		s.say(name, "%s %s %s", e.Kind, e.App, e.Text)
	case core.MemberJoined:
		s.say(name, "told that %s has joined", e.Member.NodeID)
	case core.MemberLeft:
		s.say(name, "told that %s has left: %s", e.Member.NodeID, e.Reason)
	case core.Fatal:
		s.say(name, "FATAL %v", e.Err)
	default:
		s.say(name, "%s", strings.TrimPrefix(fmt.Sprintf("%T %+v", e, e), "core."))
	}
}

func (s *stage) write(name string, e core.Write) {
	if s.cut[name] {
		at := s.now.Add(100 * time.Millisecond)
		var wait func()
		wait = func() {
			if s.now.Before(at) {
				s.queue = append(s.queue, wait)
				return
			}
			s.step(name, core.Written{ID: e.ID, Result: election.Unknown})
		}
		s.queue = append(s.queue, wait)
		return
	}
	if s.recs[e.Bucket][e.Key].seq != e.After {
		s.step(name, core.Written{ID: e.ID, Result: election.Conflict})
		return
	}
	s.step(name, core.Written{ID: e.ID, Result: election.Done, Seq: s.put(e.Bucket, e.Key, e.Value)})
}

// drain does what is due now.
func (s *stage) drain() {
	for rounds := 0; len(s.queue) > 0 && rounds < 200; rounds++ {
		queue := s.queue
		s.queue = nil
		for _, f := range queue {
			f()
		}
	}
}

func (s *stage) run(d time.Duration) {
	for end := s.now.Add(d); s.now.Before(end); {
		s.drain()
		next := s.now.Add(50 * time.Millisecond)
		for _, n := range s.names {
			if c := s.cores[n]; c != nil && s.frozen[n] == nil {
				if t := c.Next(); !t.IsZero() && t.Before(next) {
					next = t
				}
			}
		}
		if !next.After(s.now) {
			next = s.now.Add(time.Millisecond)
		}
		s.now = next
		if s.now.After(end) {
			s.now = end
		}
		for _, n := range s.names {
			s.step(n, core.Tick{Wall: s.now})
		}
	}
}

func (s *stage) view(name string) {
	v := s.cores[name].View()
	var members []string
	for _, m := range v.Members {
		members = append(members, fmt.Sprintf("%s/%d", m.NodeID, m.Inc))
	}
	web, pool := v.Apps["web"], v.Apps["pool"]
	s.say(name, "session %s %d, controller %s, members %v, web: leader %q epoch %d, here %v, pool here %v", v.Session, v.Inc, v.Controller, members,
		web.Leader, web.Epoch, web.Phase, pool.Phase)
}
