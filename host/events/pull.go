package events

import (
	"context"
	"errors"
	"time"

	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

const (
	batchTime   = 100 * time.Millisecond // a member holds about as much as it handles in this time
	firstBatch  = 16                     // as long as nothing is known of the handler
	mostBatch   = 512
	reopenFirst = 50 * time.Millisecond // pause before a consumer is opened again; doubles
	reopenMost  = 2 * time.Second
	lookEvery   = 10 * time.Second // between two looks for what was dropped, while the group is behind
)

// mostHeld bounds what a member holds of a group.
func mostHeld(concurrency int) int { return max(mostBatch, 2*concurrency) }

// batch is how many deliveries a member holds: few when a call takes long, so
// that other members have something to do.
func batch(took time.Duration, concurrency int) int {
	n := int(batchTime/max(took, time.Microsecond)) * concurrency
	return min(max(n, concurrency), mostHeld(concurrency))
}

// read brings deliveries until the subscription ends.
func (d *durable) read() {
	for wait := reopenFirst; d.pulling.Err() == nil; wait = min(2*wait, reopenMost) {
		begun := time.Now()
		err := d.readOnce()
		if d.pulling.Err() != nil {
			return
		}
		level := d.place.Log.Debug
		if errors.Is(err, pluginapi.ErrInvalid) {
			level = d.place.Log.Error
		}
		level("read kept events", "subject", d.sub.subject, "consumer", d.group, "err", err)
		if errors.Is(err, pluginapi.ErrInvalid) || errors.Is(err, bus.ErrClosed) {
			return
		}
		if time.Since(begun) > reopenMost {
			wait = reopenFirst
		}
		select {
		case <-time.After(wait):
		case <-d.pulling.Done():
			return
		}
	}
}

// readOnce opens the consumer, creating what is not there, and pulls until
// something is wrong.
func (d *durable) readOnce() error {
	log, cons, err := d.open(d.pulling, d.place, d.sub.b, d.sub.source, d.sub.subject)
	if err != nil {
		return err
	}
	var looked time.Time
	for {
		if time.Since(looked) > lookEvery {
			looked = time.Now()
			d.look(log, cons)
		}
		n, ctx, end := d.room()
		if d.pulling.Err() != nil {
			return nil
		}
		err := cons.Pull(ctx, n, d.take)
		end()
		if err != nil {
			d.sub.b.kept.forget(log) // it may have been deleted
			return err
		}
	}
}

// open opens the group's consumer.
func (d *durable) open(ctx context.Context, p *Place, b *Broker, source, subject string) (*bus.Log, *bus.Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	log, err := b.kept.get(ctx)
	if err != nil {
		return nil, nil, err
	}
	cons, err := log.Consumer(ctx, d.group, p.Space.subject(bus.EventKept, source, subject), d.how.Start)
	if err != nil {
		b.kept.forget(log) // it may have been deleted
	}
	return log, cons, err
}

// room waits until at most half of what this member may hold is there, and
// returns for how many more there is room, and the context of the pull for them:
// a member that is stuck must not be given more.
func (d *durable) room() (n int, ctx context.Context, end context.CancelFunc) {
	ctx, end = context.WithCancel(d.pulling)
	for ctx.Err() == nil {
		d.mu.Lock()
		most, have := batch(d.took, d.how.Concurrency), len(d.held)
		ready := have <= most/2 && !d.stuck
		if ready {
			d.endPull = end
		}
		d.mu.Unlock()
		if ready {
			return most - have, ctx, end
		}
		select {
		case <-d.freed:
		case <-ctx.Done():
		}
	}
	return 0, ctx, end
}

func (d *durable) take(e *bus.Delivery) {
	d.mu.Lock()
	d.held[e] = &hold{}
	d.mu.Unlock()
	d.todo <- e // it has room for all that may be held
}

// hold is what is known of a delivery that was not answered for.
type hold struct {
	until time.Time // its handler may work; zero: it was not called
	given bool      // up, to another member
}

// started notes until when the handler of a delivery may work. It is false when
// the delivery was given up before.
func (d *durable) started(e *bus.Delivery, at time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	h := d.held[e]
	h.until = at.Add(d.how.Timeout)
	return !h.given
}

// settle lets go of a delivery; err is what its answer came to.
func (d *durable) settle(e *bus.Delivery, err error) {
	if err != nil {
		d.place.Log.Debug("answer for event: it will come again", "consumer", d.group, "sequence", e.Seq, "err", err)
	}
	d.mu.Lock()
	delete(d.held, e)
	d.stuck = false
	d.mu.Unlock()
	select {
	case d.freed <- struct{}{}:
	default:
	}
}

func (d *durable) measure(took time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.took += (took - d.took) / 4
}

// keep tells the server that this member works on what it holds, until done. A
// call that has outlived its time is given up: another member gets the event.
func (d *durable) keep(done <-chan struct{}) {
	tick := time.NewTicker(bus.AckWait / 3)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case now := <-tick.C:
			for _, e := range d.working(now) {
				if err := e.Working(); err != nil {
					d.place.Log.Debug("keep event", "consumer", d.group, "sequence", e.Seq, "err", err)
				}
			}
		}
	}
}

// working returns what is still worked on. Calls that have outlived their time
// are given up, and when no other is left, so is what waits behind them.
func (d *durable) working(now time.Time) (out []*bus.Delivery) {
	d.mu.Lock()
	defer d.mu.Unlock()
	late := 0
	for _, h := range d.held {
		if !h.until.IsZero() && now.After(h.until) {
			late++
			h.given = true
		}
	}
	if d.stuck = late >= d.how.Concurrency; d.stuck && d.endPull != nil {
		d.endPull()
	}
	for e, h := range d.held {
		h.given = h.given || d.stuck
		if !h.given {
			out = append(out, e)
		}
	}
	return out
}

// look finds out whether the stream has dropped events that the group had not
// been given yet.
func (d *durable) look(log *bus.Log, cons *bus.Consumer) {
	ctx, cancel := context.WithTimeout(d.pulling, 2*time.Second)
	defer cancel()
	lag, err := cons.Lag(ctx)
	if err != nil || lag.Pending == 0 {
		return
	}
	st, err := log.State(ctx)
	if err != nil || st.First <= lag.Next {
		return
	}
	lost := st.First - lag.Next
	d.place.Log.Error("kept events were dropped before this group has read them: raise the limits or add members",
		"subject", d.sub.subject, "consumer", d.group, "at_most", lost)
	if d.place.OnLost != nil {
		d.place.OnLost(d.group, lost)
	}
}
