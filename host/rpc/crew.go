package rpc

import "sync"

// maxIdle is how many goroutines wait for the next call. A new one would have to
// grow its stack for each call anew.
const maxIdle = 16

// crew runs functions on goroutines of its own, as many as have to run at the
// same time. None waits for another that is slow: while there is work, a
// goroutine that will take it is on its way. But no goroutine is woken for work
// that one that has just become free takes first: quick functions that come in a
// row run in a row, and what they write goes out together.
type crew struct {
	mu     sync.Mutex
	wake   sync.Cond
	work   []func() // from head on
	head   int
	idle   int
	coming bool // a goroutine was woken, or started, and has not looked at the work yet
	closed bool
	all    sync.WaitGroup
}

func newCrew() *crew {
	c := &crew{}
	c.wake.L = &c.mu
	return c
}

// do runs fn and does not wait.
func (c *crew) do(fn func()) {
	c.mu.Lock()
	if c.head > 64 && c.head > len(c.work)/2 { // the queue is never empty, and moves on
		n := copy(c.work, c.work[c.head:])
		clear(c.work[n:])
		c.work, c.head = c.work[:n], 0
	}
	c.work = append(c.work, fn)
	c.call()
	c.mu.Unlock()
}

// call has a goroutine come. c.mu is held.
func (c *crew) call() {
	switch {
	case c.coming:
		return
	case c.idle > 0:
		c.idle--
		c.wake.Signal()
	default:
		c.all.Go(c.run)
	}
	c.coming = true
}

func (c *crew) run() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.coming = false
	for {
		if c.head < len(c.work) {
			c.one()
			continue
		}
		if c.closed || c.idle >= maxIdle {
			return
		}
		c.idle++
		c.wake.Wait()
		c.coming = false
	}
}

// one takes a function and runs it. c.mu is held, but not meanwhile.
func (c *crew) one() {
	fn := c.work[c.head]
	c.work[c.head] = nil
	if c.head++; c.head == len(c.work) {
		c.work, c.head = c.work[:0], 0
	} else {
		c.call()
	}
	c.mu.Unlock()
	defer c.mu.Lock()
	fn()
}

// close lets the goroutines end when the work is done, and waits for them unless
// some cannot.
func (c *crew) close(wait bool) {
	c.mu.Lock()
	c.closed = true
	c.idle = 0
	c.wake.Broadcast()
	c.mu.Unlock()
	if wait {
		c.all.Wait()
	}
}
