package cluster_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	cluster "github.com/ozanturksever/go-cluster"
	"github.com/ozanturksever/go-cluster/host/control"
)

// member notes joins and leaves that a node is told.
func (j *journal) members(n *node, app *cluster.App) {
	app.OnMemberJoin(func(_ context.Context, m cluster.Member) error {
		j.add(n.NodeID(), "join "+m.NodeID, 0)
		return nil
	})
	app.OnMemberLeave(func(_ context.Context, m cluster.Member) error {
		j.add(n.NodeID(), "leave "+m.NodeID, 0)
		return nil
	})
}

// whats returns what a node noted, in order.
func (j *journal) whats(id string) (out []string) {
	for _, d := range j.all() {
		if d.node == id {
			out = append(out, d.what)
		}
	}
	return out
}

// TestJoinAndLeave: each node is told each other node's join and leave once,
// also those of a node that is lost and comes back (defect 22); a member has
// everything that is known of it (defect 26).
func TestJoinAndLeave(t *testing.T) {
	t.Parallel()
	const ttl = 2 * time.Second
	s := startNATS(t)
	var j journal
	begun := time.Now()
	nodes := map[string]*node{}
	links := map[string]*proxy{}
	for _, id := range []string{"n1", "n2", "n3"} {
		links[id] = startProxy(t, s)
		n := newNode(t, "members", id, links[id].url(), cluster.WithLeaseTTL(ttl),
			cluster.WithAddress(id+".example:80"), cluster.Labels(map[string]string{"zone": "z-" + id, "tier": "gold"}))
		j.members(n, n.app(cluster.NewApp("web", cluster.Spread())))
		n.app(cluster.NewApp("only-" + id))
		nodes[id] = n.start()
	}
	for _, n := range nodes {
		n.knows("n1", "n2", "n3")
	}
	m, err := nodes["n1"].Membership().Member("n3")
	must(t, err)
	if m.NodeID != "n3" || m.Platform != "members" || m.Address != "n3.example:80" || !m.IsHealthy ||
		!slices.Equal(m.Apps, []string{"only-n3", "web"}) || !maps.Equal(m.Labels, map[string]string{"zone": "z-n3", "tier": "gold"}) ||
		m.JoinedAt.Before(begun.Add(-time.Second)) || m.JoinedAt.After(time.Now().Add(time.Second)) || m.LastSeen.Before(m.JoinedAt.Add(-time.Second)) {
		t.Errorf("member %+v", m)
	}
	_, err = nodes["n1"].Membership().Member("n4")
	wantErr(t, err, cluster.ErrNodeNotFound, "n4")

	cut := time.Now()
	links["n3"].cut()
	for _, id := range []string{"n1", "n2"} {
		nodes[id].knows("n1", "n2")
	}
	if d := time.Since(cut); d < ttl*3/4 {
		t.Errorf("n3 left %v after its link was cut: nobody can know that it is gone before its lease of %v", d, ttl)
	}
	links["n3"].heal()
	for _, n := range nodes {
		n.knows("n1", "n2", "n3")
	}
	for id, want := range map[string][]string{
		"n1": {"join n2", "join n3", "leave n3", "join n3"},
		"n2": {"join n1", "join n3", "leave n3", "join n3"},
	} {
		eventually(t, "all is told to "+id, func() bool { return len(j.whats(id)) >= len(want) })
		if got := j.whats(id); !slices.Equal(got, want) {
			t.Errorf("%s was told %v, want %v", id, got, want)
		}
	}
	must(t, nodes["n3"].stop())
	nodes["n1"].knows("n1", "n2")
	eventually(t, "n1 is told that n3 left", func() bool { w := j.whats("n1"); return w[len(w)-1] == "leave n3" && len(w) == 5 })
	if _, err := nodes["n1"].Membership().Member("n3"); err == nil {
		t.Error("n3 is still a member")
	}
}

