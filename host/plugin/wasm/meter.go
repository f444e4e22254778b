package wasm

import (
	"context"
	"fmt"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// refill is called by a guest that has used up its slice of fuel: it gets the
// next one, unless its time is over. While it is here it can be preempted; that
// is what keeps the garbage collector and the rest of the host going.
func (g *guest) refill(stack []uint64) {
	g.checkTime()
	if g.call.fn != nil && stackOf(g.call.fn) > maxStack {
		g.trap(pluginapi.ErrPluginLimit, fmt.Sprintf("it calls itself too deeply: its stack has more than %d KiB", maxStack>>10))
	}
	stack[0] = uint64(g.inst.slice)
}

// checkTime ends the guest when its call may not run any longer.
func (g *guest) checkTime() {
	now := time.Now()
	end, ours := g.deadline(now)
	switch {
	case g.inst.killed.Err() != nil:
		g.trap(pluginapi.ErrPluginDisabled, "the plugin was unloaded while the call ran")
	case g.call.ctx.Err() != nil:
		panic(g.ended(overdue(g.call.ctx.Err(), now.Sub(g.call.began))))
	case !ours && !now.Before(end):
		panic(g.ended(overdue(context.DeadlineExceeded, now.Sub(g.call.began))))
	case !now.Before(end):
		g.trap(pluginapi.ErrPluginLimit, fmt.Sprintf("it ran longer than the %v that a call may take", g.call.limit))
	}
}

// deadline is when the call must have ended, and whether the limit of a call
// says so rather than the caller's context. The time of a call counts from the
// first question of it to the host, at the latest one slice of fuel after its
// begin: a short call does not read the clock.
func (g *guest) deadline(now time.Time) (end time.Time, ours bool) {
	if g.call.began.IsZero() {
		g.call.began = now
	}
	end = g.call.began.Add(g.call.limit)
	if theirs, ok := g.call.ctx.Deadline(); ok && theirs.Before(end) {
		return theirs, false
	}
	return end, true
}

// trap ends the guest's call for good.
func (g *guest) trap(kind error, text string) {
	panic(g.ended(&trap{kind, text}))
}

// ended notes the first reason for the end of the guest.
func (g *guest) ended(t *trap) *trap {
	if g.call.trap == nil {
		g.call.trap = t
	}
	return g.call.trap
}

// workUnit is for how many bytes of work in host functions the guest's time is
// looked at again: what the host does for it costs no fuel.
const workUnit = 64 << 10

// callCost is the work of a host function beside the bytes that it handles.
const callCost = 256

// work counts what the host does for the guest, in bytes.
func (g *guest) work(n int) {
	if g.call.work += n; g.call.work >= workUnit {
		g.call.work = 0
		g.checkTime()
	}
}
