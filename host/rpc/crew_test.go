package rpc

import (
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

type task func()

func (f task) do() { f() }

// No job waits for another that is slow, in whatever order they come; one that
// ends its goroutine takes nobody with it; and close waits for all.
func TestCrew(t *testing.T) {
	for seed := range uint64(50) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			c := newCrew()
			gate := make(chan struct{})
			var quick, slow, done atomic.Int32
			wantQuick, all := int32(0), int32(0)
			for range 300 {
				all++
				switch rnd.IntN(4) {
				case 0:
					c.do(task(func() { slow.Add(1); <-gate; done.Add(1) }))
				case 1:
					wantQuick++
					c.do(task(func() { quick.Add(1); done.Add(1); runtime.Goexit() }))
				default:
					wantQuick++
					c.do(task(func() { quick.Add(1); done.Add(1) }))
				}
				if rnd.IntN(10) == 0 {
					synctest.Wait()
				}
			}
			synctest.Wait()
			if quick.Load() != wantQuick || slow.Load() != all-wantQuick {
				t.Errorf("seed %d: %d of %d quick ones done, %d of %d slow ones begun", seed, quick.Load(), wantQuick, slow.Load(), all-wantQuick)
			}
			if c.idle > maxIdle || len(c.work) != 0 || c.coming {
				t.Errorf("seed %d: %d idle, %d left, coming %v", seed, c.idle, len(c.work), c.coming)
			}
			close(gate)
			c.close(true)
			if done.Load() != all {
				t.Errorf("seed %d: close returned when %d of %d were done", seed, done.Load(), all)
			}
		})
	}
}

// A queue that is never empty does not grow for ever.
func TestCrewForgets(t *testing.T) {
	c := newCrew()
	c.coming = true // the test is the one that takes the jobs
	ran := 0
	job := task(func() { ran++ })
	c.do(job)
	for range 10_000 {
		c.do(job)
		c.mu.Lock()
		c.one()
		c.mu.Unlock()
	}
	if cap(c.work) > 1024 || len(c.work)-c.head != 1 || ran != 10_000 {
		t.Errorf("%d places for %d jobs, %d done", cap(c.work), len(c.work)-c.head, ran)
	}
}
