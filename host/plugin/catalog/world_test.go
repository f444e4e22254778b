package catalog

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/host/plugin/capability"
	"github.com/ozanturksever/go-cluster/host/plugin/catalog/plan"
	"github.com/ozanturksever/go-cluster/host/plugin/manifest"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// patience bounds every wait for what takes milliseconds on a machine that is
// not busy.
const patience = 40 * time.Second

// fakeRuntime runs plugins whose file is a line of words: what they are, and how
// they behave.
type fakeRuntime struct {
	node string
	mu   sync.Mutex
	made []*fakeInstance
}

func (f *fakeRuntime) Load(ctx context.Context, a plugin.Artifact, o plugin.Options) (plugin.Instance, error) {
	data, err := os.ReadFile(a.Path)
	if err != nil {
		return nil, err
	}
	if sha256.Sum256(data) != a.Digest {
		return nil, errors.New("another file than the manifest says")
	}
	words := strings.Fields(string(data))
	switch {
	case slices.Contains(words, "traps"), slices.Contains(words, "traps-on-"+f.node):
		return nil, fmt.Errorf("%w: unreachable", pluginapi.ErrPluginCrashed)
	case slices.Contains(words, "hangs"):
		<-ctx.Done()
		return nil, ctx.Err()
	}
	in := newFakeInstance(a.Version)
	in.app, in.config = o.Configure.App, string(o.Configure.Config)
	d := wire.Description{Contract: a.Contract, Name: a.Name, Version: a.Version}
	if slices.Contains(words, "lies") {
		d.Contract = wire.ContractBackend
	}
	in.description = d.Append(nil)
	if slices.Contains(words, "faulty") {
		fault := error(pluginapi.ErrPluginCrashed)
		in.fails.Store(&fault)
	}
	if o.Logger != nil {
		o.Logger.Info("loaded", "app", o.Configure.App)
	}
	f.mu.Lock()
	f.made = append(f.made, in)
	f.mu.Unlock()
	return in, nil
}

// alive counts the instances that were not closed.
func (f *fakeRuntime) alive() (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, in := range f.made {
		if !in.closed.Load() {
			n++
		}
	}
	return n
}

// platform is some nodes with one store.
type platform struct {
	t       *testing.T
	records *records
	blobs   *blobs
	public  string
	seed    string

	mu         sync.Mutex
	controller string
	nodes      map[string]*node
	events     []Event
}

type node struct {
	*Catalog
	p       *platform
	name    string
	dir     string
	runtime *fakeRuntime
	inc     uint64
	up      bool
	stop    context.CancelFunc
	ended   chan error
}

func newPlatform(t *testing.T, names ...string) *platform {
	t.Helper()
	p := &platform{t: t, records: newRecords(), blobs: &blobs{all: map[string][]byte{}}, nodes: map[string]*node{}}
	var err error
	if p.public, p.seed, err = manifest.NewKey(); err != nil {
		t.Fatal(err)
	}
	p.controller = names[0]
	for _, n := range names {
		p.start(n)
	}
	t.Cleanup(func() {
		for _, n := range p.nodes {
			n.kill()
		}
	})
	return p
}

