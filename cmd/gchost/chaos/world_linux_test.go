package chaos

import (
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/host/clock"
)

// options say what a world is like.
type options struct {
	hosts    int           // default 3
	voters   int           // the first hosts, with servers and no apps; the others join them; default: all have both
	machines bool          // each host in a network of its own, with TLS between them; else all share one
	ttl      time.Duration // default 3 s
	apps     []string      // default web
	stop     time.Duration // how long the actor takes to stop
	hooks    bool          // all hooks of the apps are run
	external bool          // one stock NATS server instead of embedded ones
	wan      bool          // the embedded servers have stock Raft timers
	disk     string        // the size of a small disk that the first host has for its data; "" for none of its own
	library  *librarySpec  // the hosts are programs that use the library, alike in all but names and places
	wrap     map[string][]string
}

// world is a platform of its own: hosts, network, journal.
type world struct {
	t     *testing.T
	o     options
	name  string // of the platform, unique
	dir   string
	self  string // this binary
	hosts []*host
	nats  *process
	log   *journal
	froze map[int]bool // hosts that stood still past their lease, by pid
}

const webApp = "web"

// newWorld makes a world whose hosts do not run yet. At the end of the test
// everything is stopped and checked.
func newWorld(t *testing.T, o options) *world {
	t.Helper()
	need(t)
	if o.hosts == 0 {
		o.hosts = 3
	}
	if o.ttl == 0 {
		o.ttl = 3 * time.Second
	}
	if o.apps == nil {
		o.apps = []string{webApp}
	}
	w := &world{t: t, o: o, name: "c" + strings.ToLower(rand.Text()[:7]), dir: t.TempDir(), froze: map[int]bool{}}
	var err error
	if w.self, err = os.Executable(); err != nil {
		t.Fatal(err)
	}
	if w.log, err = openJournal(w.journalPath()); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(w.gatePath(), 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range o.hosts {
		w.hosts = append(w.hosts, w.newHost(i+1))
	}
	w.makeNetwork()
	t.Cleanup(w.close)
	w.configure()
	if o.disk != "" {
		w.hosts[0].mount(o.disk)
	}
	if o.external {
		w.startNATS()
	}
	return w
}

func (w *world) journalPath() string { return filepath.Join(w.dir, "journal") }
func (w *world) gatePath() string    { return filepath.Join(w.dir, "gate") }

// start starts all hosts and returns when all is well.
func (w *world) start() *world {
	w.t.Helper()
	for _, h := range w.hosts {
		h.start()
	}
	w.settle()
	return w
}

func (w *world) host(name string) *host {
	w.t.Helper()
	for _, h := range w.hosts {
		if h.name == name {
			return h
		}
	}
	w.t.Fatalf("there is no host %q", name)
	return nil
}

// voters are the hosts with a server of their own.
func (w *world) voters() []*host {
	if w.o.voters == 0 {
		return w.hosts
	}
	return w.hosts[:w.o.voters]
}

// joined are the others.
func (w *world) joined() []*host { return w.hosts[len(w.voters()):] }

// others are the names of all hosts but one.
func (w *world) others(name string) (out []string) {
	for _, h := range w.hosts {
		if h.name != name {
			out = append(out, h.name)
		}
	}
	return out
}

// now is the clock of the journal.
func (w *world) now() int64 { return clock.Now().UnixNano() }

// tickEvery is the pause between two looks at a condition.
const tickEvery = 3 * time.Millisecond

// await waits for a condition; its text says what is not there after d.
func (w *world) await(d time.Duration, what string, cond func() bool) {
	w.t.Helper()
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	late := time.After(d)
	for !cond() {
		select {
		case <-tick.C:
		case <-late:
			w.t.Fatalf("not within %v: %s", d, what)
		}
	}
}

// passed waits until the clock of the journal shows a time: the test is about
// what happens until then.
func (w *world) passed(at int64) {
	<-time.After(time.Duration(at - w.now()))
}

// entries returns the journal so far.
func (w *world) entries() []entry {
	w.t.Helper()
	all, err := w.log.read()
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}

// acts returns the acts of an app since a time.
func (w *world) acts(app string, since int64) []entry {
	return slices.DeleteFunc(slices.Clone(w.tail(since)), func(e entry) bool { return e.Kind != kindAct || e.App != app })
}

// tail returns the entries since a time. Those of one moment may be out of
// order by what a process may be held up between its clock and its write.
func (w *world) tail(since int64) []entry {
	all := w.entries()
	const unordered = 2 * time.Second
	i := len(all)
	for i > 0 && all[i-1].T > since-int64(unordered) {
		i--
	}
	return slices.DeleteFunc(slices.Clone(all[i:]), func(e entry) bool { return e.T < since })
}

// awaitAct waits for the first act of an app after a time by another node than
// one.
func (w *world) awaitAct(d time.Duration, app string, since int64, not string) (first entry) {
	w.t.Helper()
	w.await(d, fmt.Sprintf("an act of %s by another node than %q", app, not), func() bool {
		for _, e := range w.acts(app, since) {
			if e.Node != not {
				first = e
				return true
			}
		}
		return false
	})
	return first
}

// lastAct is the time of the newest act of a node, 0 if there is none.
func (w *world) lastAct(app, node string) (last int64) {
	for _, e := range w.entries() {
		if e.App == app && e.Node == node && e.Kind == kindAct {
			last = max(last, e.T)
		}
	}
	return last
}

// leader is who acts for an app now.
func (w *world) leader(app string) *host {
	w.t.Helper()
	return w.host(w.awaitAct(20*time.Second, app, w.now(), "").Node)
}

// close stops what runs, and says what is wrong: promises broken in the
// journal, and what is left behind.
func (w *world) close() {
	for _, h := range w.hosts {
		h.ask()
	}
	for _, h := range w.hosts {
		h.end()
	}
	if w.nats != nil {
		w.nats.end()
	}
	w.checkLeft()
	w.entries()
	faults := append(w.log.unread(), check(w.log.entries, w.froze)...)
	if hooks := checkHooks(w.log.entries); w.torn() {
		w.t.Logf("not judged, because hooks were killed before they could write: %v", hooks)
	} else {
		faults = append(faults, hooks...)
	}
	const most = 20 // one act at the wrong time brings hundreds
	for _, fault := range faults[:min(most, len(faults))] {
		w.t.Errorf("journal: %s", fault)
	}
	if len(faults) > most {
		w.t.Errorf("journal: %d faults in all", len(faults))
	}
	if w.t.Failed() {
		w.tell()
	}
	w.keep()
	if err := w.log.file.Close(); err != nil {
		w.t.Error(err)
	}
	w.removeNetwork()
}

// torn says whether a host had to kill a hook's program. It may not have come to
// write that it was called.
func (w *world) torn() bool {
	return slices.ContainsFunc(w.hosts, func(h *host) bool {
		story := h.story()
		return strings.Contains(story, "run hook on_active") || strings.Contains(story, "run hook on_passive")
	})
}

// checkLeft finds processes and control groups that outlive their hosts.
func (w *world) checkLeft() {
	deadline := time.Now().Add(2*w.o.ttl + 10*time.Second) // a guard whose host was killed looks on for one ttl
	for tick := time.NewTicker(10 * time.Millisecond); ; <-tick.C {
		left := w.left()
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			w.t.Errorf("left behind: %s", strings.Join(left, "; "))
			break
		}
	}
	for _, p := range w.processes("") {
		p.kill()
	}
}

func (w *world) left() (left []string) {
	for _, p := range w.processes("") {
		left = append(left, fmt.Sprintf("process %d %s", p.pid, strings.Join(p.argv, " ")))
	}
	for _, dir := range w.cgroups("") {
		left = append(left, "control group "+dir)
	}
	return left
}

// tell shows what the hosts said, and who acted when.
func (w *world) tell() {
	for _, h := range w.hosts {
		w.t.Logf("log of %s:\n%s", h.name, h.story())
	}
	const most = 40
	all := spans(slices.DeleteFunc(slices.Clone(w.log.entries), func(e entry) bool { return !e.leads() }))
	for _, s := range all[:min(most, len(all))] {
		w.t.Log(s)
	}
}

// keep copies everything to the folder that CHAOS_KEEP names, if it does.
func (w *world) keep() {
	if to := os.Getenv("CHAOS_KEEP"); to != "" {
		out, err := exec.Command("cp", "-r", w.dir, filepath.Join(to, strings.ReplaceAll(w.t.Name(), "/", "."))).CombinedOutput()
		if err != nil {
			w.t.Logf("keep: %v %s", err, out)
		}
	}
}
