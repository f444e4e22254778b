package sim

import "time"

// Config says what is played. The zero value of each field means its default.
type Config struct {
	Seed  uint64
	Nodes int           // 5
	Apps  int           // 3 singletons; the even ones have a backend
	Pools int           // apps that are active on every node
	TTL   time.Duration // 3 s; the rest of the timing follows from it as in package host

	Lost int // machines that die for good when the faults end; 0

	Faults Faults
	Guard  Guard
	// Trace gets every line of what happens; nil keeps only the last ones for
	// the report of a violation.
	Trace func(line string)
}

// Faults says what goes wrong. A probability is between 0 and 1; a time is the
// mean time between two such faults anywhere, 0 is never.
type Faults struct {
	Loss      float64 // of each message
	Duplicate float64 // of each word of a watch
	Late      float64 // that a request arrives only after it was given up
	Liar      float64 // that a server which led refuses a write as a conflict that the one which leads now stores
	Tail      float64 // that a message takes 10 times as long
	Skew      float64 // clocks run up to this much fast or slow, as a part of 1
	Work      float64 // that a step of an app fails, hangs or is slow
	Trap      float64 // that a node is frozen, killed or cut off just when it writes or begins a step

	Cut      time.Duration // of the link between a node and the store, one way or both
	Stale    time.Duration // a server is cut off and does not know: for up to 4 s it answers reads with what was true then
	Slow     time.Duration // a link becomes up to 100 times as slow
	Outage   time.Duration // of the whole store
	Pause    time.Duration // of a process, up to 3 x TTL
	Kill     time.Duration // of a process; its guard cleans up
	Crash    time.Duration // of a machine
	Leave    time.Duration // planned shutdown and return
	StepDown time.Duration
	Fail     time.Duration // of a running backend
	Edit     time.Duration // labels are changed, nodes cordoned
	Jump     time.Duration // of a wall clock
}

// Guard says how the guards behave; each field is a defect that the checks must
// be able to see.
type Guard struct {
	None  bool // hosts have no guard
	Early bool // a frozen host's session is given back before its lease has ended
}

// Stats counts what happened.
type Stats struct {
	Events, Steps          int
	Writes, Renewals       int
	Messages               int // sent to the store, or on their way from it or from another node
	Conflicts, Unknown     int
	Revoked, Released      int
	Leaderships            int
	Acts, Refused          int // acts under a lease, and not done for want of one
	Joined, Left           int // told to nodes
	Faults                 int
	GuardFired, Overruns   int
	Settled                time.Duration // from the end of the faults until all was well
	Trace                  uint64        // hash of all that happened
	StepDowns, StepDownErr int
}

// Every is the time between two renewals.
func (c Config) every() time.Duration { return c.TTL / 4 }

func (c Config) budget() time.Duration { return c.TTL / 3 }

func (c Config) margin() time.Duration { return max(20*time.Millisecond, c.TTL/50) }

// digest is the time between two digests of the controller.
const digest = 2 * time.Second

// writeTimeout is when a host gives a write up.
func (c Config) writeTimeout() time.Duration {
	return min(max(c.TTL/6, 50*time.Millisecond), time.Second)
}

func (c Config) withDefaults() Config {
	if c.Nodes == 0 {
		c.Nodes = 5
	}
	if c.Apps == 0 {
		c.Apps = 3
	}
	if c.TTL == 0 {
		c.TTL = 3 * time.Second
	}
	return c
}

// The mixes of faults that the tests play.

// Calm is a network with delays and nothing else.
func Calm() Faults { return Faults{Skew: 0.014} }

// Network is a bad network.
func Network() Faults {
	return Faults{
		Skew: 0.014, Loss: 0.02, Duplicate: 0.05, Late: 0.01, Liar: 0.01, Stale: 4 * time.Second, Tail: 0.05,
		Slow: 5 * time.Second, Cut: 3 * time.Second, Outage: 90 * time.Second, StepDown: 5 * time.Second, Edit: 5 * time.Second, Jump: 20 * time.Second,
	}
}

// Frozen is processes that stand still.
func Frozen() Faults {
	return Faults{
		Skew: 0.014, Loss: 0.002, Tail: 0.02, Stale: 15 * time.Second, Work: 0.03, Trap: 0.01,
		Pause: 2 * time.Second, Slow: 10 * time.Second, Cut: 15 * time.Second, StepDown: 5 * time.Second, Fail: 15 * time.Second,
	}
}

// Deaths is processes and machines that die and come back.
func Deaths() Faults {
	return Faults{
		Skew: 0.014, Loss: 0.005, Late: 0.01, Stale: 8 * time.Second, Tail: 0.02, Work: 0.02, Trap: 0.002,
		Kill: 3 * time.Second, Crash: 8 * time.Second, Leave: 8 * time.Second, StepDown: 5 * time.Second, Edit: 10 * time.Second,
	}
}

// Everything is all of it.
func Everything() Faults {
	return Faults{
		Skew: 0.014, Loss: 0.01, Duplicate: 0.02, Late: 0.01, Liar: 0.005, Stale: 8 * time.Second, Tail: 0.03, Work: 0.03, Trap: 0.002,
		Slow: 8 * time.Second, Cut: 5 * time.Second, Outage: 120 * time.Second, Pause: 5 * time.Second, Kill: 7 * time.Second, Crash: 15 * time.Second,
		Leave: 15 * time.Second, StepDown: 7 * time.Second, Fail: 15 * time.Second, Edit: 10 * time.Second, Jump: 30 * time.Second,
	}
}