// start starts a node, again if it was there before; change changes its config.
func (p *platform) start(name string, change ...func(*Config)) *node {
	p.t.Helper()
	p.mu.Lock()
	n := p.nodes[name]
	if n == nil {
		n = &node{p: p, name: name, dir: filepath.Join(p.t.TempDir(), name)}
		p.nodes[name] = n
	}
	n.inc++
	n.up = true
	n.runtime = &fakeRuntime{node: name}
	p.mu.Unlock()
	cfg := Config{
		Platform: "p", Node: name, Dir: n.dir,
		Records: func(context.Context) (Records, error) { return p.records, nil },
		Blobs:   func(context.Context) (Blobs, error) { return p.blobs, nil },
		Members: func() Members { return p.members(n) },
		Changes: func() (<-chan struct{}, func()) { return make(chan struct{}), func() {} },
		Runtimes: map[manifest.Runtime]plugin.Runtime{
			manifest.WASM: n.runtime,
		},
		Trust:  manifest.Trust{Keys: []string{p.public}},
		Rules:  plan.Rules{Trial: 30 * time.Millisecond, Watch: 30 * time.Millisecond, Patience: 20 * time.Second},
		Timing: Timing{Tick: 5 * time.Millisecond, Retry: 10 * time.Millisecond, Again: 50 * time.Millisecond, Local: 5 * time.Millisecond, Load: 5 * time.Second},
		Logger: slog.New(slog.NewTextHandler(p.t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
		OnEvent: func(e Event) {
			p.mu.Lock()
			p.events = append(p.events, e)
			p.mu.Unlock()
		},
	}
	for _, fn := range change {
		fn(&cfg)
	}
	n.Catalog = New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	n.stop, n.ended = cancel, make(chan error, 1)
	go func() { n.ended <- n.Catalog.Run(ctx) }()
	return n
}

// kill ends a node; nothing may be left of it.
func (n *node) kill() {
	n.p.mu.Lock()
	was := n.up
	n.up = false
	n.p.mu.Unlock()
	if !was {
		return
	}
	n.stop()
	if err := <-n.ended; err != nil {
		n.p.t.Errorf("node %s: %v", n.name, err)
	}
	if left := n.runtime.alive(); left > 0 {
		n.p.t.Errorf("node %s has ended and left %d instances", n.name, left)
	}
}

func (p *platform) members(n *node) Members {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := Members{Inc: n.inc, Controller: p.controller == n.name, Live: map[string]uint64{}}
	for _, o := range p.nodes {
		if o.up {
			m.Live[o.name] = o.inc
		}
	}
	return m
}

// pack makes a signed package of a plugin; change changes its manifest's text.
func (p *platform) pack(name, version, words string, change ...func(string) string) string {
	p.t.Helper()
	dir := p.folder(name, version, words, change...)
	pkg, err := manifest.Open(dir)
	if err != nil {
		p.t.Fatal(err)
	}
	defer pkg.Close()
	sig, err := manifest.Sign(pkg.Manifest, p.seed)
	if err != nil {
		p.t.Fatal(err)
	}
	pkg.Signature = &sig
	return p.file(pkg)
}

func (p *platform) file(pkg *manifest.Package) string {
	p.t.Helper()
	f, err := os.Create(filepath.Join(p.t.TempDir(), "x.plugin"))
	if err != nil {
		p.t.Fatal(err)
	}
	if err := errors.Join(pkg.Write(f), f.Close()); err != nil {
		p.t.Fatal(err)
	}
	return f.Name()
}

// folder makes a folder with a plugin.
func (p *platform) folder(name, version, words string, change ...func(string) string) string {
	p.t.Helper()
	dir := p.t.TempDir()
	text := fmt.Sprintf("name: %s\nversion: %s\ncontract: hook\nruntime: wasm\nabi: 1\nfile: greet.wasm\n", name, version)
	for _, fn := range change {
		text = fn(text)
	}
	err := errors.Join(
		os.WriteFile(filepath.Join(dir, manifest.FileName), []byte(text), 0o600),
		os.WriteFile(filepath.Join(dir, "greet.wasm"), []byte(words+" "+version), 0o600),
	)
	if err != nil {
		p.t.Fatal(err)
	}
	return dir
}

func (p *platform) record(name string) plan.Plugin {
	rec, _ := p.records.Get(context.Background(), keyPlugin+name)
	if rec.Seq == 0 {
		return plan.Plugin{}
	}
	pl, err := plan.DecodePlugin(name, rec.Value)
	if err != nil {
		p.t.Fatal(err)
	}
	return pl
}

// runs is the version that answers on a node; "" for none.
func (n *node) runs(name string) string {
	in, err := n.Instance(name)
	if err != nil {
		return ""
	}
	out, err := in.Call(context.Background(), "event", nil)
	if err != nil {
		return ""
	}
	return string(out)
}

// everywhere waits until all living nodes run a version and no rollout goes on.
func (p *platform) everywhere(name, version string) {
	p.t.Helper()
	p.eventually(fmt.Sprintf("%s runs everywhere in version %q", name, version), func() bool {
		if p.record(name).Rollout != nil {
			return false
		}
		for _, n := range p.nodes {
			if n.up && n.runs(name) != version {
				return false
			}
		}
		return true
	})
}

func (p *platform) eventually(what string, cond func() bool) {
	p.t.Helper()
	late := time.After(patience)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-late:
			buf := make([]byte, 1<<20)
			p.t.Fatalf("never happened: %s\n%s\n%s", what, p.record("greet").Encode(), buf[:runtime.Stack(buf, true)])
		}
	}
}

func (p *platform) told(action string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.events, func(e Event) bool { return e.Action == action })
}

func granted(t *testing.T, texts ...string) capability.Set {
	t.Helper()
	s, err := capability.ParseSet(texts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
