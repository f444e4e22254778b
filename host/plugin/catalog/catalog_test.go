package catalog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/host/plugin/capability"
	"github.com/ozanturksever/go-cluster/host/plugin/catalog/plan"
	"github.com/ozanturksever/go-cluster/host/plugin/manifest"
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

// TestRefusedAtInstall: what is wrong is told at once, with what, where and how
// to mend it, and the version that runs stays.
func TestRefusedAtInstall(t *testing.T) {
	p := newPlatform(t, "n1")
	n := p.nodes["n1"]
	must(n.InstallFile(t.Context(), p.pack("greet", "1.0.0", "ok"), false))(t)
	p.everywhere("greet", "1.0.0")
	before := p.record("greet")
	asks := func(what string) func(string) string {
		return func(s string) string { return s + what + "\n" }
	}
	unsigned := must(manifest.Open(p.folder("greet", "1.1.0", "ok")))(t)
	defer unsigned.Close()
	other := newPlatform(t, "n1").pack("greet", "1.1.0", "ok")
	whole, err := os.ReadFile(p.pack("greet", "1.1.0", "ok"))
	if err != nil {
		t.Fatal(err)
	}
	half := filepath.Join(t.TempDir(), "half")
	changed := filepath.Join(t.TempDir(), "changed")
	if err := errors.Join(os.WriteFile(half, whole[:len(whole)/2], 0o600), os.WriteFile(changed, []byte(strings.Replace(string(whole), "ok 1.1.0", "no 1.1.0", 1)), 0o600)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		path string
		want error
		text string
	}{
		"unsigned":      {p.file(unsigned), pluginapi.ErrUnauthorized, "plugins.allow_unsigned"},
		"another key":   {other, pluginapi.ErrUnauthorized, "plugins.trust"},
		"half":          {half, pluginapi.ErrInvalid, ""},
		"changed":       {changed, pluginapi.ErrUnauthorized, ""},
		"asks for more": {p.pack("greet", "1.1.0", "ok", asks("capabilities: [\"kv.read:secrets/\"]")), pluginapi.ErrNotGranted, "plugins.grants, for the plugin greet"},
		"traps":         {p.pack("greet", "1.1.0", "traps"), pluginapi.ErrPluginCrashed, "greet 1.1.0"},
		"lies":          {p.pack("greet", "1.1.0", "lies"), pluginapi.ErrInvalid, "plugin.yaml"},
		"another binary": {p.pack("greet", "1.1.0", "ok", func(s string) string {
			return strings.Replace(s, "runtime: wasm", "runtime: binary\nplatform: {os: plan9, arch: arm}", 1)
		}), pluginapi.ErrInvalid, "runtime binary"},
		"same version":    {p.pack("greet", "1.0.0", "other"), pluginapi.ErrInvalid, "1.0.0"},
		"same package":    {p.pack("greet", "1.0.0", "ok"), pluginapi.ErrInvalid, "same package"},
		"another plugin":  {p.pack("other", "1.1.0", "ok"), pluginapi.ErrPluginNotFound, "other"},
		"nothing is here": {filepath.Join(t.TempDir(), "none"), os.ErrNotExist, ""},
	} {
		_, err := n.InstallFile(t.Context(), c.path, true)
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v, want %v and %q", name, err, c.want, c.text)
		}
	}
	if _, err := n.InstallFile(t.Context(), p.pack("greet", "1.1.0", "ok"), false); !errors.Is(err, pluginapi.ErrKeyExists) {
		t.Errorf("installed twice: %v", err)
	}
	if now := p.record("greet"); string(now.Encode()) != string(before.Encode()) || n.runs("greet") != "1.0.0" || len(p.blobs.names()) != 1 {
		t.Errorf("%s, %v", now.Encode(), p.blobs.names())
	}
	if left, _ := filepath.Glob(filepath.Join(n.dir, tmpFolder, "*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if n.runtime.alive() != 1 {
		t.Errorf("%d instances are left", n.runtime.alive())
	}
}

