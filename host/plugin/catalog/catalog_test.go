package catalog

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/host/plugin/catalog/plan"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// TestLifeOfAPlugin: installed, upgraded, rolled back, a node that comes late,
// one that comes back with what it had, off, on, removed: and nothing is left.
func TestLifeOfAPlugin(t *testing.T) {
	p := newPlatform(t, "n1", "n2", "n3")
	n2 := p.nodes["n2"]
	must(n2.InstallFile(t.Context(), p.pack("greet", "1.0.0", "ok"), false))(t)
	p.everywhere("greet", "1.0.0")
	must(n2.InstallFile(t.Context(), p.pack("greet", "1.1.0", "ok"), true))(t)
	p.everywhere("greet", "1.1.0")
	p.eventually("the outcome is told", func() bool { return p.told("rollout_done") })
	must(n2.Rollback(t.Context(), "greet"))(t)
	p.everywhere("greet", "1.0.0")

	p.start("n4")
	p.everywhere("greet", "1.0.0")
	p.nodes["n3"].kill()
	must(n2.InstallFile(t.Context(), p.pack("greet", "1.2.0", "ok"), true))(t)
	p.everywhere("greet", "1.2.0")
	p.start("n3")
	p.everywhere("greet", "1.2.0")
	for _, n := range p.nodes {
		p.eventually("two versions are kept", func() bool { return len(n.store.all()) == 2 })
		if v := must(n.Verify(t.Context(), "greet"))(t); len(v) != 2 || v[0].Err != nil || v[1].Err != nil || v[0].Signer != p.public {
			t.Errorf("%s: %+v", n.name, v)
		}
	}
	p.eventually("two blobs are kept", func() bool { return len(p.blobs.names()) == 2 })

	must(n2.SetEnabled(t.Context(), "greet", false))(t)
	for _, n := range p.nodes {
		in := must(n.Instance("greet"))(t)
		p.eventually("it is off", func() bool {
			_, err := in.Call(t.Context(), "event", nil)
			return errors.Is(err, pluginapi.ErrPluginDisabled)
		})
	}
	must(n2.SetEnabled(t.Context(), "greet", true))(t)
	p.everywhere("greet", "1.2.0")
	list := must(n2.List(t.Context()))(t)
	if len(list) != 1 || len(list[0].Nodes) != 4 || len(list[0].Plugin.Versions) != 2 {
		t.Errorf("%+v", list)
	}

	must(n2.Remove(t.Context(), "greet"))(t)
	p.eventually("no blob is left", func() bool { return len(p.blobs.names()) == 0 })
	for _, n := range p.nodes {
		p.eventually("nothing is left on "+n.name, func() bool {
			_, err := must(n.Instance("greet"))(t).Call(t.Context(), "event", nil)
			return errors.Is(err, pluginapi.ErrPluginNotFound) && n.runtime.alive() == 0 && len(n.store.all()) == 0
		})
	}
	p.eventually("nobody reports it", func() bool {
		list := must(n2.List(t.Context()))(t)
		return len(list) == 0 && len(p.record("greet").Garbage) == 0
	})
	must(n2.InstallFile(t.Context(), p.pack("greet", "1.0.0", "ok"), false))(t)
	p.everywhere("greet", "1.0.0")
}

// TestBadUpgrades: a version that one node cannot load, and one whose calls fail,
// are rolled back by themselves, and the old one serves all the time.
func TestBadUpgrades(t *testing.T) {
	p := newPlatform(t, "n1", "n2", "n3")
	n1 := p.nodes["n1"]
	must(n1.InstallFile(t.Context(), p.pack("greet", "1.0.0", "ok"), false))(t)
	p.everywhere("greet", "1.0.0")

	must(n1.InstallFile(t.Context(), p.pack("greet", "1.1.0", "traps-on-n3"), true))(t)
	p.eventually("it is rolled back", func() bool { r := p.record("greet"); return r.Rollout == nil })
	p.everywhere("greet", "1.0.0")
	if l := p.record("greet").Last; l == nil || l.Done || !strings.Contains(l.Reason, "n3") || !strings.Contains(l.Reason, "unreachable") {
		t.Errorf("%+v", l)
	}
	p.eventually("it is told", func() bool { return p.told("rolled_back") })

	ctx, stop := context.WithCancel(t.Context())
	var calls sync.WaitGroup
	for _, n := range p.nodes {
		in := must(n.Instance("greet"))(t)
		calls.Go(func() {
			for ctx.Err() == nil {
				if _, err := in.Call(ctx, "event", nil); err != nil && !errors.Is(err, pluginapi.ErrPluginCrashed) {
					t.Errorf("call: %v", err)
				}
			}
		})
	}
	must(n1.InstallFile(t.Context(), p.pack("greet", "1.2.0", "faulty"), true))(t)
	p.eventually("it is rolled back", func() bool { r := p.record("greet"); return r.Rollout == nil })
	stop()
	calls.Wait()
	p.everywhere("greet", "1.0.0")
	if l := p.record("greet").Last; l == nil || l.Done || !strings.Contains(l.Reason, "calls failed") {
		t.Errorf("%+v", l)
	}
	p.eventually("one blob is left", func() bool { return len(p.blobs.names()) == 1 })
}

