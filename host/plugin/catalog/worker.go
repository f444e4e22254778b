package catalog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ozanturksever/go-cluster/host/plugin/catalog/plan"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// worker keeps one plugin on this node as it is wanted. Only its own goroutine
// changes what it holds.
type worker struct {
	c    *Catalog
	name string
	wake chan struct{} // holds one token when there is something to look at
	ends sync.WaitGroup

	mu     sync.Mutex
	shared plan.Plugin  // the platform's wish
	seq    uint64       // of its record
	local  *plan.Plugin // that of the local folder, which goes first
	held   []*held
	active string // digest
}

// held is a version on this node.
type held struct {
	v       plan.Version
	stage   plan.Stage
	try     uint64
	reason  string
	again   time.Time // not before
	pkg     opened    // once it is verified
	meter   *meter
	live    map[*Handle]*loaded
	refused map[*Handle]error // uses that this version cannot be loaded for, although it is active
}

func newWorker(c *Catalog, name string) *worker {
	return &worker{c: c, name: name, wake: make(chan struct{}, 1)}
}

// nudge makes the worker look.
func (w *worker) nudge() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// want tells the worker what the platform wants. Records come from the watch and
// from whoever has written one: an older one may come later.
func (w *worker) want(seq uint64, p plan.Plugin) {
	w.mu.Lock()
	if seq > w.seq {
		w.seq, w.shared = seq, p
	}
	w.mu.Unlock()
	w.nudge()
}

// wantLocal tells it what the local folder has; nil for nothing.
func (w *worker) wantLocal(p *plan.Plugin) {
	w.mu.Lock()
	w.local = p
	w.mu.Unlock()
	w.nudge()
}

func (w *worker) wanted() plan.Plugin {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.local != nil {
		return *w.local
	}
	return w.shared
}

// run works until ctx ends; then it unloads everything.
func (w *worker) run(ctx context.Context) {
	later := time.NewTimer(0)
	defer later.Stop()
	for {
		select {
		case <-ctx.Done():
			w.stop()
			return
		case <-w.wake:
		case <-later.C:
		}
		if again := w.reconcile(ctx); again > 0 {
			later.Reset(again)
		}
	}
}

// reconcile does what can be done now, and says when to look again; 0: not
// before there is something new.
func (w *worker) reconcile(ctx context.Context) time.Duration {
	p := w.wanted()
	want := p.Want(w.c.cfg.Node)
	used := slices.Concat(want.Ready, []string{want.Active})
	for _, d := range want.Keep {
		h := w.hold(p, d)
		needed := slices.Contains(used, d)
		if w.idle(h, want, needed) {
			continue
		}
		err := w.verify(ctx, h)
		if err == nil && needed {
			err = w.load(ctx, h)
		}
		w.note(ctx, h, want, needed, err)
	}
	w.activate(want, p)
	w.letGo(want)
	w.c.told()
	return w.soonest()
}

// idle says whether there is nothing to do for a version, or nothing yet.
func (w *worker) idle(h *held, want plan.Want, needed bool) bool {
	if h.stage == plan.Failed || h.stage == plan.Missing {
		return h.try == want.Try && time.Now().Before(h.again)
	}
	return false
}

// note keeps how far a version has come.
func (w *worker) note(ctx context.Context, h *held, want plan.Want, needed bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := h.stage
	h.try, h.reason = want.Try, ""
	switch {
	case err == nil && !needed:
		h.stage = plan.Verified
	case err == nil && h.stage != plan.Active:
		h.stage = plan.Prepared
	case err == nil:
	case ctx.Err() != nil:
		return
	case isUnfit(err):
		h.stage, h.reason, h.again = plan.Failed, plan.Clip(err.Error()), time.Now().Add(w.c.timing.Again)
	default:
		h.stage, h.reason, h.again = plan.Missing, plan.Clip(err.Error()), time.Now().Add(w.c.timing.Retry)
	}
	if h.stage != before && err != nil {
		w.c.log.Warn("plugin cannot be had", "plugin", w.name, "version", h.v.Version, "stage", string(h.stage), "err", err)
	}
}

