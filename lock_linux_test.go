package cluster_test

import (
	"syscall"
	"testing"
	"time"

	cluster "github.com/ozanturksever/go-cluster"
)

// TestLockOfFrozenProcess: a process that holds a lock is stopped for longer than
// its lease, another one takes the lock, and the first one goes on: the first
// look at its token tells it. It acts once more at most, if it had just looked, and
// that act has a lower token than those of the new holder.
func TestLockOfFrozenProcess(t *testing.T) {
	t.Parallel()
	const ttl = time.Second
	s := startNATS(t)
	well := newNode(t, "frozen", "n2", s.ClientURL(), cluster.WithLeaseTTL(ttl)).start()
	c := startChild(t, childConfig{Platform: "frozen", Node: "n1", URL: s.ClientURL(), DataDir: t.TempDir(), App: "web", TTL: ttl, Lock: "x"})
	c.says(t, "locked")
	must(t, c.cmd.Process.Signal(syscall.SIGSTOP))
	l := well.Lock("x")
	begun := time.Now()
	must(t, l.Lock(within(t, patience)))
	t.Logf("free after %v, the lease is %v", time.Since(begun), ttl)
	must(t, c.cmd.Process.Signal(syscall.SIGCONT))
	late := time.After(patience)
	for {
		select {
		case line := <-c.lines:
			switch line {
			case "lost-after-0-acts", "lost-after-1-acts":
				if l.Token() == 0 {
					t.Error("the new hold is gone")
				}
				return
			case "ready", "active", "passive":
			default:
				t.Fatalf("it goes on as if nothing had happened: %q", line)
			}
		case <-late:
			t.Fatal("it does not notice")
		}
	}
}