// TestLabels: any node can label any node that was ever seen; watchers are told
// of changes only; labels and cordon outlive a restart.
func TestLabels(t *testing.T) {
	t.Parallel()
	s := startNATS(t)
	var mu sync.Mutex
	var told []string
	n1 := newNode(t, "labels", "n1", s.ClientURL())
	n1.WatchLabels(func(id string, labels map[string]string) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, fmt.Sprint(id, labels))
		labels["mine"] = "this map is the watcher's own"
	})
	start := func(labels map[string]string) *node {
		n := newNode(t, "labels", "n2", s.ClientURL(), cluster.Labels(labels))
		n.app(cluster.NewApp("web"))
		return n.start()
	}
	n1.app(cluster.NewApp("other"))
	n1.start()
	n2 := start(map[string]string{"disk": "ssd"})
	n1.knows("n1", "n2")
	ctx := within(t, patience)
	must(t, n2.SetLabels(ctx, map[string]string{"zone": "a"}))
	must(t, n1.UpdateNodeLabels(ctx, "n2", map[string]string{"zone": "b", "example.com/rack": ""}))
	must(t, n1.UpdateNodeLabels(ctx, "n2", map[string]string{"zone": "b"})) // no change
	must(t, n1.RemoveLabel(ctx, "n2", "disk", "never-there"))
	want := map[string]string{"zone": "b", "example.com/rack": ""}
	labels := func(n *node) map[string]string {
		m, err := n.Membership().Member("n2")
		if err != nil {
			return nil
		}
		return m.Labels
	}
	for _, n := range []*node{n1, n2} {
		eventually(t, "the labels are known", func() bool { return maps.Equal(labels(n), want) })
	}
	mu.Lock()
	if want := []string{
		"n2map[disk:ssd zone:a]", "n2map[disk:ssd example.com/rack: zone:b]", "n2map[example.com/rack: zone:b]",
	}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
	told = nil
	mu.Unlock()

	for name, err := range map[string]error{
		"unknown node": n1.UpdateNodeLabels(ctx, "n9", map[string]string{"a": "b"}),
		"cordon":       n1.SetCordon(ctx, "n9", true),
	} {
		t.Run(name, func(t *testing.T) { wantErr(t, err, cluster.ErrNodeNotFound, "n9") })
	}
	wantErr(t, n1.SetLabels(ctx, map[string]string{"a b": "c"}), cluster.ErrInvalid, "a b")
	wantErr(t, n1.UpdateNodeLabels(ctx, "n 2", nil), cluster.ErrInvalid, "n 2")
	done, cancel := context.WithCancel(ctx)
	cancel()
	wantErr(t, n1.UpdateNodeLabels(done, "n2", map[string]string{"late": "yes"}), context.Canceled)

	n1.CordonNode("n2")
	eventually(t, "n2 is cordoned", func() bool { return cordoned(n1, "n2") })
	must(t, n2.stop())
	must(t, n1.UpdateNodeLabels(ctx, "n2", map[string]string{"away": "yes"})) // it was seen, so it can be labelled
	n2 = start(nil)
	want = map[string]string{"zone": "b", "example.com/rack": "", "away": "yes"}
	eventually(t, "the labels outlive the restart", func() bool { l := labels(n1); delete(l, "late"); return maps.Equal(l, want) })

	// n2 is the only node with the app: nobody leads until it is free again.
	e := n2.election("web")
	wantErr(t, e.WaitForLeadership(within(t, 300*time.Millisecond)), cluster.ErrTimeout)
	if !cordoned(n2, "n2") {
		t.Error("the cordon is lost by a restart")
	}
	n1.UncordonNode("n2")
	n2.leads("web")
	must(t, n2.SetCordon(ctx, "n2", true))
	if !e.IsLeader() {
		t.Error("a cordon takes leadership away: it may only keep a node from taking it")
	}
	must(t, n1.stop())
	wantErr(t, n1.SetLabels(ctx, map[string]string{"a": "b"}), cluster.ErrShuttingDown)
	wantErr(t, newNode(t, "labels", "n3", s.ClientURL()).SetLabels(ctx, nil), cluster.ErrInvalid, "Run")
}

