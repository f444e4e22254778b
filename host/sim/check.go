package sim

import (
	"time"

	"github.com/ozanturksever/go-cluster/host/core"
	"github.com/ozanturksever/go-cluster/host/core/election"
	"github.com/ozanturksever/go-cluster/host/core/lifecycle"
	"github.com/ozanturksever/go-cluster/host/core/membership"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// fence is what a careful receiver knows of an app.
type fence struct {
	acquired pluginapi.Epoch // newest leadership
	acted    pluginapi.Epoch // newest act
	by       *machine        // whose
	second   time.Duration   // in which the changes of owner are counted
	changes  int
}

// Bounds of what a core may ask for in one second.
const (
	ticksMost   = 1000
	asksMost    = 160 // of one key: a write and a read after each pause
	changesMost = 30  // of the owner of an app
)

// checkLeads looks for a leadership that began with the last step.
func (w *world) checkLeads(p *process) {
	for _, a := range w.apps {
		if !a.spec.Singleton {
			continue
		}
		epoch, ok := p.core.Leads(p.m.now(), a.name)
		before, led := p.leads[a.name]
		switch {
		case !ok:
			delete(p.leads, a.name)
		case !led || before != epoch:
			p.leads[a.name] = epoch
			w.began(p, a.name, epoch)
		}
	}
}

// began holds a new leadership against G1 and G2. A leadership begins with a
// step of its node only, so this is the moment to look at all others.
func (w *world) began(p *process, app string, epoch pluginapi.Epoch) {
	w.stats.Leaderships++
	f := w.fence[app]
	if epoch <= f.acquired {
		w.fail("G2: %s leads %s in epoch %d after epoch %d", p.m.name, app, epoch, f.acquired)
	}
	f.acquired = epoch
	for _, m := range w.nodes {
		if o := m.proc; o != nil && o != p {
			if e, also := o.core.Leads(m.now(), app); also {
				w.fail("G1: %s leads %s in epoch %d, and so does %s in epoch %d", p.m.name, app, epoch, m.name, e)
			}
		}
	}
}

// acted holds an act against the fence.
func (w *world) acted(p *process, app string, epoch pluginapi.Epoch) {
	w.stats.Acts++
	f := w.fence[app]
	if epoch < f.acted || epoch == f.acted && f.by != p.m {
		w.fail("G2: %s acts for %s in epoch %d after %s in epoch %d", p.m.name, app, epoch, f.by.name, f.acted)
	}
	f.acted, f.by = epoch, p.m
}

// checkView holds the picture that the host's guards of acts use against the
// core.
func (w *world) checkView(p *process) {
	if p.looks++; p.looks%16 != 0 {
		return
	}
	v, now := p.core.View(), p.m.now()
	for _, a := range w.apps {
		e1, ok1 := v.Leading(now, a.name)
		e2, ok2 := p.core.Leads(now, a.name)
		if ok1 != ok2 || ok1 && e1 != e2 {
			w.fail("%s: for %s the view says %d %v and the core %d %v", p.m.name, a.name, e1, ok1, e2, ok2)
		}
	}
}

// checkSteps: nothing of becoming active begins without the lease.
func (w *world) checkSteps(p *process, effects []core.Effect) {
	for _, e := range effects {
		r, ok := e.(core.Run)
		if !ok || r.Epoch == 0 || r.Step > lifecycle.CallActive {
			continue
		}
		if epoch, leads := p.core.Leads(p.m.now(), r.App); !leads || epoch != r.Epoch {
			w.fail("%s: %v of %s begins in epoch %d without the lease", p.m.name, r.Step, r.App, r.Epoch)
		}
	}
}

// checkWrite: a new life of the session begins only when nothing of the last one
// is active.
func (w *world) checkWrite(p *process, e core.Write) {
	if e.Bucket != core.Sessions || e.Key != p.m.name {
		return
	}
	rec, err := election.DecodeSession(e.Key, e.Value)
	if err != nil {
		w.fail("%s writes a session that cannot be read: %v", p.m.name, err)
	}
	for _, a := range w.apps {
		if rec.N == 1 && a.spec.Singleton && p.active[a.name] {
			w.fail("%s joins in incarnation %d while %s is still active", p.m.name, rec.Inc, a.name)
		}
	}
}

// checkRun: hooks come in pairs.
func (w *world) checkRun(p *process, e core.Run) {
	single := e.Epoch != 0
	switch {
	case e.Step == lifecycle.CallActive, e.Step == lifecycle.CallStart:
		if p.active[e.App] {
			w.fail("%s: %v of %s is called twice", p.m.name, e.Step, e.App)
		}
		p.active[e.App] = true
	case e.Step == lifecycle.CallPassive, e.Step == lifecycle.CallStop && !single && !w.singleton(e.App):
		if !p.active[e.App] {
			w.fail("%s: %v of %s without the hook before it", p.m.name, e.Step, e.App)
		}
		p.active[e.App] = false
	case e.Step == lifecycle.CallStop:
		if p.active[e.App] {
			w.fail("%s: OnStop of %s while it is active", p.m.name, e.App)
		}
	}
}

func (w *world) singleton(name string) bool {
	for _, a := range w.apps {
		if a.name == name {
			return a.spec.Singleton
		}
	}
	return false
}

// checkBackend: no two backends of an app run at any moment.
func (w *world) checkBackend(m *machine, app string, epoch pluginapi.Epoch) {
	if epoch == 0 {
		return
	}
	for _, o := range w.nodes {
		if s := o.backends[app]; s != nil && o != m {
			w.fail("G3: the backend of %s runs on %s in epoch %d, and on %s since epoch %d", app, m.name, epoch, o.name, s.epoch)
		}
	}
}

// checkNothingRuns: who has left has left nothing.
func (w *world) checkNothingRuns(p *process) {
	for _, a := range w.apps {
		if s := p.m.backends[a.name]; s != nil {
			w.fail("%s has left and its backend of %s still runs", p.m.name, a.name)
		}
		if p.active[a.name] {
			w.fail("%s has left and %s was not told to be passive", p.m.name, a.name)
		}
	}
	rec, err := election.DecodeSession(p.m.name, w.store[core.Sessions].newest(p.m.name).value)
	if err == nil && rec.Home == p.home && !rec.Ended() && w.closing {
		w.fail("%s has left and its session is live", p.m.name)
	}
}

// applied looks at what a write has changed in the store.
func (w *world) applied(b core.Bucket, key string, before, after version) {
	switch {
	case b == core.Sessions:
		w.sessionWritten(key, before, after)
	case key == core.KeyMembers:
		w.tableWritten(after)
	default:
		if f := w.fence[key[min(len(key), len("app.")):]]; f != nil {
			w.ownerWritten(key, f, before, after)
		}
	}
}

// sessionWritten: a session ends only when nothing that stands on it runs.
func (w *world) sessionWritten(node string, before, after version) {
	now, err := election.DecodeSession(node, after.value)
	if err != nil {
		w.fail("%v", err)
		return
	}
	was, err := election.DecodeSession(node, before.value)
	if err != nil || was.Ended() || now.Inc == was.Inc && !now.Ended() {
		return
	}
	switch now.State {
	case election.StateRevoked:
		w.stats.Revoked++
	case election.StateReleased:
		w.stats.Released++
	}
	for _, m := range w.nodes {
		if m.name != node {
			continue
		}
		for _, a := range w.apps {
			if s := m.backends[a.name]; s != nil && s.inc == was.Inc && a.spec.Singleton {
				w.fail("G3: the session %s/%d is %s and its backend of %s still runs", node, was.Inc, now.State, a.name)
			}
			if m.proc == nil {
				continue
			}
			if _, leads := m.proc.core.Leads(m.now(), a.name); leads {
				w.fail("G1: the session %s/%d is %s and it still leads %s", node, was.Inc, now.State, a.name)
			}
		}
	}
}

// tableWritten: a member leaves only when its session is over.
func (w *world) tableWritten(after version) {
	t, err := membership.DecodeTable(after.value)
	if err != nil {
		w.fail("%v", err)
		return
	}
	for node, inc := range w.members {
		e, ok := t.Find(node)
		if ok && e.Inc == inc {
			continue
		}
		if ok && e.Inc < inc {
			w.fail("the table takes %s back from incarnation %d to %d", node, inc, e.Inc)
		}
		rec, err := election.DecodeSession(node, w.store[core.Sessions].newest(node).value)
		if err != nil || rec.Inc == inc && !rec.Ended() {
			w.fail("the table lets %s/%d go, which is alive", node, inc)
		}
	}
	clear(w.members)
	for _, e := range t.Members {
		w.members[e.Node] = e.Inc
	}
}

// ownerWritten: epochs rise in the store too, and nobody plays ball with an app.
func (w *world) ownerWritten(key string, f *fence, before, after version) {
	now, err := election.DecodeOwner(key, after.value)
	if err != nil {
		w.fail("%v", err)
		return
	}
	was, err := election.DecodeOwner(key, before.value)
	if err == nil && (now.Epoch < was.Epoch || now.Epoch == was.Epoch && now.Holder != (election.Holder{})) {
		w.fail("G2: the record of %s goes from epoch %d to %d", key, was.Epoch, now.Epoch)
	}
	if w.now-f.second > time.Second {
		f.second, f.changes = w.now, 0
	}
	if f.changes++; f.changes > changesMost {
		w.fail("%s changes its owner more than %d times in a second", key, changesMost)
	}
}

func (w *world) checkJoined(p *process, node string) {
	w.stats.Joined++
	if p.told[node] {
		w.fail("%s is told twice that %s has joined", p.m.name, node)
	}
	p.told[node] = true
}

func (w *world) checkLeft(p *process, node string) {
	w.stats.Left++
	if !p.told[node] {
		w.fail("%s is told that %s has left, and was not told that it had joined", p.m.name, node)
	}
	p.told[node] = false
}

// second begins a new second of counting when the last one is over.
func (p *process) second() {
	if w := p.m.w; p.asked == nil || w.now-p.loopTick > time.Second {
		p.loopTick, p.ticks, p.asked = w.now, 0, map[string]int{}
	}
}

func (w *world) countTick(p *process) {
	p.second()
	if p.ticks++; p.ticks > ticksMost {
		w.fail("%s wants more than %d ticks in a second, the next at %v, now is %v", p.m.name, ticksMost, p.core.Next(), p.m.now())
	}
}

func (w *world) countAsk(p *process, b core.Bucket, key string) {
	p.second()
	name := b.String() + "." + key
	if p.asked[name]++; p.asked[name] > asksMost {
		w.fail("%s reads and writes %s more than %d times in a second", p.m.name, name, asksMost)
	}
}
