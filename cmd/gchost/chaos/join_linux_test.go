package chaos

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/host/control"
)

// TestJoinedHosts: two hosts that are clients of three voters have the app. One
// is killed: its guard kills the service and gives the session back through a
// voter, and the other one leads long before the lease would have ended. Then
// each voter is killed, and the machine of one loses its link: the leader leads
// on, in the same epoch.
func TestJoinedHosts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hosts: 5, voters: 3, machines: true, ttl: 6 * time.Second}).start()
	var failovers []time.Duration
	for range times(2, 20) {
		failovers = append(failovers, w.killLeader())
	}
	report(t, "kill -9 of a joined leader until another acts", failovers)
	// The standby has never seen the session that ends. It must act on its first
	// sight, not when it looks again a second later.
	if best := slices.Min(failovers); best > 800*time.Millisecond {
		t.Errorf("no failover took less than %v", best)
	}

	leader := w.leader(webApp)
	epoch := w.epoch(leader)
	for _, victim := range w.voters() {
		victim.kill()
		w.leadsOn(leader, epoch, 2)
		victim.start()
		w.settle()
	}
	lost := w.voters()[slices.IndexFunc(w.voters(), func(h *host) bool { return strings.HasSuffix(leader.status().NATS.URL, "://"+h.client()) })]
	w.net("link", lost.link(), "down")
	w.leadsOn(leader, epoch, 2)
	w.net("heal")
	w.settle()
	w.leadsOn(leader, epoch, 3)
}

// leadsOn waits until a joined host has seen how many voters are up, and holds
// it to its leadership for longer than a lease.
func (w *world) leadsOn(leader *host, epoch uint64, up int) {
	w.t.Helper()
	until := w.now() + int64(w.o.ttl*3/2)
	var s status
	defer func() {
		if w.t.Failed() {
			w.t.Logf("the last status of %s: %s", leader.name, s.text)
		}
	}()
	w.await(30*time.Second, fmt.Sprintf("%s sees that %d voters are up", leader.name, up), func() bool {
		s = leader.status()
		return s.Node == leader.name && s.NATS.Mode == control.ModeClient && s.NATS.Voters == 3 && s.NATS.VotersUp == up
	})
	w.passed(until)
	if first := w.awaitAct(w.o.ttl, webApp, w.now(), ""); first.Node != leader.name || w.epoch(leader) != epoch {
		w.t.Errorf("%s acts in epoch %d, want %s in %d still", first.Node, w.epoch(leader), leader.name, epoch)
	}
}

// epoch is that of the app's leadership, as a host sees it.
func (w *world) epoch(h *host) uint64 {
	w.t.Helper()
	s := h.status()
	if len(s.Apps) != 1 {
		w.t.Fatalf("%s knows %d apps", h.name, len(s.Apps))
	}
	return uint64(s.Apps[0].Epoch)
}
