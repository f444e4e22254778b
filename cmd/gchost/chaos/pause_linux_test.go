package chaos

import (
	"testing"
	"time"
)

// TestFrozenHost stops the process of the leader's host for two leases. Its
// guard kills the service by the deadline, another node leads, and when the host
// goes on it finds that its time is over.
func TestFrozenHost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hooks: true}).start()
	for range times(1, 5) {
		victim := w.leader(webApp)
		at := victim.freeze()
		first := w.awaitAct(4*w.o.ttl, webApp, at, victim.name)
		t.Logf("frozen: %s acts for %v, %s acts after %v", victim.name, time.Duration(w.lastAct(webApp, victim.name)-at), first.Node, time.Duration(first.T-at))
		w.passed(at + int64(2*w.o.ttl))
		victim.thaw()
		w.settle()
		if last := time.Duration(w.lastAct(webApp, victim.name) - at); last > w.o.ttl && w.leader(webApp).name != victim.name {
			t.Errorf("the service of the frozen host acted until %v after the freeze, the lease is %v", last, w.o.ttl)
		}
	}
}

// TestSlowStop gives a leadership away whose service takes two leases to stop.
// The lease is renewed until it has ended, and nobody else begins before.
func TestSlowStop(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hooks: true, stop: 6 * time.Second}).start()
	from := w.leader(webApp)
	at := w.now()
	asking := from.begin("stepdown", webApp, "--timeout", "60s")
	first := w.awaitAct(60*time.Second, webApp, at, from.name)
	if err := asking.Wait(); err != nil {
		t.Errorf("stepdown: %v", err)
	}
	last := w.lastAct(webApp, from.name)
	if took := time.Duration(last - at); took < w.o.stop {
		t.Errorf("the service stopped within %v, it was to take %v: the stop was not slow", took, w.o.stop)
	}
	if first.T <= last {
		t.Errorf("%s acts %v before the old service has ended", first.Node, time.Duration(last-first.T))
	}
	stopped := 0
	for _, e := range w.entries() {
		if e.Kind == kindStop && e.Node == from.name {
			stopped++
		}
	}
	if stopped != 1 {
		t.Errorf("the old service says %d times that it ended in order", stopped)
	}
	t.Logf("the service stopped for %v, then %s began after %v", time.Duration(last-at), first.Node, time.Duration(first.T-last))
	w.settle()
}
