package guard

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Bounds of a lease's TTL.
const (
	minTTL = 10 * time.Millisecond
	maxTTL = time.Hour
)

// ErrFired is what [Guard.Fences] returns while the watchman has acted on the
// present incarnation of the host: its session is over, and what it starts now
// will be killed. The host must join again first.
const ErrFired pluginapi.Error = "the guard has ended this incarnation"

// Init is the first message to a watchman: whom it watches.
type Init struct {
	Platform string `json:"platform"`
	Node     string `json:"node"`
	// HostPID is the process to watch. Zero means the calling process.
	HostPID int `json:"host_pid"`
	// Store is handed to [Dial] unread: the addresses and logins of the other
	// hosts' servers. It must never be the host's own server, which dies with it.
	Store json.RawMessage `json:"store,omitempty"`
}

func (i Init) check() error {
	if err := pluginapi.CheckName("platform", i.Platform); err != nil {
		return err
	}
	if err := pluginapi.CheckName("node", i.Node); err != nil {
		return err
	}
	if i.HostPID <= 0 {
		return fmt.Errorf("%w: pid %d of the host: give a positive one", pluginapi.ErrInvalid, i.HostPID)
	}
	return nil
}

// Lease is the host's session as it was last acknowledged by the store.
type Lease struct {
	Node string `json:"node"`
	Inc  uint64 `json:"inc"` // incarnation, 1 or more; grows with each join
	Seq  uint64 `json:"seq"` // sequence of the session record, a hint
	// TTL is the life of the session: 10 ms to 1 h. Margin is how long before the
	// deadline the watchman begins to kill: 0 to less than TTL.
	TTL    time.Duration `json:"ttl_ns"`
	Margin time.Duration `json:"margin_ns"`
	// Deadline is the time of package clock, in ns, at which the session stops
	// being valid: when the last acknowledged renewal was sent, plus TTL. Zero is
	// no deadline: the watchman then acts on the host's death only. A host that
	// is about to join sends its lease with no deadline first, so that a join
	// that arrives after its death is given back too.
	Deadline int64 `json:"deadline_ns"`
}

func (l Lease) check(node string) error {
	switch {
	case l.Node != node:
		return fmt.Errorf("%w: lease of node %.80q: the guard watches %q", pluginapi.ErrInvalid, l.Node, node)
	case l.Inc == 0:
		return fmt.Errorf("%w: lease without an incarnation", pluginapi.ErrInvalid)
	case l.TTL < minTTL || l.TTL > maxTTL:
		return fmt.Errorf("%w: lease ttl %v: give %v to %v", pluginapi.ErrInvalid, l.TTL, minTTL, maxTTL)
	case l.Margin < 0 || l.Margin >= l.TTL:
		return fmt.Errorf("%w: lease margin %v: give 0 to less than the ttl, %v", pluginapi.ErrInvalid, l.Margin, l.TTL)
	case l.Deadline < 0:
		return fmt.Errorf("%w: lease deadline %d ns: give 0 (none) or more", pluginapi.ErrInvalid, l.Deadline)
	}
	return nil
}

// actAt is the time at which the watchman must act, in ns; 0 is never. A
// deadline further away than one TTL cannot be true and counts as one TTL.
func (l Lease) actAt(now time.Time) int64 {
	if l.Deadline == 0 {
		return 0
	}
	at := min(l.Deadline, now.UnixNano()+int64(l.TTL)) - int64(l.Margin)
	return max(at, 1)
}

// Reasons of [Fired].
const (
	reasonDeadline = "deadline" // the lease's deadline came near and no renewal was told
	reasonClosed   = "closed"   // the host's end of the pipe was closed
	reasonExited   = "exited"   // the host's process is gone
	reasonProtocol = "protocol" // what came through the pipe made no sense
)

// Fired says that the watchman has acted on a host that may be alive.
type Fired struct {
	// Reason is "deadline", "closed", "exited" or "protocol".
	Reason string `json:"reason"`
	// Inc is the incarnation that was ended; 0 when none was known.
	Inc uint64 `json:"inc"`
}
