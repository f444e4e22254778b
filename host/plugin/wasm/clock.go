package wasm

import (
	crand "crypto/rand"
	"encoding/binary"
	"math/rand/v2"
	"time"

	"github.com/tetratelabs/wazero/api"
)

const (
	clockRealtime  = 0
	clockMonotonic = 1

	eventClock   = 0 // kinds of a subscription
	eventRead    = 1
	eventWrite   = 2
	absoluteTime = 1 // flag: the timeout is a moment, not a span

	maxSubscriptions   = 64
	sizeofSubscription = 48
	sizeofEvent        = 32

	randomChunk = 32 << 10

	// fixedTime is the time in seconds since 1970 for guests whose decisions must
	// be the same on every node: the first of January 2000.
	fixedTime = 946_684_800
)

// now is the time of a clock in nanoseconds, as the guest sees it. Where clocks
// stand still they move by what the guest has slept, nothing else.
func (g *guest) now(clock uint32) (int64, bool) {
	switch {
	case clock == clockRealtime && g.inst.fixed:
		return fixedTime*int64(time.Second) + int64(g.slept), true
	case clock == clockMonotonic && g.inst.fixed:
		return int64(time.Second) + int64(g.slept), true
	case clock == clockRealtime:
		return time.Now().UnixNano(), true
	case clock == clockMonotonic:
		return int64(time.Since(g.inst.runtime.born)), true
	}
	return 0, false
}

func clockRes(g *guest, mem api.Memory, stack []uint64) {
	if _, ok := g.now(uint32(stack[0])); !ok {
		stack[0] = errnoInval
		return
	}
	stack[0] = faultUnless(mem.WriteUint64Le(uint32(stack[1]), 1))
}

func clockTime(g *guest, mem api.Memory, stack []uint64) {
	now, ok := g.now(uint32(stack[0]))
	if !ok {
		stack[0] = errnoInval
		return
	}
	stack[0] = faultUnless(mem.WriteUint64Le(uint32(stack[2]), uint64(now)))
}

// randomGet fills memory with random bytes. Where they are fixed, each call of
// the plugin sees the same ones: they do not depend on the calls before it.
func randomGet(g *guest, mem api.Memory, stack []uint64) {
	b, ok := mem.Read(uint32(stack[0]), uint32(stack[1]))
	if !ok {
		stack[0] = errnoFault
		return
	}
	for len(b) > 0 {
		n := min(len(b), randomChunk)
		g.work(n)
		if g.inst.fixed {
			g.fixedRandom(b[:n])
		} else {
			_, _ = crand.Read(b[:n]) // never returns an error
		}
		b = b[n:]
	}
	stack[0] = errnoSuccess
}

func (g *guest) fixedRandom(b []byte) {
	if g.random == nil {
		var seed [32]byte
		binary.LittleEndian.PutUint64(seed[:], g.inst.seed)
		g.random = rand.NewChaCha8(seed)
	}
	_, _ = g.random.Read(b) // never returns an error
}

// subscription is one thing that a guest waits for.
type subscription struct {
	user  uint64
	kind  byte
	errno uint16
	sleep time.Duration // of eventClock
}

// pollOneoff lets a guest sleep, as long as its call may last. Writing is always
// possible; there is nothing to read.
func pollOneoff(g *guest, mem api.Memory, stack []uint64) {
	in, out, count, result := uint32(stack[0]), uint32(stack[1]), uint32(stack[2]), uint32(stack[3])
	if count == 0 || count > maxSubscriptions {
		stack[0] = errnoInval
		return
	}
	raw, ok := mem.Read(in, count*sizeofSubscription)
	if _, ok2 := mem.Read(out, count*sizeofEvent); !ok || !ok2 {
		stack[0] = errnoFault
		return
	}
	subs := make([]subscription, count)
	wait, clocks := time.Duration(0), true
	for n := range subs {
		subs[n] = g.subscription(raw[n*sizeofSubscription:][:sizeofSubscription])
		clock := subs[n].kind == eventClock && subs[n].errno == 0
		clocks = clocks && clock
		if clock && (n == 0 || subs[n].sleep < wait) {
			wait = subs[n].sleep
		}
	}
	if !clocks {
		wait = 0 // something is ready at once
	}
	g.sleep(wait)
	stack[0] = writeEvents(mem, out, result, subs, wait)
}

func (g *guest) subscription(raw []byte) subscription {
	s := subscription{user: binary.LittleEndian.Uint64(raw), kind: raw[8]}
	switch s.kind {
	case eventClock:
		now, ok := g.now(binary.LittleEndian.Uint32(raw[16:]))
		if !ok {
			s.errno = errnoInval
			break
		}
		span := binary.LittleEndian.Uint64(raw[24:])
		if binary.LittleEndian.Uint16(raw[40:])&absoluteTime != 0 {
			span -= min(span, uint64(now))
		}
		s.sleep = time.Duration(min(span, 1<<62))
	case eventRead, eventWrite:
		if fd := binary.LittleEndian.Uint32(raw[16:]); fd > 2 {
			s.errno = errnoBadf
		}
	default:
		s.errno = errnoNotsup
	}
	return s
}

// writeEvents tells the guest what has happened after it slept so long.
func writeEvents(mem api.Memory, out, result uint32, subs []subscription, slept time.Duration) uint64 {
	happened := uint32(0)
	for _, s := range subs {
		if s.kind == eventClock && s.errno == 0 && s.sleep > slept {
			continue
		}
		var event [sizeofEvent]byte
		binary.LittleEndian.PutUint64(event[:], s.user)
		binary.LittleEndian.PutUint16(event[8:], s.errno)
		event[10] = s.kind
		mem.Write(out+happened*sizeofEvent, event[:])
		happened++
	}
	return faultUnless(mem.WriteUint32Le(result, happened))
}

// sleep lets time pass for the guest, and ends it when its call is over.
func (g *guest) sleep(span time.Duration) {
	if span <= 0 {
		return
	}
	if g.inst.fixed {
		g.slept += span
		g.work(workUnit)
		return
	}
	end, _ := g.deadline(time.Now())
	timer := time.NewTimer(min(span, time.Until(end)))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-g.call.ctx.Done():
	case <-g.inst.killed.Done():
	}
	g.checkTime()
}
