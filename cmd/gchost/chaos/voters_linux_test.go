package chaos

import (
	"testing"
	"time"
)

// TestTwoOfFiveDie kills the leader's host and one more at the same moment. The
// three that are left go on.
func TestTwoOfFiveDie(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hosts: 5}).start()
	for range times(2, 10) {
		leader := w.leader(webApp)
		other := w.host(w.others(leader.name)[0])
		epoch := uint64(leader.status().Apps[0].Epoch)
		other.kill()
		at := leader.kill()
		first := w.awaitAct(5*w.o.ttl, webApp, at, leader.name)
		if first.Node == other.name || first.Epoch <= epoch {
			t.Errorf("%s acts in epoch %d; %s and %s are dead, the epoch was %d", first.Node, first.Epoch, leader.name, other.name, epoch)
		}
		t.Logf("%s and %s killed: %s acts after %v", leader.name, other.name, first.Node, time.Duration(first.T-at))
		leader.start()
		other.start()
		w.settle()
	}
}

// TestStockRaft kills the leader's host where the servers have the Raft timers
// of a WAN. It takes longer, but not longer than an election and the lease.
func TestStockRaft(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{wan: true, ttl: 12 * time.Second}).start()
	for range times(2, 10) {
		victim := w.leader(webApp)
		before := victim.status()
		if before.NATS.RaftTuned {
			t.Fatal("the Raft timers are those of a LAN")
		}
		took := within(t, w.o.ttl, "kill -9 of the leader's host with stock Raft timers", func() time.Duration {
			if !victim.runs() {
				victim.start()
				w.settle()
				victim = w.leader(webApp)
			}
			at := victim.kill()
			return time.Duration(w.awaitAct(3*w.o.ttl, webApp, at, victim.name).T - at)
		})
		t.Logf("another acts after %v", took)
		victim.start()
		w.settle()
		if now := victim.status(); now.Apps[0].Epoch <= before.Apps[0].Epoch {
			t.Errorf("the epoch is %d after a failover, and was %d before", now.Apps[0].Epoch, before.Apps[0].Epoch)
		}
	}
}
