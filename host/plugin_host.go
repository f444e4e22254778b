package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ozanturksever/go-cluster/host/clock"
	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/host/plugin/capability"
	"github.com/ozanturksever/go-cluster/host/plugin/exec"
	"github.com/ozanturksever/go-cluster/host/plugin/grant"
	"github.com/ozanturksever/go-cluster/host/plugin/grant/web"
	"github.com/ozanturksever/go-cluster/host/plugin/manifest"
	"github.com/ozanturksever/go-cluster/host/plugin/wasm"
	"github.com/ozanturksever/go-cluster/host/rpc"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// runtimes are the two runtimes of a node, made when they are needed first: a
// node without plugins has none.
type runtimes struct {
	wasm, binary *lateRuntime
}

// lateRuntime makes a runtime for the first plugin.
type lateRuntime struct {
	make func() (plugin.Runtime, func() error, error)

	mu    sync.Mutex
	r     plugin.Runtime
	close func() error
}

// Load implements [plugin.Runtime].
func (l *lateRuntime) Load(ctx context.Context, a plugin.Artifact, o plugin.Options) (plugin.Instance, error) {
	l.mu.Lock()
	if l.r == nil {
		r, done, err := l.make()
		if err != nil {
			l.mu.Unlock()
			return nil, err
		}
		l.r, l.close = r, done
	}
	r := l.r
	l.mu.Unlock()
	return r.Load(ctx, a, o)
}

func (l *lateRuntime) end() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.close == nil {
		return nil
	}
	return l.close()
}

// makeRuntimes says how the runtimes are made; their folders are the node's own.
func (n *Node) makeRuntimes() {
	dir := filepath.Join(n.cfg.DataDir, "plugins")
	folder := func(name string) (string, error) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(path, 0o700); err != nil {
			return "", fmt.Errorf("make folder for plugins: %w", err)
		}
		return path, nil
	}
	n.runtimes.wasm = &lateRuntime{make: func() (plugin.Runtime, func() error, error) {
		cache, err := folder("compiled")
		if err != nil {
			return nil, nil, err
		}
		r, err := wasm.New(wasm.Config{CacheDir: cache, Logger: n.log})
		if err != nil {
			return nil, nil, err
		}
		return r, func() error {
			ctx, cancel := context.WithTimeout(context.Background(), closeWait)
			defer cancel()
			return r.Close(ctx)
		}, nil
	}}
	n.runtimes.binary = &lateRuntime{make: func() (plugin.Runtime, func() error, error) {
		run, err := folder("run")
		if err != nil {
			return nil, nil, err
		}
		r := exec.New(exec.Config{Dir: run, Platform: n.cfg.Platform, Node: n.cfg.Node, Fenced: n.fencePlugins})
		return r, func() error { return nil }, nil // its instances end with the catalog
	}}
}

// known are the runtimes that plugins are loaded with.
func (n *Node) known() map[manifest.Runtime]plugin.Runtime {
	if n.cfg.Plugins.Runtimes != nil {
		return n.cfg.Plugins.Runtimes
	}
	return map[manifest.Runtime]plugin.Runtime{manifest.WASM: n.runtimes.wasm, manifest.Binary: n.runtimes.binary}
}

// fencePlugins tells the guard what of the plugins must not outlive this host.
func (n *Node) fencePlugins(ctx context.Context, all []pluginapi.Fence) error {
	n.fenced.mu.Lock()
	n.fenced.plugins = slices.Clone(all)
	n.fenced.mu.Unlock()
	return n.tellGuard(ctx)
}

// pluginHost is what a plugin can ask of this node, for one app or, without
// one, for the platform.
func (n *Node) pluginHost(m manifest.Manifest, granted capability.Set, app string) plugin.Host {
	s := grant.Services{
		Caller: pluginCaller{n, app}, Web: n.pluginWeb(), Clock: pluginClock{}, Secrets: pluginSecrets(n.cfg.Plugins.Secrets),
	}
	if n.commands != nil {
		s.Commands = n.commands
	}
	if app != "" {
		s.KV, s.Publisher = pluginKV{n, app}, pluginEvents{n, app}
	}
	return grant.New(m.Capabilities, granted, s)
}

// pluginWeb is one client for all plugins: how many exchanges run at a time is
// bounded for all of them together.
func (n *Node) pluginWeb() grant.Web {
	n.webOnce.Do(func() { n.web = web.New(web.Options{}) })
	return n.web
}

// pluginKV is the bucket of an app.
type pluginKV struct {
	n   *Node
	app string
}

func (p pluginKV) Get(ctx context.Context, key string) ([]byte, error) {
	b, err := p.n.Bucket(ctx, p.app)
	if err != nil {
		return nil, err
	}
	e, err := b.Get(ctx, key)
	return e.Value, err
}

func (p pluginKV) Put(ctx context.Context, key string, value []byte) error {
	b, err := p.n.Bucket(ctx, p.app)
	if err == nil {
		_, err = b.Put(ctx, key, value)
	}
	return err
}

func (p pluginKV) Delete(ctx context.Context, key string) error {
	b, err := p.n.Bucket(ctx, p.app)
	if err == nil {
		err = b.Delete(ctx, key)
	}
	return err
}

func (p pluginKV) Keys(ctx context.Context, prefix string) ([]string, error) {
	b, err := p.n.Bucket(ctx, p.app)
	if err != nil {
		return nil, err
	}
	return b.Keys(ctx, prefix)
}

// pluginEvents publishes as an app.
type pluginEvents struct {
	n   *Node
	app string
}

func (p pluginEvents) Publish(ctx context.Context, subject string, data []byte) error {
	for _, a := range p.n.cfg.Apps {
		if a.Name == p.app && a.Events != nil {
			return a.Events.Publish(ctx, p.app, subject, data)
		}
	}
	return fmt.Errorf("%w: app %s has no events on this node", pluginapi.ErrInvalid, p.app)
}

// pluginCaller calls as an app.
type pluginCaller struct {
	n   *Node
	app string
}

func (p pluginCaller) Call(ctx context.Context, app, method string, data []byte) ([]byte, error) {
	return p.n.Call(ctx, rpc.Call{From: p.app, App: app, Target: rpc.TargetAuto, Method: method, Payload: data})
}

// pluginSecrets are files that the operator has named: they are read each time,
// so that one that was renewed counts at once.
type pluginSecrets map[string]string

// maxSecret bounds a secret in bytes.
const maxSecret = 64 << 10

func (p pluginSecrets) Secret(_ context.Context, name string) ([]byte, error) {
	path, ok := p[name]
	if !ok {
		return nil, fmt.Errorf("%w: secret %.80q is not in plugins.secrets", pluginapi.ErrKeyNotFound, name)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read secret %s: %w", name, errors.Unwrap(err))
	}
	if len(b) > maxSecret {
		return nil, fmt.Errorf("%w: secret %s has %d bytes, the most is %d", pluginapi.ErrTooLarge, name, len(b), maxSecret)
	}
	return []byte(strings.TrimRight(string(b), "\r\n")), nil
}

// pluginClock is the node's time.
type pluginClock struct{}

func (pluginClock) Now() time.Time        { return time.Now() }
func (pluginClock) Uptime() time.Duration { return time.Duration(clock.Now().UnixNano()) }
