package rpc

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// clock ends the calls of a server whose time is over: one timer for all of
// them, set to the earliest deadline that there was when it last ran. Most calls
// have ended long before theirs, so that it seldom runs.
type clock struct {
	next   time.Time     // when it runs; zero: not at all. Guarded by the server
	sooner chan struct{} // next is earlier than it was
	quit   chan struct{}
	all    sync.WaitGroup
}

// startClock has deadlines heeded until stop, which waits for what is being told.
func (s *Server) startClock() {
	c := &clock{sooner: make(chan struct{}, 1), quit: make(chan struct{})}
	s.clock = c
	c.all.Go(func() { s.runClock(c) })
}

func (c *clock) stop() {
	close(c.quit)
	c.all.Wait()
}

// heed takes note of a deadline. The server is locked.
func (c *clock) heed(due time.Time) {
	if !c.next.IsZero() && !due.Before(c.next) {
		return
	}
	c.next = due
	select {
	case c.sooner <- struct{}{}:
	default:
	}
}

func (s *Server) runClock(c *clock) {
	t := time.NewTimer(maxWait)
	defer t.Stop()
	for {
		select {
		case <-c.sooner:
		case <-t.C:
		case <-c.quit:
			return
		}
		over, pause := s.overdue(c)
		for _, r := range over {
			r.ctx.end(context.DeadlineExceeded)
			s.tell(r, fault{string(pluginapi.ErrTimeout), stateRunning, fmt.Sprintf("%v after %v: the handler has not come back", pluginapi.ErrTimeout, r.q.Wait)})
		}
		t.Reset(pause)
	}
}

// overdue returns the calls whose time is over, and for how long there is nothing
// to do.
func (s *Server) overdue(c *clock) (over []*run, pause time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if now.Before(c.next) {
		return nil, c.next.Sub(now)
	}
	c.next = time.Time{}
	for r := range s.running {
		switch {
		case !now.Before(r.ctx.due):
			over = append(over, r)
		case c.next.IsZero() || r.ctx.due.Before(c.next):
			c.next = r.ctx.due
		}
	}
	if c.next.IsZero() {
		return over, maxWait
	}
	return over, c.next.Sub(now)
}
