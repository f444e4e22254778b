package chaos

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestNATSDown takes an existing NATS away from all hosts and brings it back.
// As long as the lease allows, the app keeps running; then it has stopped, and
// nothing runs until there is a NATS again.
func TestNATSDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{external: true, hooks: true}).start()
	before := w.leader(webApp)
	at := w.now()
	if err := w.nats.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-w.nats.done
	if w.natsAnswers() {
		t.Fatal("the NATS answers: it was not taken away")
	}
	outage := 6 * time.Second
	if long() {
		outage = 30 * time.Second
	}
	w.passed(at + int64(outage))
	last := w.lastAct(webApp, before.name)
	if ran := time.Duration(last - at); ran < w.o.ttl/4 || ran > w.o.ttl {
		t.Errorf("the service ran for %v without a NATS: at least %v and at most %v are right", ran, w.o.ttl/4, w.o.ttl)
	}
	for _, e := range w.acts(webApp, at) {
		if e.Node != before.name {
			t.Fatalf("without a NATS %s acts too", e.Node)
		}
	}
	for _, h := range w.hosts {
		if !h.runs() {
			t.Errorf("%s has ended: %v", h.name, h.proc.err)
		}
	}
	back := w.now()
	w.startNATS()
	first := w.awaitAct(settleTime, webApp, back, "")
	t.Logf("without a NATS the service ran for %v; %v after it came back %s acts", time.Duration(last-at), time.Duration(first.T-back), first.Node)
	w.settle()
}

// TestSecondNodeOfOneName starts another host with the name of one that lives,
// with a data folder of its own. It is refused, and the first is not disturbed.
func TestSecondNodeOfOneName(t *testing.T) {
	t.Parallel()
	for name, external := range map[string]bool{"with an existing NATS": true, "with embedded servers": false} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, options{external: external}).start()
			first := w.leader(webApp)
			epoch := first.status().Apps[0].Epoch
			// As on another machine: it sees neither the processes nor the control
			// groups of the first.
			w.o.wrap = map[string][]string{first.name: {
				"unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--",
				"sh", "-c", `mount -t tmpfs none /sys/fs/cgroup && exec "$@"`, "sh",
			}}
			double := &host{w: w, name: first.name, number: 9, dir: filepath.Join(w.dir, "double")}
			w.runTwice(double)
			select {
			case <-double.proc.done:
			case <-time.After(10 * w.o.ttl):
				t.Errorf("the second host was not refused within %v", 10*w.o.ttl)
				double.proc.end()
			}
			if code := double.proc.cmd.ProcessState.ExitCode(); code != 5 {
				t.Errorf("the second host ended with exit code %d, want 5", code)
			}
			if story := double.story(); !strings.Contains(story, "node already present") {
				t.Errorf("the second host does not say why it ended: %s", story)
			}
			if now := first.status().Apps[0]; now.Epoch != epoch || now.Leader != first.name {
				t.Errorf("%s led in epoch %d, now %s leads in epoch %d", first.name, epoch, now.Leader, now.Epoch)
			}
			w.settle()
		})
	}
}

// TestStreamsLeaderDies kills the host that leads the app and, with its embedded
// server, the streams that hold the leases.
func TestStreamsLeaderDies(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{}).start()
	var all []time.Duration
	for range times(2, 10) {
		victim := w.leadBoth()
		all = append(all, within(t, w.o.ttl, "kill -9 of a host that leads the streams", func() time.Duration {
			if !victim.runs() {
				victim.start()
				w.settle()
				victim = w.leadBoth()
			}
			at := victim.kill()
			return time.Duration(w.awaitAct(5*w.o.ttl, webApp, at, victim.name).T - at)
		}))
		victim.start()
		w.settle()
	}
	report(t, "kill -9 of a host that leads the streams until another acts", all)
}

// TestShiftedClocks runs one host in a time namespace in which both clocks that
// it could count with are an hour ahead. Each process counts only with its own,
// so it must not matter. The wall clock is not shifted, and need not be: it
// decides nothing, the core takes it for display only, and the simulation of the
// core makes it jump.
func TestShiftedClocks(t *testing.T) {
	t.Parallel()
	ahead := []string{"unshare", "--time", "--boottime", "3600", "--monotonic", "3600", "--"}
	w := newWorld(t, options{hooks: true, ttl: 6 * time.Second, wrap: map[string][]string{"n1": ahead}}).start()
	shifted := w.hosts[0]
	offsets := w.read("/proc/" + shifted.pid() + "/timens_offsets")
	if strings.Count(offsets, "3600") != 2 {
		t.Fatalf("the clocks of %s are not shifted: %s", shifted.name, offsets)
	}
	if w.leader(webApp) != shifted {
		w.moveTo(shifted)
	}
	began := w.now()
	w.passed(began + int64(2*w.o.ttl)) // two leases: one that is counted wrong ends in this time
	if now := w.leader(webApp); now != shifted {
		t.Errorf("the leader with the shifted clocks was %s, now it is %s", shifted.name, now.name)
	}
	at := shifted.freeze()
	first := w.awaitAct(4*w.o.ttl, webApp, at, shifted.name)
	t.Logf("frozen with shifted clocks: %s acts after %v", first.Node, time.Duration(first.T-at))
	shifted.thaw()
	w.settle()
	w.moveTo(shifted)
	at = shifted.kill()
	first = w.awaitAct(4*w.o.ttl, webApp, at, shifted.name)
	t.Logf("killed with shifted clocks: %s acts after %v", first.Node, time.Duration(first.T-at))
	shifted.start()
	w.settle()
}
