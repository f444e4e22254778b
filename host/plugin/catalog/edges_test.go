package catalog

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/host/plugin/capability"
	"github.com/ozanturksever/go-cluster/host/plugin/catalog/plan"
	"github.com/ozanturksever/go-cluster/host/plugin/manifest"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

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
	// It was broken before: that keeps nobody from upgrading.
	must(n.InstallFile(t.Context(), p.pack("greet", "1.0.1", "ok", schema), true))(t)
	p.everywhere("greet", "1.0.1")
	if got := config(bad); !strings.Contains(got, "for app bad") {
		t.Error(got)
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

// TestLogs: what a plugin logs is kept, if that was granted, and not without
// bound.
func TestLogs(t *testing.T) {
	p := newPlatform(t, "n1")
	p.nodes["n1"].kill()
	p.start("n1", func(c *Config) { c.Grants = map[string]capability.Set{"greet": granted(t, "log")} })
	n := p.nodes["n1"]
	must(n.InstallFile(t.Context(), p.pack("silent", "1.0.0", "ok"), false))(t)
	p.everywhere("silent", "1.0.0")
	if l := n.Logs("silent"); len(l) != 0 {
		t.Errorf("one that may not log: %+v", l)
	}
	must(n.InstallFile(t.Context(), p.pack("greet", "1.0.0", "ok", func(s string) string { return s + "capabilities: [log]\n" }), false))(t)
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

// TestLocalFolderWaits: what is still being written is not loaded.
func TestLocalFolderWaits(t *testing.T) {
	p := newPlatform(t, "n1")
	n := p.nodes["n1"]
	if err := n.running(t.Context()); err != nil {
		t.Fatal(err)
	}
	l := newLocalFolder(n.Catalog, filepath.Dir(p.folder("mine", "1.0.0", "ok")))
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

// TestNeedsConfig: a plugin that cannot do without a config is installed, waits
// for who gives it one, and takes the place of a version that could.
func TestNeedsConfig(t *testing.T) {
	p := newPlatform(t, "n1")
	n := p.nodes["n1"]
	must(n.InstallFile(t.Context(), p.pack("greet", "1.0.0", "ok"), false))(t)
	p.everywhere("greet", "1.0.0")
	must(n.InstallFile(t.Context(), p.pack("greet", "2.0.0", "ok", func(s string) string {
		return s + "config_schema: {type: object, properties: {to: {type: string}}, required: [to]}\n"
	}), true))(t)
	p.eventually("it is current", func() bool { r := p.record("greet"); return r.Rollout == nil && r.Last.To == "2.0.0" })
	if l := p.record("greet").Last; !l.Done {
		t.Fatal(l.Reason)
	}
	in := must(n.Instance("greet"))(t)
	p.eventually("the platform is told", func() bool {
		_, err := in.Call(t.Context(), "event", nil)
		return errors.Is(err, errNeedsConfig)
	})
	p.eventually("the old one has ended", func() bool { return n.runtime.alive() == 0 })
	web := must(n.Open("greet", Use{App: "web", Config: []byte(`{"to":"web"}`)}))(t)
	p.eventually("web has it", func() bool {
		out, err := web.Call(t.Context(), "event", nil)
		return err == nil && string(out) == "2.0.0"
	})
}
