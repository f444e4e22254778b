package chaos

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestKills kills the leader's host again and again. Nothing piles up: not in
// the host that survives all of it, not on disk, not in the kernel.
func TestKills(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{}).start()
	survivor := w.hosts[2]
	if code, out := survivor.command("node", "cordon", survivor.name); code != 0 {
		t.Fatalf("cordon: %d %s", code, out)
	}
	if w.leader(webApp) == survivor {
		w.stepDown()
	}
	w.killLeader() // one before the count, so that all that is made once is there
	before := survivor.weigh()
	var failovers []time.Duration
	kills := times(6, 50)
	for range kills {
		epoch := w.hosts[0].status().Apps[0].Epoch
		failovers = append(failovers, w.killLeader())
		if now := w.hosts[0].status().Apps[0].Epoch; now <= epoch {
			t.Errorf("the epoch is %d after a failover, and was %d before", now, epoch)
		}
	}
	report(t, "kill -9 of the leader's host until another acts", failovers)
	after := survivor.weigh()
	for what, n := range after {
		t.Logf("the host that survived: %d %s, and %d before the kills", n, what, before[what])
		if n-before[what] > max(12, kills/2) { // some come and go with requests on their way
			t.Errorf("%s pile up", what)
		}
	}
	for _, h := range w.hosts {
		w.await(2*w.o.ttl, "one guard of "+h.name, func() bool { return len(h.guards()) == 1 })
	}
	w.await(10*time.Second, "one control group", func() bool { return len(w.cgroups("")) == 1 })
}

// killLeader kills the leader's host, starts it again when another acts, and
// returns when all is well.
func (w *world) killLeader() (took time.Duration) {
	w.t.Helper()
	victim := w.leader(webApp)
	took = within(w.t, w.o.ttl, "kill -9 of "+victim.name, func() time.Duration {
		if !victim.runs() {
			victim.start()
			w.settle()
			victim = w.leader(webApp)
		}
		at := victim.kill()
		return time.Duration(w.awaitAct(3*w.o.ttl, webApp, at, victim.name).T - at)
	})
	victim.start()
	w.settle()
	return took
}

// stepDown moves the leadership of web away from its host.
func (w *world) stepDown() {
	w.t.Helper()
	from := w.leader(webApp)
	if code, out := from.command("stepdown", webApp); code != 0 {
		w.t.Fatalf("stepdown: %d %s", code, out)
	}
	w.awaitAct(10*time.Second, webApp, w.now(), from.name)
}

// weigh counts what a host could leak. It ends the host to see its goroutines,
// and starts it again.
func (h *host) weigh() map[string]int {
	h.w.t.Helper()
	fds, err := os.ReadDir("/proc/" + h.pid() + "/fd")
	if err != nil {
		h.w.t.Fatal(err)
	}
	log, err := os.ReadFile(h.logPath())
	if err != nil {
		h.w.t.Fatal(err)
	}
	files := 0
	err = filepath.WalkDir(h.dataPath(), func(_ string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files++
		}
		return nil // a file that has just gone is none
	})
	if err != nil {
		h.w.t.Fatal(err)
	}
	h.proc.asked = true
	h.signal(syscall.SIGQUIT)
	<-h.proc.done
	all, err := os.ReadFile(h.logPath())
	if err != nil {
		h.w.t.Fatal(err)
	}
	dump := all[len(log):]
	running := bytes.Count(dump, []byte("\ngoroutine "))
	if running < 20 {
		h.w.t.Fatalf("the dump shows %d goroutines: %.2000s", running, dump)
	}
	h.start()
	h.w.settle()
	return map[string]int{"goroutines": running, "open files": len(fds), "files on disk": files}
}

func (h *host) pid() string { return strconv.Itoa(h.proc.cmd.Process.Pid) }

// TestKillInEachPhase kills a host with SIGKILL while it becomes active and
// while it becomes passive, in each phase of it.
func TestKillInEachPhase(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hooks: true}).start()
	for _, phase := range []string{"start", "OnActive", "OnPassive", "stop"} {
		for range times(1, 5) {
			if err := writeWhole(filepath.Join(w.gatePath(), "hold"), phase); err != nil {
				t.Fatal(err)
			}
			from := w.leader(webApp)
			asking := from.begin("stepdown", webApp)
			victim := w.host(w.held())
			if old := phase == "OnPassive" || phase == "stop"; old != (victim == from) {
				t.Fatalf("%s is in phase %s, %s led", victim.name, phase, from.name)
			}
			at := victim.kill()
			w.letGo()
			first := w.awaitAct(3*w.o.ttl, webApp, at, victim.name)
			t.Logf("killed in phase %s: %s acts after %v", phase, first.Node, time.Duration(first.T-at))
			_ = asking.Wait() // what it says depends on who was killed
			victim.start()
			w.settle()
		}
	}
}

// begin begins a command of gchost on a host; Wait ends it.
func (h *host) begin(args ...string) *exec.Cmd {
	h.w.t.Helper()
	argv := append(h.w.enter(h.name), gchost, "--data-dir", h.dataPath())
	argv = append(argv, args...)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = cleanEnviron()
	if err := cmd.Start(); err != nil {
		h.w.t.Fatal(err)
	}
	return cmd
}

// held waits until a node is held at the gate.
func (w *world) held() (node string) {
	w.t.Helper()
	w.await(20*time.Second, "a node at the gate", func() bool {
		text, err := os.ReadFile(filepath.Join(w.gatePath(), "at"))
		node = string(text)
		return err == nil
	})
	return node
}

// letGo opens the gate.
func (w *world) letGo() {
	w.t.Helper()
	for _, name := range []string{"hold", "at"} {
		if err := os.Remove(filepath.Join(w.gatePath(), name)); err != nil {
			w.t.Fatal(err)
		}
	}
}

// TestHandOverOfADyingNode ends one of the two nodes of a hand-over at the
// moment when the successor is named, and starts it again at once: the one that
// is named, and the one that names it, by SIGTERM and by SIGKILL.
func TestHandOverOfADyingNode(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{}).start()
	for i := range times(4, 20) {
		from := w.leader(webApp)
		epoch := from.status().Apps[0].Epoch
		known := len(from.events("leader-resigned"))
		asking := from.begin("stepdown", webApp)
		victim, role := from, "gives"
		w.await(20*time.Second, "a successor is named", func() bool {
			all := from.events("leader-resigned")
			if len(all) > known && i%4 < 2 {
				victim, role = w.host(all[known].Detail[strings.LastIndexByte(all[known].Detail, ' ')+1:]), "gets"
			}
			return len(all) > known
		})
		if i%2 == 0 {
			victim.ask()
			victim.end()
		} else {
			victim.kill()
		}
		at := w.now()
		victim.start()
		_ = asking.Wait() // what it says depends on who was ended
		first := w.awaitAct(4*w.o.ttl, webApp, at, "")
		t.Logf("%s, that %s the leadership, was ended: %s acts %v later", victim.name, role, first.Node, time.Duration(first.T-at))
		w.settle()
		if now := from.status().Apps[0].Epoch; now <= epoch {
			t.Errorf("the epoch is %d after a hand-over, and was %d before", now, epoch)
		}
	}
}