// TestNodesTrustNobody: each node verifies by itself. What one host has let in is
// refused by one that trusts other keys, or grants less, or gets other bytes, and
// the rollout goes back.
func TestNodesTrustNobody(t *testing.T) {
	p := newPlatform(t, "n1", "n2")
	for name, change := range map[string]func(*Config){
		"keys":   func(c *Config) { c.Trust.Keys = nil },
		"grants": func(c *Config) { c.Grants = nil },
	} {
		p.nodes["n1"].kill()
		p.start("n1", func(c *Config) { c.Grants = map[string]capability.Set{"greet": granted(t, "clock")} })
		p.nodes["n2"].kill()
		p.start("n2", change)
		path := p.pack("greet", "1.0.0", "ok", func(s string) string { return s + "capabilities: [clock]\n" })
		p.eventually("both nodes are there", func() bool { return len(p.nodes["n1"].view.nodes(p.members(p.nodes["n1"]).Live)) == 2 })
		must(p.nodes["n1"].InstallFile(t.Context(), path, false))(t)
		p.eventually(name+": it is rolled back", func() bool { r := p.record("greet"); return r.Last != nil && !r.Last.Done && r.Rollout == nil })
		if n := p.nodes["n2"]; n.runtime.alive() > 0 {
			t.Errorf("%s: a node has loaded what it does not trust", name)
		}
		if r := p.record("greet").Last.Reason; !strings.Contains(r, "n2") {
			t.Errorf("%s: %s", name, r)
		}
		p.eventually("old packages are deleted", func() bool { return len(p.record("greet").Garbage) == 0 })
	}
}

