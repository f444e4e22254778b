package guarded

import (
	"sync"
	"time"

	"github.com/ozanturksever/go-cluster/host/plugin/failure"
)

// Circuit is a [failure.Circuit] with this process's clock. Policy and hook of
// one plugin may share it. The zero value is closed and tells nobody.
type Circuit struct {
	// Changed is told when a call has opened or closed the circuit; err is the
	// fault that opened it. It is called by the goroutine of that call.
	Changed func(now failure.State, err error)

	mu sync.Mutex
	c  failure.Circuit
}

// State is the state now.
func (c *Circuit) State() failure.State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.c.State()
}

func (c *Circuit) ask() (failure.Permit, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.c.Ask(time.Now())
}

func (c *Circuit) done(p failure.Permit, v failure.Verdict, err error) {
	c.mu.Lock()
	before, wait := c.c.State(), c.c.Until()
	c.c.Done(time.Now(), p, v)
	after, until := c.c.State(), c.c.Until()
	c.mu.Unlock()
	opened := after == failure.Open && !until.Equal(wait) // a trial that nobody waited for opens nothing
	if c.Changed != nil && (opened || after == failure.Closed && before != failure.Closed) {
		c.Changed(after, err)
	}
}
