package backend

import "time"

const (
	maxDelay = 30 * time.Second
	jitter   = 0.2
)

// budget decides whether and when a service is restarted.
type budget struct {
	policy RestartPolicy
	past   []time.Time // restarts within the window, oldest first
}

// next returns how long to wait before the next restart, and false when there
// is none left. random is in [0,1) and spreads the delays of many nodes.
func (b *budget) next(now time.Time, random float64) (time.Duration, bool) {
	for len(b.past) > 0 && now.Sub(b.past[0]) >= b.policy.Window {
		b.past = b.past[1:]
	}
	if b.policy.Disabled || len(b.past) >= b.policy.MaxRestarts {
		return 0, false
	}
	delay, limit := float64(b.policy.Delay), float64(max(maxDelay, b.policy.Delay))
	for range b.past {
		delay = min(delay*b.policy.Backoff, limit)
	}
	b.past = append(b.past, now)
	return time.Duration(delay * (1 - jitter + 2*jitter*random)), true
}
