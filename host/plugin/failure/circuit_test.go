package failure_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/host/plugin/failure"
)

// TestCircuitStories plays stories: the second, what happens, the state then. A
// call is one letter and its outcome: "call a" asks for a permit that is kept as
// a; "well a", "fault a", "unknown a" give it back; "refused" wants a no.
func TestCircuitStories(t *testing.T) {
	for name, story := range map[string]string{
		"five faults within a minute open it, a trial closes it": `
			0    call a      closed
			0    fault a     closed
			10   call a      closed
			10   fault a     closed
			20   call a      closed
			20   well a      closed
			30   call a      closed
			30   fault a     closed
			40   call a      closed
			40   fault a     closed
			59.9 call a      closed
			59.9 fault a     open
			60   refused     open
			60.9 call a      half-open
			60.9 refused     half-open
			61   well a      closed
			61   call a      closed
			61   fault a     closed`,
		"older faults do not count": `
			0    call a      closed
			0    fault a     closed
			0    call a      closed
			0    fault a     closed
			59   call a      closed
			59   fault a     closed
			60   call a      closed
			60   fault a     closed
			61   call a      closed
			61   fault a     closed
			62   call a      closed
			62   fault a     closed
			63   call a      closed
			63   fault a     open`,
		"a fault of exactly a minute ago does not count": `
			0    call a      closed
			0    fault a     closed
			0    call a      closed
			0    fault a     closed
			0    call a      closed
			0    fault a     closed
			0    call a      closed
			0    fault a     closed
			60   call a      closed
			60   fault a     closed`,
		"a trial that breaks doubles the wait": opened + `
			1    call t      half-open
			2    fault t     open
			3.9  refused     open
			4    call t      half-open
			4    fault t     open
			7.9  refused     open
			8    call t      half-open
			8    fault t     open
			16   call t      half-open
			16   fault t     open
			32   call t      half-open
			32   fault t     open
			64   call t      half-open
			64   fault t     open
			123  refused     open
			124  call t      half-open
			124  fault t     open
			183  refused     open
			184  call t      half-open
			184  well t      closed
			185  call a      closed
			185  fault a     closed`,
		"a trial that nobody waits for is made again": opened + `
			1    call t      half-open
			1    unknown t   open
			1    call u      half-open
			1    well t      half-open
			1    fault t     half-open
			1    well u      closed`,
		"calls from before it opened change nothing": `
			0    call x      closed
			0    call y      closed` + opened + `
			0.5  well x      open
			0.5  refused     open
			1    call t      half-open
			1    fault y     half-open
			1    well t      closed`,
		"a late trial does not count for a later one": opened + `
			1    call t      half-open
			1    unknown t   open
			1    call u      half-open
			1    fault u     open
			1    well t      open`,
	} {
		t.Run(name, func(t *testing.T) { play(t, story) })
	}
}

// opened is a circuit that has just opened, at second 0.
const opened = `
			0 call a closed
			0 fault a closed
			0 call a closed
			0 fault a closed
			0 call a closed
			0 fault a closed
			0 call a closed
			0 fault a closed
			0 call a closed
			0 fault a open`

func play(t *testing.T, story string) {
	t.Helper()
	var c failure.Circuit
	permits := map[string]failure.Permit{}
	begin := time.Unix(1000, 0)
	lines := bufio.NewScanner(strings.NewReader(story))
	for n := 1; lines.Scan(); n++ {
		w := strings.Fields(lines.Text())
		if len(w) == 0 {
			continue
		}
		var seconds float64
		if _, err := fmt.Sscan(w[0], &seconds); err != nil {
			t.Fatalf("line %d: %v", n, err)
		}
		now := begin.Add(time.Duration(seconds * float64(time.Second)))
		verdict := map[string]failure.Verdict{"well": failure.Well, "fault": failure.Fault, "unknown": failure.Unknown}
		switch w[1] {
		case "refused":
			if _, ok := c.Ask(now); ok {
				t.Fatalf("line %d: a call is let through", n)
			}
		case "call":
			p, ok := c.Ask(now)
			if !ok {
				t.Fatalf("line %d: the call is refused, until %v", n, c.Until().Sub(begin))
			}
			permits[w[2]] = p
		default:
			c.Done(now, permits[w[2]], verdict[w[1]])
		}
		if want := w[len(w)-1]; string(c.State()) != want {
			t.Fatalf("line %d, %q: the circuit is %s", n, strings.TrimSpace(lines.Text()), c.State())
		}
	}
}

// TestCircuitAtRandom: whatever happens, an open circuit lets nothing through
// before its time, at most one trial runs, and a plugin that is well again is
// called again within the longest wait.
func TestCircuitAtRandom(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		var c failure.Circuit
		now := time.Unix(0, 0)
		var out []failure.Permit
		trials := 0
		for range 2000 {
			now = now.Add(time.Duration(r.ExpFloat64() * float64(500*time.Millisecond)))
			before, until := c.State(), c.Until()
			if r.IntN(2) == 0 {
				p, ok := c.Ask(now)
				if ok && before == failure.Open && now.Before(until) || ok && before == failure.HalfOpen {
					t.Fatalf("seed %d: let through while %s", seed, before)
				}
				if ok {
					out = append(out, p)
				}
				if ok && before == failure.Open {
					trials++
				}
			} else if len(out) > 0 {
				i := r.IntN(len(out))
				c.Done(now, out[i], failure.Verdict(r.IntN(3)))
				out = append(out[:i], out[i+1:]...)
			}
		}
		if trials == 0 {
			t.Errorf("seed %d: no trial", seed)
		}
		for _, p := range out {
			c.Done(now, p, failure.Unknown)
		}
		now = now.Add(failure.LastWait)
		if p, ok := c.Ask(now); !ok {
			t.Errorf("seed %d: refused after the longest wait, %s", seed, c.State())
		} else if c.Done(now, p, failure.Well); c.State() != failure.Closed {
			t.Errorf("seed %d: %s after a trial that is well", seed, c.State())
		}
	}
}