func cordoned(n *node, id string) bool {
	nodes, err := control.NewClient(n).Nodes(within(n.t, patience))
	if err != nil {
		return false
	}
	i := slices.IndexFunc(nodes, func(c control.Node) bool { return c.NodeID == id })
	return i >= 0 && nodes[i].Cordoned
}

// TestConcurrentLabels: edits of one node from everywhere at once are merged,
// none is lost (defect 27).
func TestConcurrentLabels(t *testing.T) {
	t.Parallel()
	nodes := pair(t, "merge", startNATS(t).ClientURL(), func(n *node) { n.app(cluster.NewApp("web")) })
	var wg sync.WaitGroup
	want := map[string]string{}
	for i := range 20 {
		key := fmt.Sprintf("k%d", i)
		want[key] = "v"
		wg.Go(func() {
			if err := nodes[i%2].UpdateNodeLabels(within(t, patience), "n1", map[string]string{key: "v"}); err != nil {
				t.Errorf("%s: %v", key, err)
			}
		})
	}
	wg.Wait()
	for _, n := range nodes {
		eventually(t, "all labels are there", func() bool {
			m, err := n.Membership().Member("n1")
			return err == nil && maps.Equal(m.Labels, want)
		})
	}
}

// TestTwins: a second node with the id of a living one is refused, with a data
// directory or without; the first is not disturbed (defect 23).
func TestTwins(t *testing.T) {
	t.Parallel()
	s := startNATS(t)
	var j journal
	first := newNode(t, "twins", "n1", s.ClientURL(), cluster.WithLeaseTTL(3*time.Second), cluster.WithDataDir(t.TempDir()))
	e := first.app(j.app("n1", "web")).Election()
	first.start().leads("web")
	lease, err := e.Lease()
	must(t, err)
	var wg sync.WaitGroup
	for name, opts := range map[string][]cluster.PlatformOption{
		"without data": nil,
		"with data":    {cluster.WithDataDir(t.TempDir())},
	} {
		wg.Go(func() {
			twin := newNode(t, "twins", "n1", s.ClientURL(), append(opts, cluster.WithLeaseTTL(3*time.Second))...)
			twin.app(cluster.NewApp("web")).OnActive(func(context.Context) error { t.Error("the twin is active"); return nil })
			err := twin.Run(within(t, patience))
			wantErr(t, err, cluster.ErrNodeAlreadyPresent, "n1", "another id")
			if err != nil && len(err.Error()) > 300 {
				t.Errorf("%s: a long error: %v", name, err)
			}
		})
	}
	wg.Wait()
	if !lease.Valid() || e.Epoch() != lease.Epoch || len(j.all()) != 2 {
		t.Errorf("the first was disturbed: valid %v, epoch %d, was %d, %v", lease.Valid(), e.Epoch(), lease.Epoch, j.all())
	}
}

// TestRestarts: a node that left, and one that crashed and has its data
// directory, joins at once, whatever its lease; one that crashed without a data
// directory waits for the end of its old lease (defect 23).
func TestRestarts(t *testing.T) {
	t.Parallel()
	s := startNATS(t)
	const long, short = 5 * time.Minute, 2 * time.Second
	begin := func(t *testing.T, platform, dir string, ttl time.Duration) (joined time.Duration, n *node) {
		begun := time.Now()
		n = newNode(t, platform, "n1", s.ClientURL(), cluster.WithLeaseTTL(ttl), cluster.WithDataDir(dir))
		n.app(cluster.NewApp("web"))
		n.start().leads("web")
		return time.Since(begun), n
	}
	t.Run("clean", func(t *testing.T) {
		t.Parallel()
		for range 3 {
			d, n := begin(t, "clean", "", long)
			must(t, n.stop())
			if d > patience/2 {
				t.Errorf("it joined after %v", d)
			}
		}
	})
	t.Run("crash with data", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		c := startChild(t, childConfig{Platform: "data", Node: "n1", URL: s.ClientURL(), DataDir: dir, App: "web", TTL: long})
		c.says(t, "active")
		c.kill(t)
		if d, _ := begin(t, "data", dir, long); d > patience/2 {
			t.Errorf("it joined after %v", d)
		}
	})
	t.Run("crash without data", func(t *testing.T) {
		t.Parallel()
		c := startChild(t, childConfig{Platform: "nodata", Node: "n1", URL: s.ClientURL(), App: "web", TTL: short})
		c.says(t, "active")
		c.kill(t)
		if d, _ := begin(t, "nodata", "", short); d < short {
			t.Errorf("it joined after %v: the lease of the dead process is %v", d, short)
		}
	})
}

