package rpc

import (
	"sync"
	"sync/atomic"
)

// maxIdle is how many goroutines wait for the next call. A new one would have to
// grow its stack for each call anew.
const maxIdle = 16

// crew runs functions on goroutines of its own, as many as there are functions.
// It keeps a few for the next ones.
type crew struct {
	work chan func()
	quit chan struct{}
	idle atomic.Int32
	all  sync.WaitGroup
}

func newCrew() *crew { return &crew{work: make(chan func()), quit: make(chan struct{})} }

// do runs fn and does not wait.
func (c *crew) do(fn func()) {
	select {
	case c.work <- fn:
	default:
		c.all.Go(func() { c.run(fn) })
	}
}

func (c *crew) run(fn func()) {
	for {
		fn()
		if c.idle.Add(1) > maxIdle {
			c.idle.Add(-1)
			return
		}
		select {
		case fn = <-c.work:
			c.idle.Add(-1)
		case <-c.quit:
			return
		}
	}
}

// close lets the goroutines end, and waits for them unless some cannot.
func (c *crew) close(wait bool) {
	close(c.quit)
	if wait {
		c.all.Wait()
	}
}
