package chaos

import (
	"testing"
	"time"
)

// stopTime is how long a host may take to end that has nothing to do but that.
const stopTime = 15 * time.Second

// TestStopOfAThawedHost asks a host to end just after it stood still for longer
// than its lease, and again while all others end too: a server that still
// catches up holds nobody up.
func TestStopOfAThawedHost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{}).start()
	for i := range times(2, 30) {
		victim := w.leader(webApp)
		joined := len(victim.events("session-joined"))
		at := victim.freeze()
		w.awaitAct(4*w.o.ttl, webApp, at, victim.name)
		w.passed(at + int64(w.o.ttl))
		victim.thaw()
		if i%4 < 2 {
			w.await(20*time.Second, "it has joined again", func() bool { return len(victim.events("session-joined")) > joined })
		}
		stopping := []*host{victim}
		if i%2 == 1 {
			stopping = w.hosts
		}
		asked := w.now()
		for _, h := range stopping {
			h.ask()
		}
		for _, h := range stopping {
			h.end()
		}
		took := time.Duration(w.now() - asked)
		t.Logf("thawed and asked to end: %d hosts ended in %v", len(stopping), took)
		if took > stopTime {
			t.Errorf("%d hosts took %v to end, allowed are %v", len(stopping), took, stopTime)
		}
		for _, h := range stopping {
			h.start()
		}
		w.settle()
	}
}