// TestOverrun: a hook that does not come back when the lease runs out ends its
// process, before another node leads.
func TestOverrun(t *testing.T) {
	t.Parallel()
	const ttl = 2 * time.Second
	s := startNATS(t)
	link := startProxy(t, s)
	c := startChild(t, childConfig{Platform: "overrun", Node: "n1", URL: link.url(), App: "web", TTL: ttl, Deaf: true})
	c.says(t, "active")
	standby := newNode(t, "overrun", "n2", s.ClientURL(), cluster.WithLeaseTTL(ttl))
	standby.app(cluster.NewApp("web"))
	standby.start()
	link.hold()
	cut := time.Now()
	if said := c.gone(t); !slices.Equal(said, []string{"passive"}) && !slices.Equal(said, []string{"ready", "passive"}) {
		t.Errorf("the child said %v, want passive and nothing more", said)
	}
	if standby.election("web").IsLeader() {
		t.Errorf("the standby leads before the process has ended, %v after the cut", time.Since(cut))
	}
	standby.leads("web")
}

// TestManyApps: a thousand apps cost no more renewals than one, and each has
// exactly one leader.
func TestManyApps(t *testing.T) {
	const apps, beat, nodes = 1000, 500 * time.Millisecond, 3
	begun := time.Now()
	s := startNATS(t)
	var all []*node
	for i := range nodes {
		n := newNode(t, "many", fmt.Sprintf("n%d", i+1), s.ClientURL(), cluster.WithHeartbeat(beat))
		for k := range apps {
			n.app(cluster.NewApp(fmt.Sprintf("app%d", k)))
		}
		all = append(all, n.start())
	}
	led := func() (by map[string]int, twice int) {
		by = map[string]int{}
		for k := range apps {
			leaders := 0
			for _, n := range all {
				if n.apps[fmt.Sprintf("app%d", k)].IsLeader() {
					leaders++
					by[n.NodeID()]++
				}
			}
			if leaders > 1 {
				twice++
			}
		}
		return by, twice
	}
	t.Logf("%v: all have joined", time.Since(begun))
	defer func() { t.Logf("%v: counted", time.Since(begun)) }()
	eventually(t, "every app is led", func() bool {
		by, _ := led()
		return by["n1"]+by["n2"]+by["n3"] == apps
	})
	renewals := func() (uint64, time.Time) {
		info, err := all[0].JetStream().Stream(within(t, patience), "gc_sessions_many")
		must(t, err)
		return info.CachedInfo().State.LastSeq, time.Now()
	}
	before, from := renewals()
	<-time.After(5 * beat)
	after, to := renewals()
	// Each node may be in the middle of a beat at both ends.
	if got, most := after-before, nodes*(uint64(to.Sub(from)/beat)+2); got > most || got < nodes {
		t.Errorf("%d renewals in %v, want %d at most: one a node a %v, whatever the number of apps", got, to.Sub(from), most, beat)
	}
	by, twice := led()
	if twice > 0 {
		t.Errorf("%d apps are led twice", twice)
	}
	t.Logf("leaders: %v", by)
}