// hold returns what the node has of a version.
func (w *worker) hold(p plan.Plugin, digest string) *held {
	w.mu.Lock()
	defer w.mu.Unlock()
	if h := w.find(digest); h != nil {
		return h
	}
	v, _ := p.Find(digest)
	h := &held{v: v, stage: plan.Missing, meter: &meter{}, live: map[*Handle]*loaded{}, refused: map[*Handle]error{}}
	w.held = append(w.held, h)
	return h
}

func (w *worker) find(digest string) *held {
	i := slices.IndexFunc(w.held, func(h *held) bool { return h.v.Digest == digest })
	if i < 0 {
		return nil
	}
	return w.held[i]
}

// verify fetches a version when it is not here, and verifies it once in the life
// of this process, or again after it could not be had.
func (w *worker) verify(ctx context.Context, h *held) error {
	if h.pkg.Name != "" {
		return nil
	}
	s := w.c.store
	if err := w.c.turn(ctx); err != nil {
		return err
	}
	defer w.c.done()
	if !s.has(h.v.Digest) {
		if err := s.fetch(ctx, h.v, w.c.cfg.Blobs); err != nil {
			return err
		}
		w.stage(h, plan.Fetched)
	}
	pkg, err := s.unpack(h.v.Digest, w.c.open)
	if errors.Is(err, errDamaged) {
		w.c.log.Warn("a package is damaged and is fetched again", "plugin", w.name, "version", h.v.Version, "err", err)
		if err := s.fetch(ctx, h.v, w.c.cfg.Blobs); err != nil {
			return err
		}
		pkg, err = s.unpack(h.v.Digest, w.c.open)
	}
	if err == nil {
		err = w.c.vet(w.name, h.v, pkg)
	}
	if err != nil {
		return unfit(err)
	}
	h.pkg = pkg
	w.stage(h, plan.Verified)
	return nil
}

func (w *worker) stage(h *held, s plan.Stage) {
	w.mu.Lock()
	h.stage = s
	w.mu.Unlock()
	w.c.told()
}

// load loads a version for each use that there is. A use that comes when the
// version is active already, or that the active one cannot be loaded for, is none
// of its rollout: if it cannot be loaded for it, that use alone gets the reason.
func (w *worker) load(ctx context.Context, h *held) error {
	for _, u := range w.c.handlesOf(w.name) {
		if h.live[u] != nil || h.refused[u] != nil {
			continue
		}
		if err := w.c.turn(ctx); err != nil {
			return err
		}
		inst, err := w.c.load(ctx, w.c.store.file(h.v.Digest), h.pkg, u.use)
		w.c.done()
		if errors.Is(err, errNeedsConfig) {
			h.refused[u] = err
			continue
		}
		if err != nil && w.alone(h, u) {
			w.c.log.Error("plugin cannot be loaded for one of its uses", "plugin", w.name, "for", forWhom(u.use), "err", err)
			h.refused[u] = err
			continue
		}
		if err != nil {
			return unfit(err)
		}
		w.mu.Lock()
		h.live[u] = u.add(inst, h.meter)
		w.mu.Unlock()
	}
	return nil
}

// alone says whether a use that a version cannot be loaded for is left alone with
// that.
func (w *worker) alone(h *held, u *Handle) bool {
	if h.v.Digest == w.active {
		return true
	}
	active := w.find(w.active)
	return active != nil && active.refused[u] != nil && !errors.Is(active.refused[u], errNeedsConfig)
}

