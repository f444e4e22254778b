package lock_test

import (
	"testing"
)

const worldSteps = 400

func run(seed uint64, m mutant) *world {
	w := newWorld(seed, m)
	for range worldSteps {
		if w.step(); len(w.faults) > 0 {
			return w
		}
	}
	w.settle()
	return w
}

// TestWorld: whatever is lost, late, done twice or of unknown fate, and whoever
// loses his session or is killed: holders exclude each other, epochs rise, the
// living come in in the order in which they came, and in the end everybody has
// had the lock and nothing is left behind.
func TestWorld(t *testing.T) {
	seeds := uint64(2000)
	if raceEnabled || testing.Short() {
		seeds = 300
	}
	grants := 0
	for seed := range seeds {
		w := run(seed, sound)
		if len(w.faults) > 0 {
			t.Fatalf("seed %d: %q", seed, w.faults)
		}
		grants += w.grants
	}
	if grants < 10*int(seeds) {
		t.Errorf("%d grants in %d worlds: little happens", grants, seeds)
	}
}

// TestWorldFindsMutants: each planted defect is found.
func TestWorldFindsMutants(t *testing.T) {
	for _, m := range []mutant{surelyNotDone, cachedSession, dropsLiving, neverLooks, blindStore, overtakes, epochFalls, forgetsTickets} {
		const seeds = 20000
		for seed := uint64(0); len(run(seed, m).faults) == 0; seed++ {
			if seed == seeds {
				t.Fatalf("not found: %s", m)
			}
		}
	}
}
