package embedded

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ozanturksever/go-cluster/host/bus"
)

func names(t *testing.T) bus.Names {
	t.Helper()
	n, err := bus.NewNames(platform)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func byName(t *testing.T, all []*running, name string) *running {
	t.Helper()
	i := slices.IndexFunc(all, func(r *running) bool { return r.cfg.Name == name })
	if i < 0 {
		t.Fatalf("no server is named %q", name)
	}
	return all[i]
}

func leader(t *testing.T, s jetstream.Stream) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	info, err := s.Info(ctx)
	if err != nil || info.Cluster == nil {
		return ""
	}
	return info.Cluster.Leader
}

// ledBy counts the Raft groups that a server leads.
func ledBy(r *running) (n int) {
	for g := range raftGroups(r.running.Load().nats) {
		if g.led() {
			n++
		}
	}
	return n
}

// Three servers form a cluster of three from the start, a stream with three
// replicas is written from each, a planned stop hands everything over first, and
// a peer that merely restarts does not disturb those that lead.
func TestCluster(t *testing.T) {
	cfgs := voters(t, 3)
	all := runAll(t, cfgs)
	for _, r := range all {
		st := r.State()
		if !st.RaftTuned || st.RaftReason != "" {
			t.Errorf("%s: raft is not tuned: %s", r.cfg.Name, st.RaftReason)
		}
		meta := (*r.running.Load().nats.Raftz(&server.RaftzOptions{}))[systemAccount][metaGroup]
		if meta.Size != 3 || meta.QuorumNeeded != 2 {
			t.Errorf("%s: the meta group has %d voters, %d must agree", r.cfg.Name, meta.Size, meta.QuorumNeeded)
		}
	}
	records := names(t).Records()
	nc := dial(t, all[0], bus.RoleNode, "a")
	stream := makeStream(t, nc, records, 3)
	var seq uint64
	for _, r := range all {
		var err error
		if seq, err = put(dial(t, r, bus.RoleNode, r.cfg.Name), records.Subject+".x", seq, 5*time.Second); err != nil {
			t.Fatalf("write through %s: %v", r.cfg.Name, err)
		}
	}

	eventually(t, "all are up to date", func() bool {
		return !slices.ContainsFunc(all, func(r *running) bool { return !healthy(r.State(), 3) })
	})
	was := byName(t, all, leader(t, stream))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := was.StepDown(ctx); err != nil {
		t.Fatal(err)
	}
	if n := ledBy(was); n != 0 {
		t.Errorf("%s still leads %d groups after it stepped down", was.cfg.Name, n)
	}
	restartUndisturbed(t, all, was, stream)
}

// The first server of a new cluster waits for the others: it counts on all
// voters from the start, so that no two of them can become a cluster of two.
func TestFirstOfThreeWaits(t *testing.T) {
	a := run(t, voters(t, 3)[0])
	st := a.State()
	if st.Voters != 3 || st.MetaLeader != "" || !slices.Equal(st.NotCurrent, []string{"a", "b", "c"}) {
		t.Errorf("its state is %+v", st)
	}
	meta := (*a.running.Load().nats.Raftz(&server.RaftzOptions{}))[systemAccount][metaGroup]
	if meta.Size != 3 || meta.QuorumNeeded != 2 {
		t.Errorf("the meta group has %d voters, %d must agree", meta.Size, meta.QuorumNeeded)
	}
}

// Who hands over before it ends leaves no group without a leader.
func TestRunAndHandOver(t *testing.T) {
	cfgs := voters(t, 3)
	var all []*running
	for _, c := range cfgs[:2] {
		all = append(all, run(t, c))
	}
	s, err := New(cfgs[2])
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- s.RunAndHandOver(ctx, patience) }()
	up := func(all []*running) bool {
		return !slices.ContainsFunc(all, func(r *running) bool { return !healthy(r.State(), 3) })
	}
	eventually(t, "the cluster has formed", func() bool { return up(all) && healthy(s.State(), 3) })
	eventually(t, "the third server leads", func() bool {
		for _, r := range all {
			step, done := context.WithTimeout(t.Context(), time.Second)
			err := r.StepDown(step)
			done()
			if err != nil {
				return false
			}
		}
		return s.State().MetaLeader == "c"
	})
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if a, b := all[0].State().MetaLeader, all[1].State().MetaLeader; a != "a" && b != "b" {
		t.Errorf("nobody leads after the hand-over: a follows %q, b %q", a, b)
	}
}

