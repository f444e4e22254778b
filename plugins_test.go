package cluster_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	cluster "github.com/ozanturksever/go-cluster"
	"github.com/ozanturksever/go-cluster/host/control"
	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/host/plugin/catalog/plan"
	"github.com/ozanturksever/go-cluster/host/plugin/manifest"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// textRuntime runs plugins whose file begins with a word that says how they
// behave: ok, or traps-on-NODE.
type textRuntime struct{ node string }

func (r textRuntime) Load(_ context.Context, a plugin.Artifact, _ plugin.Options) (plugin.Instance, error) {
	data, err := os.ReadFile(a.Path)
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(data, []byte("traps-on-"+r.node)) {
		return nil, fmt.Errorf("%w: unreachable", pluginapi.ErrPluginCrashed)
	}
	return &textPlugin{d: wire.Description{Contract: a.Contract, Name: a.Name, Version: a.Version}}, nil
}

type textPlugin struct {
	d      wire.Description
	calls  atomic.Uint64
	closed atomic.Bool
}

func (p *textPlugin) Call(_ context.Context, op string, _ []byte) ([]byte, error) {
	p.calls.Add(1)
	if p.closed.Load() {
		return nil, errors.New("called after its end")
	}
	return p.d.Append(nil), nil
}

func (p *textPlugin) Do(_ context.Context, fn func(*plugin.Guest) error) error {
	return fn(&plugin.Guest{Call: p.Call})
}

func (p *textPlugin) Stats() plugin.Stats {
	return plugin.Stats{Calls: p.calls.Load(), Guests: 1, Memory: 1 << 20, Restarts: 1, Errors: 1}
}

func (p *textPlugin) Close(context.Context) error { p.closed.Store(true); return nil }

// pluginKeys are a pair of keys to sign plugins with.
type pluginKeys struct{ public, seed string }

func newPluginKeys(t testing.TB) (k pluginKeys) {
	t.Helper()
	var err error
	k.public, k.seed, err = manifest.NewKey()
	must(t, err)
	return k
}

// on lets plugins that these keys have signed run on a node.
func (k pluginKeys) on(node string) cluster.PlatformOption {
	return cluster.WithPlugins(cluster.PluginsConfig{
		Trust: []string{k.public}, Rules: plan.Rules{Trial: 100 * time.Millisecond, Watch: 100 * time.Millisecond},
		Runtimes: map[manifest.Runtime]plugin.Runtime{manifest.WASM: textRuntime{node}},
	})
}

// pack makes a package of some size.
func (k pluginKeys) pack(t testing.TB, version, behaves string, size int) []byte {
	t.Helper()
	dir := t.TempDir()
	file := append([]byte(behaves+" "), make([]byte, size)...)
	r := rand.NewChaCha8([32]byte{1})
	_, err := r.Read(file[len(behaves)+1:])
	must(t, err)
	text := fmt.Sprintf("name: greet\nversion: %s\ncontract: hook\nruntime: wasm\nabi: 1\nfile: greet.wasm\n", version)
	must(t, errors.Join(os.WriteFile(filepath.Join(dir, manifest.FileName), []byte(text), 0o600), os.WriteFile(filepath.Join(dir, "greet.wasm"), file, 0o600)))
	p, err := manifest.Open(dir)
	must(t, err)
	defer p.Close()
	sig, err := manifest.Sign(p.Manifest, k.seed)
	must(t, err)
	p.Signature = &sig
	var out bytes.Buffer
	must(t, p.Write(&out))
	return out.Bytes()
}

// commandLine asks a platform with the login that a node has written for it, and
// that node first.
type commandLine struct {
	platform, own string
	conn          *nats.Conn
}

func newCommandLine(t testing.TB, platform, dataDir string) *control.Client {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dataDir, "cli.json"))
	must(t, err)
	var f struct {
		URLs        []string `json:"urls"`
		User        string   `json:"user"`
		Password    string   `json:"password"`
		InboxPrefix string   `json:"inbox_prefix"`
	}
	must(t, json.Unmarshal(text, &f))
	conn, err := nats.Connect(strings.Join(f.URLs, ","), nats.UserInfo(f.User, f.Password), nats.CustomInboxPrefix(f.InboxPrefix))
	must(t, err)
	t.Cleanup(conn.Close)
	return control.NewClient(commandLine{platform, filepath.Base(dataDir), conn})
}