// TestUpgradesUnderLoad: no call fails while versions come and go.
func TestUpgradesUnderLoad(t *testing.T) {
	p := newPlatform(t, "n1", "n2")
	n1 := p.nodes["n1"]
	must(n1.InstallFile(t.Context(), p.pack("greet", "1.0.0", "ok"), false))(t)
	p.everywhere("greet", "1.0.0")
	ctx, stop := context.WithCancel(t.Context())
	var callers sync.WaitGroup
	var calls atomic.Int64
	for _, n := range p.nodes {
		in := must(n.Instance("greet"))(t)
		callers.Go(func() {
			for ctx.Err() == nil {
				if _, err := in.Call(t.Context(), "event", nil); err != nil {
					t.Errorf("call on %s: %v", n.name, err)
					return
				}
				calls.Add(1)
				<-time.After(50 * time.Microsecond) // the versions need the cores too
			}
		})
	}
	for i := range 15 {
		must(n1.InstallFile(t.Context(), p.pack("greet", fmt.Sprintf("1.%d.0", i+1), "ok"), true))(t)
		p.everywhere("greet", fmt.Sprintf("1.%d.0", i+1))
	}
	stop()
	callers.Wait()
	if calls.Load() == 0 {
		t.Error("nobody has called")
	}
	for _, n := range p.nodes {
		p.eventually("old versions have ended", func() bool { return n.runtime.alive() == 1 })
		if s := n.Stats()["greet"]; s.Calls == 0 || s.Guests != 1 {
			t.Errorf("%s: %+v", n.name, s)
		}
	}
}

// TestControllerChanges: the next controller goes on where the last one ended.
func TestControllerChanges(t *testing.T) {
	p := newPlatform(t, "n1", "n2", "n3")
	n2 := p.nodes["n2"]
	must(n2.InstallFile(t.Context(), p.pack("greet", "1.0.0", "ok"), false))(t)
	p.everywhere("greet", "1.0.0")
	p.mu.Lock()
	p.controller = ""
	p.mu.Unlock()
	must(n2.InstallFile(t.Context(), p.pack("greet", "1.1.0", "ok"), true))(t)
	for i := range 12 { // another one at each phase, and none in between
		before := p.record("greet")
		p.mu.Lock()
		p.controller = []string{"n3", "n2", "n1"}[i%3]
		p.mu.Unlock()
		p.eventually("it goes on", func() bool {
			now := p.record("greet")
			return now.Key() != before.Key() || now.Rollout == nil
		})
		p.mu.Lock()
		p.controller = ""
		p.mu.Unlock()
	}
	p.everywhere("greet", "1.1.0")
}

// TestTwoAtOnce: of two who upgrade at the same time, one is told of the other.
func TestTwoAtOnce(t *testing.T) {
	p := newPlatform(t, "n1", "n2")
	must(p.nodes["n1"].InstallFile(t.Context(), p.pack("greet", "1.0.0", "ok"), false))(t)
	p.everywhere("greet", "1.0.0")
	p.mu.Lock()
	p.controller = "" // nobody goes on with either
	p.mu.Unlock()
	errs := make(chan error, 2)
	for i, n := range []string{"n1", "n2"} {
		path := p.pack("greet", fmt.Sprintf("1.%d.0", i+1), "ok")
		go func() {
			_, err := p.nodes[n].InstallFile(t.Context(), path, true)
			errs <- err
		}()
	}
	a, b := <-errs, <-errs
	if a != nil {
		a, b = b, a
	}
	if a != nil || !errors.Is(b, pluginapi.ErrConflict) || !strings.Contains(b.Error(), "rollback greet") {
		t.Errorf("%v, %v", a, b)
	}
	// One of them begins while the other one stores its package.
	must(p.nodes["n1"].Rollback(t.Context(), "greet"))(t)
	second := p.pack("greet", "1.4.0", "ok")
	begun := sync.OnceFunc(func() {
		must(p.nodes["n2"].edit(t.Context(), "greet", func(r plan.Plugin) (plan.Plugin, error) {
			v := r.Versions[0]
			v.Version, v.Digest, v.Blob = "1.5.0", strings.Repeat("a", 64), plan.BlobPrefix+"other"
			return r.Upgrade("greet", v)
		}))(t)
	})
	p.blobs.put = func() { p.blobs.mu.Unlock(); begun(); p.blobs.mu.Lock() }
	if _, err := p.nodes["n1"].InstallFile(t.Context(), second, true); !errors.Is(err, pluginapi.ErrConflict) {
		t.Error(err)
	}
	// Nobody is the controller: whatever the nodes see, they decide nothing.
	before := p.record("greet")
	<-time.After(20 * p.nodes["n1"].timing.Tick)
	if now := p.record("greet"); now.Rollout == nil || now.Key() != before.Key() {
		t.Errorf("somebody has decided: %s", now.Encode())
	}
	p.eventually("what was refused is not stored", func() bool { return len(p.blobs.names()) == 2 })
}
