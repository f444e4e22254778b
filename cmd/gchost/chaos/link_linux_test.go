package chaos

import (
	"syscall"
	"testing"
	"time"
)

// TestCutLink cuts the leader's machine off: both ways, only what it sends, only
// what it gets. Another node leads; when the link is back the old leader is a
// standby.
func TestCutLink(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{machines: true}).start()
	for _, cut := range []struct {
		name string
		do   func(victim, other *host)
	}{
		{"both ways", func(v, o *host) { w.net("cut", v.link(), o.link()) }},
		{"what it sends", func(v, o *host) { w.net("cut1", v.link(), o.link()) }},
		{"what it gets", func(v, o *host) { w.net("cut1", o.link(), v.link()) }},
	} {
		for range times(1, 5) {
			victim := w.leader(webApp)
			at := w.now()
			for _, o := range w.others(victim.name) {
				cut.do(victim, w.host(o))
			}
			first := w.awaitAct(5*w.o.ttl, webApp, at, victim.name)
			last := w.lastAct(webApp, victim.name)
			t.Logf("cut %s: %s acts for %v, %s after %v", cut.name, victim.name, time.Duration(last-at), first.Node, time.Duration(first.T-at))
			if !victim.runs() {
				t.Errorf("the host that was cut off has ended: %v", victim.proc.err)
			}
			w.net("heal")
			w.settle()
			if now := w.leader(webApp); now == victim {
				t.Errorf("the leader that was cut off leads again")
			}
		}
	}
}

// TestLostMachine takes a leader's machine away with all that is on it: its link
// goes down, and host, guard, embedded server and service die without a word.
// The second time it also leads the streams of the platform's records.
func TestLostMachine(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{machines: true}).start()
	for _, streams := range []bool{false, true} {
		var all []time.Duration
		for range times(1, 10) {
			var victim *host
			what := "loss of a machine"
			if streams {
				what = "loss of a machine that leads the streams"
			}
			took := within(t, w.o.ttl+300*time.Millisecond+noise, what, func() time.Duration {
				if victim != nil {
					w.rebuild(victim)
				}
				victim = w.leader(webApp)
				if streams {
					victim = w.leadBoth()
				}
				at := victim.vanish()
				return time.Duration(w.awaitAct(5*w.o.ttl, webApp, at, victim.name).T - at)
			})
			all = append(all, took)
			w.rebuild(victim)
		}
		report(t, "loss of a machine until another node acts", all)
	}
}

// vanish cuts the cable of a host's machine and kills everything on it. The
// cable goes first: nobody hears the kernel close the connections.
func (h *host) vanish() (at int64) {
	h.w.t.Helper()
	at = h.w.now()
	h.proc.asked = true
	h.w.command("ip", "-n", h.w.name+"-hub", "link", "set", "p"+h.link(), "down")
	for dead := false; !dead; {
		dead = true
		for _, p := range h.w.processes(h.name) {
			dead = false
			_ = syscall.Kill(p.pid, syscall.SIGKILL)
		}
	}
	<-h.proc.done
	h.w.net("link", h.link(), "down") // it is down already: this proves it
	return at
}

// rebuild brings a machine that was lost back.
func (w *world) rebuild(h *host) {
	w.t.Helper()
	w.net("heal")
	h.start()
	w.settle()
}

// leadBoth makes the leader of web the leader of both streams too: the streams
// stay where they are for some seconds, and the app moves there. If the streams
// do not come together on one node in time, one of them has to do.
func (w *world) leadBoth() (victim *host) {
	w.t.Helper()
	enough := 2
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); time.Since(began) < settleTime; <-tick.C {
		if time.Since(began) > settleTime/4 {
			enough = 1
		}
		s := w.hosts[0].status()
		at := map[string]int{}
		for _, leader := range s.NATS.Leaders {
			at[leader]++
		}
		app := s.Apps[0].Leader
		if at[app] >= enough {
			w.t.Logf("%s leads the app, and of the streams %d of %d", app, at[app], len(s.NATS.Leaders))
			return w.host(app)
		}
		for name, n := range at {
			// A stream beside the app is moved away by the platform, perhaps to the other.
			if name != app && name != "" && at[app] == 0 && (n >= enough || len(at) > 1) {
				w.moveTo(w.host(name))
				break
			}
		}
	}
	w.t.Fatal("the leader of the app could not be made the leader of the streams")
	return nil
}

// moveTo moves web to a host, by keeping the others from it.
func (w *world) moveTo(to *host) {
	w.t.Helper()
	from := w.leader(webApp)
	for _, h := range w.hosts {
		if h != to && h != from {
			if code, out := h.command("node", "cordon", h.name); code != 0 {
				w.t.Fatalf("cordon: %d %s", code, out)
			}
			defer h.command("node", "uncordon", h.name)
		}
	}
	if code, out := from.command("stepdown", webApp); code != 0 {
		w.t.Fatalf("stepdown: %d %s", code, out)
	}
	w.awaitAct(10*time.Second, webApp, w.now(), from.name)
}