// Request implements control.Requester.
func (c commandLine) Request(ctx context.Context, id, verb string, data []byte) ([]byte, error) {
	if id == "" {
		id = c.own
	}
	subject := "gc." + c.platform + ".ctl.node." + id + "." + verb
	m, err := c.conn.RequestWithContext(ctx, subject, data)
	if err != nil {
		return nil, err
	}
	return m.Data, nil
}

// active says whether exactly these nodes have the version active, and nothing is
// going on.
func active(p control.Plugin, version string, nodes ...string) bool {
	var has []string
	for _, n := range p.Nodes {
		for _, v := range n.Versions {
			if v.Version == version && v.Stage == "active" {
				has = append(has, n.Node)
			}
		}
	}
	return p.Rollout == nil && p.Current == version && slices.Equal(has, nodes)
}

// TestPluginsOnAllNodes: what the command line installs comes to all nodes, with
// its next versions; a bad one goes back; a node that comes late gets everything;
// and nothing is left after its removal.
func TestPluginsOnAllNodes(t *testing.T) {
	t.Parallel()
	keys, base := newPluginKeys(t), t.TempDir()
	clients := pluginVoters(t, keys, base)
	ask := newCommandLine(t, "plugged", filepath.Join(base, "v1"))
	ctx := within(t, 4*patience)
	becomes := func(version string, nodes ...string) (p control.Plugin) {
		t.Helper()
		eventually(t, fmt.Sprintf("greet %s is active on %v", version, nodes), func() bool {
			var err error
			p, err = ask.Plugin(ctx, "greet")
			return err == nil && active(p, version, nodes...)
		})
		return p
	}
	install := func(pkg []byte, upgrade bool) error {
		_, err := ask.InstallPlugin(ctx, bytes.NewReader(pkg), int64(len(pkg)), upgrade)
		return err
	}
	must(t, install(keys.pack(t, "1.0.0", "ok", 3<<20), false)) // in seven pieces
	becomes("1.0.0", "v1", "v2", "v3")
	must(t, install(keys.pack(t, "1.1.0", "ok", 1000), true))
	becomes("1.1.0", "v1", "v2", "v3")

	// One that a node cannot load, one that nobody trusts.
	must(t, install(keys.pack(t, "1.2.0", "traps-on-v3", 1000), true))
	eventually(t, "it is rolled back", func() bool {
		p, err := ask.Plugin(ctx, "greet")
		return err == nil && p.Last != nil && !p.Last.Done && strings.Contains(p.Last.Reason, "v3")
	})
	becomes("1.1.0", "v1", "v2", "v3")
	wantErr(t, install(newPluginKeys(t).pack(t, "1.3.0", "ok", 1000), true), cluster.ErrUnauthorized, "plugins.trust")
	wantErr(t, install(keys.pack(t, "1.3.0", "ok", 1000), false), cluster.ErrKeyExists)

	late := newNode(t, "plugged", "w1", "", cluster.WithDataDir(filepath.Join(base, "w1")), cluster.WithLeaseTTL(6*time.Second),
		keys.on("w1"), cluster.WithJoin(cluster.JoinConfig{Servers: clients, Secret: joinSecret}))
	late.start()
	becomes("1.1.0", "v1", "v2", "v3", "w1")
	checks, err := ask.VerifyPlugin(ctx, "greet")
	must(t, err)
	for _, c := range checks {
		if !c.OK || c.Signer != keys.public {
			t.Errorf("%+v", c)
		}
	}
	if len(checks) != 8 { // two versions on four nodes
		t.Errorf("%d checks: %+v", len(checks), checks)
	}
	if _, _, err := ask.PluginLogs(ctx, "greet"); err != nil {
		t.Error(err)
	}
	_, err = ask.ChangePlugin(ctx, "greet", control.PluginRollback)
	must(t, err)
	becomes("1.0.0", "v1", "v2", "v3", "w1")

	_, err = ask.ChangePlugin(ctx, "greet", control.PluginRemove)
	must(t, err)
	eventually(t, "nothing is left", func() bool {
		list, err := ask.Plugins(ctx)
		if err != nil || len(list) > 0 {
			return false
		}
		for _, n := range []string{"v1", "v2", "v3", "w1"} {
			if exists(filepath.Join(base, n, "plugins", "packages", "*")) {
				return false
			}
		}
		store, err := late.JetStream().ObjectStore(ctx, "gc_blobs_plugged")
		if err != nil {
			return false
		}
		blobs, _ := store.List(ctx)
		return len(blobs) == 0
	})
	_, err = ask.Plugin(ctx, "greet")
	wantErr(t, err, cluster.ErrPluginNotFound)
	eventually(t, "all of it is in the audit log", func() bool {
		entries, err := late.Audit().Query(ctx, cluster.AuditFilter{Category: "plugin"})
		if err != nil {
			return false
		}
		var actions []string
		for _, e := range entries {
			actions = append(actions, e.Action)
		}
		return !slices.ContainsFunc([]string{"installed", "upgraded", "rollout_done", "rolled_back", "rollback_asked", "removed"}, func(a string) bool { return !slices.Contains(actions, a) })
	})
}