// restartUndisturbed stops and starts a server that leads nothing.
func restartUndisturbed(t *testing.T, all []*running, r *running, stream jetstream.Stream) {
	t.Helper()
	others := slices.DeleteFunc(slices.Clone(all), func(o *running) bool { return o == r })
	nc := dial(t, others[0], bus.RoleNode, "a")
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if stream, err = js.Stream(t.Context(), stream.CachedInfo().Config.Name); err != nil {
		t.Fatal(err)
	}
	before := terms(others)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both survivors have noticed", func() bool {
		return !slices.ContainsFunc(others, func(o *running) bool { return o.running.Load().deaths.Load() != 1 })
	})
	for _, o := range others {
		if n := o.running.Load().stood.Load(); n != 0 {
			t.Errorf("%s sent %d raft nodes to election, though no leader was lost", o.cfg.Name, n)
		}
	}
	if after := terms(others); !slices.Equal(before, after) {
		t.Errorf("the leaders were disturbed by a stop: %v, then %v", before, after)
	}
	again := run(t, r.cfg)
	eventually(t, "the restarted server is up to date", func() bool {
		return healthy(again.State(), 3) && healthy(others[0].State(), 3) && healthy(others[1].State(), 3)
	})
	if leader(t, stream) == "" {
		t.Error("the stream has no leader")
	}
}

func terms(all []*running) (list []uint64) {
	for _, r := range all {
		var sum uint64
		for g := range raftGroups(r.running.Load().nats) {
			sum += g.node.Term()
		}
		list = append(list, sum)
	}
	return list
}

// Without a server that could take over, a planned stop says so.
func TestStepDownAlone(t *testing.T) {
	one := run(t, single(t))
	if err := one.StepDown(t.Context()); err != nil {
		t.Errorf("a single server: %v", err)
	}
	if err := one.stop(); err != nil {
		t.Fatal(err)
	}
	if err := one.StepDown(t.Context()); !errors.Is(err, errNotRunning) {
		t.Errorf("a server that does not run: %v", err)
	}

	two := runAll(t, voters(t, 2))
	stay, leave := two[0], two[1]
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := leave.StepDown(ctx); err != nil {
		t.Fatal(err)
	}
	if err := leave.stop(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := stay.StepDown(ctx); err == nil || !strings.Contains(err.Error(), metaGroup) || ctx.Err() != nil {
		t.Errorf("one that has nobody to take over: %v, want the group, and at once", err)
	}
}

// Run leaves nothing behind: no goroutine, no listener, a store that opens again
// with what was written.
func TestRunLeavesNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	cfg := single(t)
	var seq uint64
	for range 2 {
		r := run(t, cfg)
		nc := dial(t, r, bus.RoleNode, "a", nats.InProcessServer(r))
		makeStream(t, nc, names(t).Records(), 1)
		var err error
		if seq, err = put(nc, names(t).Records().Subject+".x", seq, 5*time.Second); err != nil {
			t.Fatal(err)
		}
		nc.Close()
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		if st := r.State(); st.Running {
			t.Errorf("after Run the state is %+v", st)
		}
	}
	if seq != 2 {
		t.Errorf("the second server wrote sequence %d, want 2: the store was not the same", seq)
	}
	all := runAll(t, voters(t, 3))
	for _, r := range all {
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all goroutines have ended", func() bool { return runtime.NumGoroutine() <= before })
}

func TestRunOnce(t *testing.T) {
	r := run(t, single(t))
	if err := r.Run(t.Context()); err == nil {
		t.Error("a second Run of the same server was accepted")
	}
}

func TestNotRunning(t *testing.T) {
	s, err := New(single(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.InProcessConn(); err == nil {
		t.Error("a server that does not run gave a connection")
	}
	if u := s.ClientURL(); u != "" {
		t.Errorf("a server that does not run is at %q", u)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(ctx); err != nil {
		t.Errorf("a context that has ended before the start: %v", err)
	}
}

// A server that knows the addresses but not the secret gets no route and no
// place in the mesh, also on loopback.
func TestClusterNeedsTheSecret(t *testing.T) {
	cfgs := voters(t, 2)
	var refused lines
	cfgs[0].Logger = refused.logger(slog.LevelDebug)
	cfgs[1].Secret = "another secret"
	a, b := run(t, cfgs[0]), run(t, cfgs[1])
	eventually(t, "it was refused on routes and mesh", func() bool {
		return refused.with("Authentication Failure") > 0 && refused.with("greet peer") > 0
	})
	for _, r := range []*running{a, b} {
		if n := r.running.Load().nats.NumRoutes(); n != 0 || len(r.State().PeersUp) != 0 {
			t.Errorf("%s has %d routes, connected are %v", r.cfg.Name, n, r.State().PeersUp)
		}
	}
}
