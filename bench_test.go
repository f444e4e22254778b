package cluster_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	cluster "github.com/ozanturksever/go-cluster"
)

// quantile returns a quantile of what was measured, in milliseconds.
func quantile(all []time.Duration, q float64) float64 {
	slices.Sort(all)
	return float64(all[min(len(all)-1, int(q*float64(len(all))))].Microseconds()) / 1000
}

func reportMS(b *testing.B, all []time.Duration) {
	b.ReportMetric(0, "ns/op") // says nothing here
	b.ReportMetric(quantile(all, 0.5), "p50-ms")
	b.ReportMetric(quantile(all, 0.99), "p99-ms")
	b.ReportMetric(float64(len(all)), "rounds")
}

// BenchmarkStepDown is the time from the call of StepDown to OnActive on
// another node: three nodes in one process, three replicas, every write synced.
func BenchmarkStepDown(b *testing.B) {
	const rounds = 100
	active := make(chan time.Time, 10)
	var nodes []*node
	for _, n := range trio(b, "bench") {
		a := n.app(cluster.NewApp("web"))
		a.OnActive(func(context.Context) error { active <- time.Now(); return nil })
		nodes = append(nodes, n.begin())
	}
	<-active
	for _, n := range nodes {
		n.knows("n1", "n2", "n3")
	}
	settled(b, nodes)
	var took []time.Duration
	for range rounds {
		leader := leaderOf(b, "web", nodes...)
		begun := time.Now()
		must(b, leader.election("web").StepDown(within(b, patience)))
		took = append(took, (<-active).Sub(begun))
	}
	reportMS(b, took)
}

// settled waits until all replicas of the streams are up to date and their
// leaders are where they belong.
func settled(b *testing.B, nodes []*node) {
	b.Helper()
	eventually(b, "the streams have settled", func() bool {
		for _, name := range []string{"gc_sessions_bench", "gc_records_bench"} {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			s, err := nodes[0].JetStream().Stream(ctx, name)
			cancel()
			if err != nil || s.CachedInfo().Cluster == nil || len(s.CachedInfo().Cluster.Replicas) < 2 {
				return false
			}
			for _, r := range s.CachedInfo().Cluster.Replicas {
				if !r.Current {
					return false
				}
			}
		}
		return true
	})
}

// BenchmarkFailover200 is the time from the end of a node that leads 200 apps,
// its session given back as its guard would, until each of them is active on
// another node: from the session's release to OnActive.
func BenchmarkFailover200(b *testing.B) {
	const apps = 200
	type act struct {
		node string
		at   time.Time
	}
	active := make(chan act, 4*apps)
	nodes := trio(b, "bench")
	for _, n := range nodes {
		for i := range apps {
			a := n.app(cluster.NewApp(fmt.Sprintf("app%d", i)))
			a.OnActive(func(context.Context) error { active <- act{n.NodeID(), time.Now()}; return nil })
		}
	}
	for _, n := range nodes {
		n.begin()
	}
	led := map[string]int{}
	for range apps {
		led[(<-active).node]++
	}
	for _, n := range nodes {
		n.knows("n1", "n2", "n3")
	}
	settled(b, nodes)
	most := slices.MaxFunc(nodes, func(x, y *node) int { return led[x.NodeID()] - led[y.NodeID()] })
	want := led[most.NodeID()]
	begun := time.Now()
	release(b, nodes, most)
	var took []time.Duration
	for len(took) < want { // the node itself joins again, and may lead some of them anew
		took = append(took, (<-active).at.Sub(begun))
	}
	reportMS(b, took)
	b.ReportMetric(float64(want), "apps")
}

// BenchmarkIdle counts the messages that an idle platform of 3, 20 and 100
// nodes sends and gets, a second and node: flat means linear traffic.
func BenchmarkIdle(b *testing.B) {
	for _, size := range []int{3, 20, 100} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s := startNATS(b, func(o *server.Options) { o.SyncAlways = true })
			var nodes []*node
			for i := range size {
				n := newNode(b, "bench", fmt.Sprintf("n%03d", i), s.ClientURL(), cluster.WithLeaseTTL(3*time.Second), cluster.WithLogger(nil))
				n.app(cluster.NewApp("web"))
				nodes = append(nodes, n.begin())
			}
			for _, n := range nodes {
				eventually(b, "all are members", func() bool { return len(n.Membership().Members()) == size })
			}
			const seconds = 10
			before := traffic(b, s)
			<-time.After(seconds * time.Second)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(traffic(b, s)-before)/seconds/float64(size), "msgs/s/node")
		})
	}
}

func traffic(b *testing.B, s *server.Server) int64 {
	v, err := s.Varz(nil)
	must(b, err)
	return v.InMsgs + v.OutMsgs
}

// trio returns three nodes of one platform with a cluster of embedded servers,
// not started.
func trio(b testing.TB, platform string) (nodes []*node) {
	b.Helper()
	ids := []string{"n1", "n2", "n3"}
	ports := freePorts(b, 3)
	routes := func(i int) string { return fmt.Sprintf("127.0.0.1:%d", ports[i]) }
	for i, id := range ids {
		c := &cluster.EmbeddedCluster{Listen: routes(i)}
		for k, other := range ids {
			if k != i {
				c.Peers = append(c.Peers, cluster.EmbeddedPeer{Name: other, Routes: routes(k)})
			}
		}
		nodes = append(nodes, newNode(b, platform, id, "", cluster.WithDataDir(b.TempDir()),
			cluster.WithEmbedded(cluster.EmbeddedConfig{Secret: "a secret of the benchmark", Cluster: c})))
	}
	return nodes
}

// release gives the session of a node back, as its guard does when the node is
// dead.
func release(b *testing.B, nodes []*node, dead *node) {
	b.Helper()
	by := other(nodes, dead)
	ctx := within(b, patience)
	for {
		s, err := by.JetStream().Stream(ctx, "gc_sessions_bench")
		must(b, err)
		m, err := s.GetLastMsgForSubject(ctx, "gc.bench.s."+dead.NodeID())
		must(b, err)
		var rec map[string]any
		must(b, json.Unmarshal(m.Data, &rec))
		rec["state"], rec["by"] = "released", "the benchmark"
		body, err := json.Marshal(rec)
		must(b, err)
		msg := &nats.Msg{Subject: m.Subject, Data: body, Header: nats.Header{"Nats-Expected-Last-Subject-Sequence": {fmt.Sprint(m.Sequence)}}}
		if _, err := by.JetStream().PublishMsg(ctx, msg); err == nil {
			must(b, by.NATS().Publish("gc.bench.hint.gone", []byte(dead.NodeID())))
			return
		}
	}
}