// pluginVoters starts three nodes with servers of their own, and returns the
// addresses of their clients.
func pluginVoters(t *testing.T, keys pluginKeys, base string) (clients []string) {
	t.Helper()
	routes, ports := freePorts(t, 3), freePorts(t, 3)
	ids := []string{"v1", "v2", "v3"}
	var nodes []*node
	for i, id := range ids {
		c := &cluster.EmbeddedCluster{Listen: fmt.Sprintf("127.0.0.1:%d", routes[i])}
		for k, peer := range ids {
			if k != i {
				c.Peers = append(c.Peers, cluster.EmbeddedPeer{Name: peer, Routes: fmt.Sprintf("127.0.0.1:%d", routes[k])})
			}
		}
		clients = append(clients, fmt.Sprintf("127.0.0.1:%d", ports[i]))
		n := newNode(t, "plugged", id, "", cluster.WithDataDir(filepath.Join(base, id)), cluster.WithLeaseTTL(6*time.Second), keys.on(id),
			cluster.WithEmbedded(cluster.EmbeddedConfig{Cluster: c, Secret: joinSecret, Listen: clients[i]}))
		nodes = append(nodes, n.begin())
	}
	for _, n := range nodes {
		n.knows(ids...)
	}
	return clients
}

// TestPluginOptions: what is wrong with them is told before anything starts.
func TestPluginOptions(t *testing.T) {
	t.Parallel()
	_, err := cluster.NewPlatform("p", "n1", "nats://127.0.0.1:1", cluster.WithPlugins(cluster.PluginsConfig{
		Trust: []string{"SAAAA"}, Grants: map[string][]string{"a.b": nil, "greet": {"everything"}},
	}))
	wantErr(t, err, cluster.ErrInvalid, "plugins need a data directory", "plugins.trust", "plugins.grants", "plugins.grants, for greet")
}

// TestPluginsCancelledStart: whenever its context ends, a node with plugins ends
// cleanly and leaves no goroutine behind.
func TestPluginsCancelledStart(t *testing.T) {
	keys, dir := newPluginKeys(t), filepath.Join(t.TempDir(), "data")
	before := len(running())
	for _, ms := range []int{0, 40, 160, 320, 640, 1280} {
		p, err := cluster.NewPlatform("earlyplug", "n1", "", cluster.WithDataDir(dir), keys.on("n1"))
		must(t, err)
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(ms)*time.Millisecond)
		if err := p.Run(ctx); err != nil {
			t.Errorf("cancelled after %d ms: %v", ms, err)
		}
		cancel()
		goroutines(t, before)
	}
}

// TestPluginsAskAnyNode: what any node may answer is answered by one that has
// plugins, and a rollout does not wait for one that has none.
func TestPluginsAskAnyNode(t *testing.T) {
	t.Parallel()
	keys, url := newPluginKeys(t), startNATS(t).ClientURL()
	with := newNode(t, "mixed", "n1", url, cluster.WithDataDir(filepath.Join(t.TempDir(), "n1")), keys.on("n1")).start()
	without := newNode(t, "mixed", "n2", url).start()
	with.knows("n1", "n2")
	ask, ctx := control.NewClient(without), within(t, patience)
	pkg := keys.pack(t, "1.0.0", "ok", 100)
	_, err := ask.InstallPlugin(ctx, bytes.NewReader(pkg), int64(len(pkg)), false)
	must(t, err)
	eventually(t, "it is active on the node that has plugins", func() bool {
		p, err := ask.Plugin(ctx, "greet")
		must(t, err)
		return active(p, "1.0.0", "n1")
	})
}
