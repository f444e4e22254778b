//go:build mutant

package sim

import (
	"strings"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/host/core/election"
)

// TestMutants: each defect planted in the protocol is found within a bounded
// number of seeds; without any of them the same worlds are clean. The mutant is
// a variable of the package, so nothing here is parallel.
func TestMutants(t *testing.T) {
	for _, m := range []struct {
		name  string
		worst func(seed uint64) Config // the worlds that this defect fears
	}{
		{election.MutantFromReply, func(seed uint64) Config {
			f := Frozen()
			f.Slow, f.Pause = 500*time.Millisecond, 700*time.Millisecond
			return Config{Seed: seed, Faults: f, TTL: 600 * time.Millisecond}
		}},
		{election.MutantCachedFlag, func(seed uint64) Config { return Config{Seed: seed, Faults: Frozen()} }},
		{election.MutantNoRevoke, func(seed uint64) Config { return Config{Seed: seed, Faults: Network()} }},
		{election.MutantNoMargin, func(seed uint64) Config { return Config{Seed: seed, Faults: Frozen()} }},
	} {
		t.Run(m.name, func(t *testing.T) {
			const most = 40
			election.Mutant = m.name
			defer func() { election.Mutant = "" }()
			began, found := time.Now(), uint64(0)
			var err error
			for seed := uint64(1); seed <= most && err == nil; seed++ {
				if _, err = Run(m.worst(seed), 45*time.Second); err != nil {
					found = seed
				}
			}
			took := time.Since(began).Round(time.Millisecond)
			if found == 0 {
				t.Fatalf("not found in %d seeds, %v", most, took)
			}
			t.Logf("found at seed %d after %v: %s", found, took, firstLine(err))
			election.Mutant = ""
			if _, err := Run(m.worst(found), 45*time.Second); err != nil {
				t.Fatalf("without the mutant: %v", err)
			}
		})
	}
}

func firstLine(err error) string {
	what, _, _ := strings.Cut(err.Error(), "\n")
	return what
}
