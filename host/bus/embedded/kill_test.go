package embedded

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ozanturksever/go-cluster/host/bus"
)

// kills of the stream's leader, and the longest that a write may wait for the
// next one. Without the mesh and the timers it is 4 to 8 s.
const (
	kills    = 5
	maxStall = 2 * time.Second
)

// G5: when the process that leads a stream is killed, another one acknowledges
// the next compare-and-set at once, each time, and no acknowledged write is lost.
func TestKillStreamLeader(t *testing.T) {
	children := map[string]*child{}
	for _, cfg := range voters(t, 3) {
		c := &child{name: cfg.Name, cfg: cfg, log: cfg.Dir + ".log"}
		startChild(t, c)
		t.Cleanup(func() { c.kill() })
		children[c.name] = c
	}
	conns := map[string]*nats.Conn{}
	for name, c := range children {
		r := c.report(t)
		if !r.State.RaftTuned {
			t.Fatalf("%s: raft is not tuned: %s", name, r.State.RaftReason)
		}
		nc, err := connect(r.URL, bus.RoleNode, name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		conns[name] = nc
	}
	records := names(t).Records()
	makeStream(t, conns["a"], records, 3)
	subject := records.Subject + ".x"
	seq, err := put(conns["a"], subject, 0, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	for i := range kills {
		victim := currentLeader(t, conns, records.Stream, children)
		survivor := "a"
		if victim == "a" {
			survivor = "b"
		}
		before := stood(t, children, victim)
		at := time.Now()
		_ = children[victim].cmd.Process.Kill()
		acked, after := firstAck(t, conns[survivor], records.Stream, subject, seq)
		stall := after.Sub(at)
		t.Logf("kill %d: leader %s, acknowledged through %s after %v", i+1, victim, survivor, stall.Round(time.Millisecond))
		if stall > maxStall {
			t.Errorf("kill %d: the write waited %v, want at most %v", i+1, stall, maxStall)
		}
		if acked <= seq {
			t.Fatalf("the record went from sequence %d to %d", seq, acked)
		}
		seq = acked
		children[victim].kill()
		if stood(t, children, victim) == before {
			t.Errorf("kill %d: no survivor sent a raft node to election: the next leader came by a timer", i+1)
		}
		startChild(t, children[victim])
		children[victim].report(t)
	}
}

// stood counts how often a survivor acted on a death.
func stood(t *testing.T, children map[string]*child, victim string) (n int64) {
	t.Helper()
	for name, c := range children {
		if name != victim {
			n += c.report(t).Stood
		}
	}
	return n
}

// firstAck writes until a write is acknowledged. A write without an answer may
// have happened: the record says.
func firstAck(t *testing.T, nc *nats.Conn, stream, subject string, seq uint64) (uint64, time.Time) {
	t.Helper()
	const answer = 40 * time.Millisecond // a write that went to the dead server gets none
	start, tick := time.Now(), time.NewTicker(2*time.Millisecond)
	defer tick.Stop()
	for time.Since(start) < patience {
		acked, err := put(nc, subject, seq, answer)
		if err == nil {
			return acked, time.Now()
		}
		if last, err := lastSeq(nc, stream, subject, answer); err == nil {
			if last < seq {
				t.Fatalf("the record is at sequence %d, %d was acknowledged", last, seq)
			}
			seq = last
		}
		<-tick.C
	}
	t.Fatalf("no write was acknowledged within %v", patience)
	return 0, time.Time{}
}

// currentLeader waits until all replicas and all servers are up to date, and
// names the leader.
func currentLeader(t *testing.T, conns map[string]*nats.Conn, stream string, children map[string]*child) (name string) {
	t.Helper()
	js, err := jetstream.New(conns["a"])
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "all replicas are up to date", func() bool {
		for _, c := range children {
			if !healthy(c.report(t).State, len(children)) {
				return false
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		s, err := js.Stream(ctx, stream)
		if err != nil {
			return false
		}
		c := s.CachedInfo().Cluster
		if c == nil || c.Leader == "" || slices.ContainsFunc(c.Replicas, func(p *jetstream.PeerInfo) bool { return !p.Current || p.Offline }) {
			return false
		}
		name = c.Leader
		return true
	})
	return name
}
