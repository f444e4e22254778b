package rpc

import (
	"fmt"
	"math"
	mathrand "math/rand/v2"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Targets of a call beside the id of a node. No node can be called that.
const (
	TargetLeader = "@leader" // the node that leads the app
	TargetAny    = "@any"    // one of the nodes that have the app
	TargetAuto   = ""        // the leader of an app that has one, else any
)

// Retry says how a call is tried again. The zero Retry does not.
type Retry struct {
	Times int           // beyond the first
	First time.Duration // pause before the first of them; doubled for each further one
	Most  time.Duration // the longest pause
}

// DefaultRetry is three times, after 100, 200 and 400 ms, give or take half of
// it.
func DefaultRetry() Retry {
	return Retry{Times: 3, First: 100 * time.Millisecond, Most: 5 * time.Second}
}

// pause returns the pause before a retry, the first being 0.
func (r Retry) pause(n int) time.Duration {
	d := min(r.First<<min(n, 20), r.Most)
	return d/2 + time.Duration(mathrand.Int64N(int64(d)+1))
}

// Call is what is to be called.
type Call struct {
	From    string // the app that calls; "" for none
	App     string
	Target  string
	Method  string
	Payload []byte
	Timeout time.Duration // 0: what the context says, or DefaultWait
	Retry   Retry
	Circuit bool // circuits of nodes that do not answer are kept open
	// set by prepare
	id   string
	once bool
	meta map[string]string
	out  *outing
}

// check reports what is wrong with a call, before anything is sent.
func (c *Call) check(limit int) error {
	if err := pluginapi.CheckName("app", c.App); err != nil {
		return err
	}
	if c.Target != TargetLeader && c.Target != TargetAny && c.Target != TargetAuto {
		if err := pluginapi.CheckName("node", c.Target); err != nil {
			return fmt.Errorf("target is neither a node nor %s nor %s: %w", TargetLeader, TargetAny, err)
		}
	}
	if err := CheckMethod(c.Method); err != nil {
		return err
	}
	if c.id != "" {
		if err := CheckID(c.id); err != nil {
			return err
		}
	}
	if err := CheckMeta(c.meta); err != nil {
		return err
	}
	if c.Timeout < 0 || c.Retry.Times < 0 {
		return fmt.Errorf("%w: the timeout of a call must be a positive duration, the number of retries not negative", pluginapi.ErrInvalid)
	}
	if len(c.Payload) > limit {
		return fmt.Errorf("%w: the payload has %d bytes: the most that can be sent is %d, which is the NATS server's max_payload less %d for headers: send it in parts", pluginapi.ErrTooLarge, len(c.Payload), limit, HeaderRoom)
	}
	return nil
}

// question returns one attempt of the call.
func (c *Call) question(node string, wait, age time.Duration) Question {
	return Question{
		Method: c.Method, ID: c.id, App: c.From, Node: node, Wait: wait, Once: c.once, Age: age, Meta: c.meta,
	}
}

// budget is for how long the called node may take, of what the caller waits: a
// little less, so that its word that the time is over arrives before it is.
func budget(left time.Duration) time.Duration {
	return max(left-min(left/10, 100*time.Millisecond), min(left, time.Millisecond))
}

// sentAgo is the age of a repetition; never 0, which is the first attempt's.
func sentAgo(d time.Duration) time.Duration {
	return max(time.Millisecond, time.Duration(math.Ceil(float64(d)/1e6))*time.Millisecond)
}