// TestStoreIsHostile: a package that was exchanged in the object store is never
// loaded, and one that was damaged on the disk is fetched again.
func TestStoreIsHostile(t *testing.T) {
	p := newPlatform(t, "n1", "n2")
	n1, n2 := p.nodes["n1"], p.nodes["n2"]
	must(n1.InstallFile(t.Context(), p.pack("greet", "1.0.0", "ok"), false))(t)
	p.everywhere("greet", "1.0.0")
	v := p.record("greet").Versions[0]

	// On the disk: the plugin's file, then the package.
	file := n2.store.file(v.Digest)
	n2.kill()
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o400 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if info, err := os.Stat(filepath.Dir(file)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := errors.Join(os.Chmod(file, 0o600), os.WriteFile(file, []byte("evil"), 0o600)); err != nil {
		t.Fatal(err)
	}
	n2 = p.start("n2")
	p.everywhere("greet", "1.0.0")
	if err := errors.Join(os.Chmod(file, 0o600), os.WriteFile(file, []byte("evil"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if got := must(n2.Verify(t.Context(), "greet"))(t); got[0].Err == nil || !errors.Is(got[0].Err, errDamaged) {
		t.Errorf("%+v", got)
	}
	n2.kill()
	pkg := filepath.Join(filepath.Dir(file), packageFile)
	data, err := os.ReadFile(pkg)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(pkg, 0o600), os.WriteFile(pkg, append(data[:len(data)-1], 'x'), 0o600)); err != nil {
		t.Fatal(err)
	}
	n2 = p.start("n2")
	p.everywhere("greet", "1.0.0")

	// In the object store: a late node finds another plugin under the same name.
	evil, err := os.ReadFile(p.pack("greet", "1.0.0", "evil"))
	if err != nil {
		t.Fatal(err)
	}
	p.blobs.mu.Lock()
	good := p.blobs.all[v.Blob]
	p.blobs.all[v.Blob] = evil
	p.blobs.mu.Unlock()
	n3 := p.start("n3")
	p.eventually("it is reported", func() bool {
		list := must(n1.List(t.Context()))(t)
		for _, on := range list[0].Nodes {
			if on.Node == "n3" && len(on.State.Held) == 1 {
				return on.State.Held[0].Stage == plan.Failed && strings.Contains(on.State.Held[0].Reason, "digest")
			}
		}
		return false
	})
	if n3.runtime.alive() > 0 || n3.runs("greet") != "" {
		t.Error("it was loaded")
	}
	// The store is away, and comes back: the node goes on by itself.
	p.blobs.mu.Lock()
	p.blobs.all[v.Blob], p.blobs.down = good, errors.New("nobody answers")
	p.blobs.mu.Unlock()
	p.eventually("it is missing", func() bool {
		r := p.nodes["n1"].view.nodes(p.members(n1).Live)
		return len(r) == 3 && r[2].Has("greet", v.Digest).Stage == plan.Missing
	})
	p.blobs.mu.Lock()
	p.blobs.down = nil
	p.blobs.mu.Unlock()
	p.everywhere("greet", "1.0.0")
}

// TestUses: each app has its own instance with its own config, all of them change
// version together, and a config that the new version does not take is a reason
// to go back.
func TestUses(t *testing.T) {
	schema := func(s string) string {
		return s + "config_schema: {type: object, properties: {to: {type: string}}, additionalProperties: false}\nconfig: {to: all}\n"
	}
	p := newPlatform(t, "n1")
	n := p.nodes["n1"]
	web := must(n.Open("greet", Use{App: "web", Config: []byte(`{"to":"web"}`)}))(t)
	if _, err := n.Open("greet", Use{App: "web"}); !errors.Is(err, pluginapi.ErrKeyExists) {
		t.Error(err)
	}
	must(n.InstallFile(t.Context(), p.pack("greet", "1.0.0", "ok", schema), false))(t)
	p.everywhere("greet", "1.0.0")
	config := func(h interface {
		Call(context.Context, string, []byte) ([]byte, error)
	},
	) string {
		out, err := h.Call(t.Context(), "config", nil)
		if err != nil {
			return err.Error()
		}
		return string(out)
	}
	p.eventually("web has its config", func() bool { return config(web) == `{"to":"web"}` })
	if got := config(must(n.Instance("greet"))(t)); got != `{"to":"all"}` {
		t.Error(got)
	}
	// One that comes later, and one whose config is wrong.
	db := must(n.Open("greet", Use{App: "db"}))(t)
	p.eventually("db has the default", func() bool { return config(db) == `{"to":"all"}` })
	bad := must(n.Open("greet", Use{App: "bad", Config: []byte(`{"too":"x"}`)}))(t)
	p.eventually("bad is told why", func() bool { return strings.Contains(config(bad), "config of plugin greet 1.0.0 for app bad") })
	if n.runs("greet") != "1.0.0" {
		t.Error("the others have lost it")
	}
	if err := bad.Close(t.Context()); err != nil {
		t.Error(err)
	}
	must(n.InstallFile(t.Context(), p.pack("greet", "2.0.0", "ok", func(s string) string {
		return strings.ReplaceAll(schema(s), "to:", "whom:")
	}), true))(t)
	p.eventually("it is rolled back", func() bool { r := p.record("greet"); return r.Last != nil && !r.Last.Done && r.Rollout == nil })
	if r := p.record("greet").Last.Reason; !strings.Contains(r, "app web") {
		t.Error(r)
	}
	if config(web) != `{"to":"web"}` {
		t.Error(config(web))
	}
	p.eventually("the new version has ended", func() bool { return n.runtime.alive() == 3 })
	if err := db.Close(t.Context()); err != nil {
		t.Error(err)
	}
	p.eventually("what db had has ended", func() bool { return n.runtime.alive() == 2 })
	if _, err := db.Call(t.Context(), "event", nil); !errors.Is(err, pluginapi.ErrPluginNotFound) {
		t.Error(err)
	}
}

// TestLocalFolder: a plugin under development is loaded anew when it changes, by
// the rules for all, goes before that of the platform, and gives way again.
func TestLocalFolder(t *testing.T) {
	p := newPlatform(t, "n1")
	dir := t.TempDir()
	p.nodes["n1"].kill()
	n := p.start("n1", func(c *Config) { c.Local, c.Trust.AllowUnsigned = dir, true })
	must(n.InstallFile(t.Context(), p.pack("greet", "1.0.0", "ok"), false))(t)
	p.everywhere("greet", "1.0.0")
	if err := os.Rename(p.folder("greet", "2.0.0-dev", "ok"), filepath.Join(dir, "mine")); err != nil {
		t.Fatal(err)
	}
	p.eventually("it is loaded", func() bool { return n.runs("greet") == "2.0.0-dev" })
	p.eventually("the list says so", func() bool {
		l := must(n.List(t.Context()))(t)
		return len(l) == 1 && l[0].Nodes[0].State.Local
	})
	write := func(file, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "mine", file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("greet.wasm", "traps")
	p.eventually("the new one fails", func() bool {
		l := must(n.List(t.Context()))(t)
		for _, h := range l[0].Nodes[0].State.Held {
			if h.Stage == plan.Failed {
				return true
			}
		}
		return false
	})
	if n.runs("greet") != "2.0.0-dev" {
		t.Error("the old one does not serve any more")
	}
	write(manifest.FileName, "name: greet\nversion: 2.0.1\ncontract: hook\nruntime: wasm\nabi: 1\nfile: greet.wasm\n")
	write("greet.wasm", "ok again")
	p.eventually("it is loaded anew", func() bool { return n.runs("greet") == "2.0.1" })
	if err := os.RemoveAll(filepath.Join(dir, "mine")); err != nil {
		t.Fatal(err)
	}
	p.everywhere("greet", "1.0.0")
}

// TestUploads: pieces in order, again, out of order; too many, too big, too late.
func TestUploads(t *testing.T) {
	p := newPlatform(t, "n1")
	n := p.nodes["n1"]
	data, err := os.ReadFile(p.pack("greet", "1.0.0", "ok"))
	if err != nil {
		t.Fatal(err)
	}
	id := must(n.Begin(t.Context(), int64(len(data))))(t)
	if _, err := n.Install(t.Context(), "../"+id, false); !errors.Is(err, pluginapi.ErrInvalid) {
		t.Error(err)
	}
	half := len(data) / 2
	if err := n.Piece(t.Context(), id, 1, data[1:2]); !errors.Is(err, pluginapi.ErrInvalid) {
		t.Errorf("a gap: %v", err)
	}
	for _, at := range [][2]int{{0, half}, {0, half}, {half, len(data)}} {
		if err := n.Piece(t.Context(), id, int64(at[0]), data[at[0]:at[1]]); err != nil {
			t.Error(err)
		}
	}
	if err := n.Piece(t.Context(), id, int64(len(data)), []byte("x")); !errors.Is(err, pluginapi.ErrInvalid) {
		t.Errorf("too much: %v", err)
	}
	must(n.Install(t.Context(), id, false))(t)
	p.everywhere("greet", "1.0.0")
	if _, err := n.Install(t.Context(), id, false); !errors.Is(err, pluginapi.ErrInvalid) {
		t.Errorf("twice: %v", err)
	}
	short := must(n.Begin(t.Context(), 10))(t)
	if _, err := n.Install(t.Context(), short, false); !errors.Is(err, pluginapi.ErrInvalid) {
		t.Errorf("not whole: %v", err)
	}
	for _, size := range []int64{0, -1, plan.MaxPackage + 1} {
		if _, err := n.Begin(t.Context(), size); !errors.Is(err, pluginapi.ErrTooLarge) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	for range MaxUploads {
		must(n.Begin(t.Context(), 10))(t)
	}
	if _, err := n.Begin(t.Context(), 10); !errors.Is(err, pluginapi.ErrBusy) {
		t.Error(err)
	}
	n.uploads.expire(0)
	must(n.Begin(t.Context(), 10))(t)
	n.uploads.expire(0)
	if left, _ := filepath.Glob(filepath.Join(n.dir, tmpFolder, "*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// TestLogs: what a plugin logs is kept, and not without bound.
func TestLogs(t *testing.T) {
	p := newPlatform(t, "n1")
	n := p.nodes["n1"]
	must(n.InstallFile(t.Context(), p.pack("greet", "1.0.0", "ok"), false))(t)
	p.everywhere("greet", "1.0.0")
	if l := n.Logs("greet"); len(l) == 0 || l[0].Node != "n1" || l[0].Version != "1.0.0" || !strings.Contains(l[0].Text, "loaded") {
		t.Errorf("%+v", l)
	}
	log := n.logs.logger(n.log, "greet", "1.0.0")
	for i := range 1000 {
		log.With("i", i).Info(strings.Repeat("x", 2000))
	}
	if l := n.Logs("greet"); len(l) != keptLines || len(l[0].Text) > maxLine+3 {
		t.Errorf("%d lines, the first has %d bytes", len(l), len(l[0].Text))
	}
}

// TestUnanswered: a change whose answer is lost is told as done, as not done, or
// as unknown, never wrongly.
func TestUnanswered(t *testing.T) {
	p := newPlatform(t, "n1")
	n := p.nodes["n1"]
	must(n.InstallFile(t.Context(), p.pack("greet", "1.0.0", "ok"), false))(t)
	p.everywhere("greet", "1.0.0")
	p.records.mu.Lock()
	p.records.failing = errors.New("no answer")
	p.records.mu.Unlock()
	if _, err := n.SetEnabled(t.Context(), "greet", false); !errors.Is(err, pluginapi.ErrUnknownOutcome) {
		t.Error(err)
	}
	p.records.mu.Lock()
	p.records.failing = nil
	p.records.mu.Unlock()
	must(n.SetEnabled(t.Context(), "greet", true))(t)
	p.everywhere("greet", "1.0.0")
}

// TestOldRecordsComeLate: a worker that was told of a record is not told out of
// it by an older one.
func TestOldRecordsComeLate(t *testing.T) {
	w := newWorker(New(Config{}), "greet")
	w.want(7, plan.Plugin{Serial: 7})
	w.want(6, plan.Plugin{Serial: 6})
	if got := w.wanted().Serial; got != 7 {
		t.Errorf("it wants what record %d says", got)
	}
}

// TestRemovedWhileAway: a node that was away when a plugin was removed has
// nothing of it when it is back.
func TestRemovedWhileAway(t *testing.T) {
	p := newPlatform(t, "n1", "n2")
	n1, n2 := p.nodes["n1"], p.nodes["n2"]
	must(n1.InstallFile(t.Context(), p.pack("greet", "1.0.0", "ok"), false))(t)
	p.everywhere("greet", "1.0.0")
	n2.kill()
	must(n1.Remove(t.Context(), "greet"))(t)
	n2 = p.start("n2")
	p.eventually("nothing is left", func() bool {
		nodes := n1.view.nodes(p.members(n1).Live)
		return len(nodes) == 2 && len(nodes[1].Plugins) == 0 && nodes[1].Inc == 2
	})
	if left := n2.store.all(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// TestTwoLives: a node whose later life has reported does not write over that.
func TestTwoLives(t *testing.T) {
	p := newPlatform(t, "n1")
	n := p.nodes["n1"]
	p.eventually("it has reported", func() bool { return len(n.view.nodes(p.members(n).Live)) == 1 })
	later := plan.Report{Node: "n1", Inc: 9}
	rec, _ := p.records.Get(t.Context(), keyReport+"n1")
	must(p.records.CAS(t.Context(), keyReport+"n1", rec.Seq, later.Encode()))(t)
	r := &reporter{c: n.Catalog}
	if err := r.report(t.Context()); err != nil {
		t.Fatal(err)
	}
	rec, _ = p.records.Get(t.Context(), keyReport+"n1")
	if got := must(plan.DecodeReport("n1", rec.Value))(t); got.Inc != 9 {
		t.Errorf("%+v", got)
	}
}

// TestForeignRecord: a record that names the package of another plugin gives it
// no other name, and so no other grants.
func TestForeignRecord(t *testing.T) {
	p := newPlatform(t, "n1")
	n := p.nodes["n1"]
	must(n.InstallFile(t.Context(), p.pack("greet", "1.0.0", "ok"), false))(t)
	p.everywhere("greet", "1.0.0")
	other := p.record("greet")
	other.Name = "other"
	must(p.records.CAS(t.Context(), keyPlugin+"other", 0, other.Encode()))(t)
	p.eventually("it is refused", func() bool {
		h := n.view.nodes(p.members(n).Live)[0].Has("other", other.Current)
		return h.Stage == plan.Failed && strings.Contains(h.Reason, "is of plugin greet")
	})
	if n.runs("other") != "" {
		t.Error("it runs")
	}
}

// TestLocalFolderWaits: what is still being written is not loaded.
func TestLocalFolderWaits(t *testing.T) {
	p := newPlatform(t, "n1")
	n := p.nodes["n1"]
	n.cfg.Local = filepath.Dir(p.folder("mine", "1.0.0", "ok"))
	l := &localFolder{c: n.Catalog, seen: map[string]string{}, done: map[string]string{}, names: map[string]string{}}
	for look, want := range []int{0, 1, 1} {
		if l.look(); len(l.names) != want {
			t.Errorf("look %d: %v", look, l.names)
		}
	}
}

// TestOldLivesDoNotCount: what a node has said in an earlier life, or a node that
// is gone, is not heard.
func TestOldLivesDoNotCount(t *testing.T) {
	v := newView()
	for node, inc := range map[string]uint64{"n1": 3, "n2": 4, "n3": 5} {
		if err := v.takeReport(bus.Record{Key: keyReport + node, Seq: inc, Value: plan.Report{Node: node, Inc: inc}.Encode()}); err != nil {
			t.Fatal(err)
		}
	}
	if got := v.nodes(map[string]uint64{"n1": 3, "n2": 5}); len(got) != 1 || got[0].Node != "n1" {
		t.Errorf("%+v", got)
	}
}
