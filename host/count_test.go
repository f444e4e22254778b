package host

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/ozanturksever/go-cluster/host/lock"
)

// TestLockAudit: what comes too fast is counted instead of written, and nothing
// that is lost goes unwritten.
func TestLockAudit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newLockAudit()
		written := 0
		for range 3 * lockBurst {
			if hidden, ok := a.take(lock.Acquired); ok {
				written++
				if hidden != 0 {
					t.Errorf("%d hidden before any was", hidden)
				}
			}
		}
		if written != lockBurst {
			t.Errorf("%d written at once, want %d", written, lockBurst)
		}
		if hidden, ok := a.take(lock.Lost); !ok || hidden != 2*lockBurst {
			t.Errorf("a loss: written %v, %d hidden before it", ok, hidden)
		}
		if _, ok := a.take(lock.Released); ok {
			t.Error("written beyond the rate")
		}
		time.Sleep(time.Second)
		if hidden, ok := a.take(lock.Released); !ok || hidden != 1 {
			t.Errorf("a second later: written %v, %d hidden before it", ok, hidden)
		}
	})
}
