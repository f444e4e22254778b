package sim

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"
)

var (
	oneSeed = flag.Uint64("seed", 0, "the one seed that TestSeed plays; with -v it tells all that happens")
	seeds   = flag.Int("seeds", 0, "how many seeds TestSimSafety plays (0: the environment's SIM_SEEDS, or a default)")
)

// world of a seed: the seed alone decides the faults, the lease and the size,
// so that it is all one needs to play a failure again.
func configOf(seed uint64) (cfg Config, play time.Duration, name string) {
	mixes := []struct {
		name string
		f    Faults
	}{{"everything", Everything()}, {"frozen", Frozen()}, {"network", Network()}, {"deaths", Deaths()}, {"calm", Calm()}}
	m := mixes[seed%5]
	cfg = Config{Seed: seed, Faults: m.f, Pools: 1}
	play = 45 * time.Second
	switch seed / 5 % 4 {
	case 1: // messages and steps take long, compared with the lease
		cfg.TTL, play = 600*time.Millisecond, 20*time.Second
	case 2:
		cfg.Nodes, cfg.Apps = 3, 5
	case 3:
		cfg.Nodes, cfg.Apps, cfg.Pools = 1+int(seed/20%7), 1, 0
	}
	if seed%3 == 0 {
		cfg.Lost = (cfg.withDefaults().Nodes - 1) / 2
	}
	return cfg, play, fmt.Sprintf("%s, %d nodes, ttl %v", m.name, cfg.withDefaults().Nodes, cfg.withDefaults().TTL)
}

// TestSeed plays one seed again: go test ./host/sim -run TestSeed -seed=N -v
func TestSeed(t *testing.T) {
	if *oneSeed == 0 {
		t.Skip("give -seed=N")
	}
	cfg, play, name := configOf(*oneSeed)
	if testing.Verbose() {
		cfg.Trace = func(line string) { fmt.Println(line) }
	}
	stats, err := Run(cfg, play)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	t.Logf("%s: %+v", name, stats)
}

func howMany(t *testing.T) int {
	if *seeds > 0 {
		return *seeds
	}
	if s := os.Getenv("SIM_SEEDS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n <= 0 {
			t.Fatalf("SIM_SEEDS is %q: give a positive number", s)
		}
		return n
	}
	return defaultSeeds
}

// TestSimSafety: G1 one leader, G2 epochs only rise, G3 nothing runs without
// its session, hooks and members are told right, and everything recovers.
func TestSimSafety(t *testing.T) {
	n, began := howMany(t), time.Now()
	var next, events, leads, acts, joins, faults, revoked, fired atomic.Int64
	t.Run("worlds", func(t *testing.T) {
		for range runtime.GOMAXPROCS(0) {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				for seed := next.Add(1); seed <= int64(n) && !t.Failed(); seed = next.Add(1) {
					cfg, play, name := configOf(uint64(seed))
					s, err := Run(cfg, play)
					if err != nil {
						t.Errorf("%s: %v\nplay it again: go test ./host/sim -run TestSeed -seed=%d -v", name, err, seed)
					}
					events.Add(int64(s.Events))
					leads.Add(int64(s.Leaderships))
					acts.Add(int64(s.Acts))
					joins.Add(int64(s.Joined))
					faults.Add(int64(s.Faults))
					revoked.Add(int64(s.Revoked))
					fired.Add(int64(s.GuardFired))
				}
			})
		}
	})
	took := time.Since(began)
	t.Logf("%d seeds in %v: %d events (%.0f a second), %d faults, %d leaderships, %d acts, %d joins told, %d sessions revoked, %d deadlines of guards",
		n, took.Round(time.Millisecond), events.Load(), float64(events.Load())/took.Seconds(), faults.Load(), leads.Load(), acts.Load(),
		joins.Load(), revoked.Load(), fired.Load())
	for what, got := range map[string]int64{"faults": faults.Load(), "leaderships": leads.Load(), "acts": acts.Load(), "joins": joins.Load(), "revocations": revoked.Load(), "deadlines of guards": fired.Load()} {
		if got < int64(n)/10 {
			t.Errorf("only %d %s in %d seeds: the simulator does not exercise what it checks", got, what, n)
		}
	}
}

// TestSimSameSeed: a seed is the whole cause of what happens.
func TestSimSameSeed(t *testing.T) {
	cfg, play, _ := configOf(5) // everything
	a, errA := Run(cfg, play)
	b, errB := Run(cfg, play)
	if a != b || errA != nil || errB != nil {
		t.Fatalf("one seed, two stories:\n%+v %v\n%+v %v", a, errA, b, errB)
	}
	cfg.Seed++
	if c, _ := Run(cfg, play); c.Trace == a.Trace {
		t.Fatal("two seeds, one story: the trace is not hashed")
	}
}
