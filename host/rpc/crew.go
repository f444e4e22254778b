package rpc

import "sync"

// maxIdle is how many goroutines wait for the next call. A new one would have to
// grow its stack for each call anew.
const maxIdle = 16

// job is what a crew does.
type job interface{ do() }

// crew does jobs on goroutines of its own, as many as have to run at the same
// time. None waits for another that is slow: while there is work, a goroutine
// that will take it is on its way. But no goroutine is woken for work that one
// that has just become free takes first: quick jobs that come in a row are done
// in a row, and what they write goes out together.
type crew struct {
	mu     sync.Mutex
	wake   sync.Cond
	work   []job // from head on
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

// do has a job done and does not wait.
func (c *crew) do(j job) {
	c.mu.Lock()
	if c.head > 64 && c.head > len(c.work)/2 { // the queue is never empty, and moves on
		n := copy(c.work, c.work[c.head:])
		clear(c.work[n:])
		c.work, c.head = c.work[:n], 0
	}
	c.work = append(c.work, j)
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

// one takes a job and does it. c.mu is held, but not meanwhile.
func (c *crew) one() {
	j := c.work[c.head]
	c.work[c.head] = nil
	if c.head++; c.head == len(c.work) {
		c.work, c.head = c.work[:0], 0
	} else {
		c.call()
	}
	c.mu.Unlock()
	defer c.mu.Lock()
	j.do()
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