// activate lets all calls go to the version that is wanted, if it is loaded. One
// that cannot be loaded does not take the place of one that can.
func (w *worker) activate(want plan.Want, p plan.Plugin) {
	w.mu.Lock()
	defer w.mu.Unlock()
	h := w.find(want.Active)
	switch {
	case want.Active == "":
		why := fmt.Errorf("%w: %s: install it with gchost plugin install", pluginapi.ErrPluginNotFound, w.name)
		if p.Current != "" {
			why = fmt.Errorf("%w: %s: enable it with gchost plugin enable %s", pluginapi.ErrPluginDisabled, w.name, w.name)
		}
		for _, u := range w.c.handlesOf(w.name) {
			u.empty(why)
			w.swap(u, nil)
		}
		w.active = ""
	case h.stage == plan.Prepared || h.stage == plan.Active:
		for u, l := range h.live {
			w.swap(u, l)
		}
		used := w.c.handlesOf(w.name)
		for u, why := range h.refused {
			if !slices.Contains(used, u) { // it was closed
				delete(h.refused, u)
				continue
			}
			u.empty(why)
			w.swap(u, nil)
		}
		if old := w.find(w.active); old != nil && old != h && old.stage == plan.Active {
			old.stage = plan.Prepared
		}
		h.stage, w.active = plan.Active, want.Active
	}
}

// swap puts a version into a handle. What was there goes on waiting, if it is
// held; else it has ended already.
func (w *worker) swap(u *Handle, l *loaded) {
	if u.now.Load() != l {
		u.swap(l)
	}
}

// letGo unloads and deletes what is not wanted any more.
func (w *worker) letGo(want plan.Want) {
	w.mu.Lock()
	defer w.mu.Unlock()
	used := w.c.handlesOf(w.name)
	for _, h := range w.held {
		needed := h.v.Digest == w.active || h.v.Digest == want.Active || slices.Contains(want.Ready, h.v.Digest)
		for u, l := range h.live {
			if needed && slices.Contains(used, u) {
				continue
			}
			delete(h.live, u)
			w.end(u, l)
		}
		if !needed && h.stage == plan.Prepared {
			h.stage, h.meter = plan.Verified, &meter{}
		}
	}
	w.held = slices.DeleteFunc(w.held, func(h *held) bool {
		if slices.Contains(want.Keep, h.v.Digest) || h.v.Digest == w.active {
			return false
		}
		if err := w.c.store.drop(h.v.Digest); err != nil {
			w.c.log.Warn("a package that is not needed was left behind", "plugin", w.name, "err", err)
		}
		return true
	})
	if len(want.Keep) == 0 && len(w.held) == 0 {
		w.c.logs.forget(w.name)
	}
}

// end ends a version that nothing points to, when its calls have ended.
func (w *worker) end(u *Handle, l *loaded) {
	if u.now.Load() == l {
		u.swap(nil)
	}
	w.ends.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), w.c.timing.Drain)
		defer cancel()
		if err := l.end(ctx); err != nil {
			w.c.log.Warn("end of a plugin", "plugin", w.name, "err", err)
		}
		u.ended(l)
	})
}

// stop unloads everything and waits for it.
func (w *worker) stop() {
	w.mu.Lock()
	for _, h := range w.held {
		for u, l := range h.live {
			u.empty(pluginapi.ErrShuttingDown)
			w.end(u, l)
		}
		clear(h.live)
	}
	w.mu.Unlock()
	w.ends.Wait()
}

// soonest is the time until a version is to be tried again; 0: never.
func (w *worker) soonest() (again time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, h := range w.held {
		if h.stage != plan.Failed && h.stage != plan.Missing {
			continue
		}
		if d := max(time.Until(h.again), time.Millisecond); again == 0 || d < again {
			again = d
		}
	}
	return again
}

// state is what the node has of the plugin; nothing when that is nothing.
func (w *worker) state() (s plan.State, any bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s = plan.State{Name: w.name, Local: w.local != nil}
	for _, h := range w.held {
		s.Held = append(s.Held, plan.Held{
			Digest: h.v.Digest, Version: h.v.Version, Stage: h.stage, Try: h.try, Reason: h.reason, Tally: h.meter.tally(),
		})
	}
	slices.SortFunc(s.Held, func(a, b plan.Held) int { return strings.Compare(a.Digest, b.Digest) })
	return s, len(s.Held) > 0
}
