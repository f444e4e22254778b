package chaos

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	cluster "github.com/ozanturksever/go-cluster"
)

func (c *clients) keptNote(text string, e entry) {
	e.Kind, e.Text, e.T = kindKept, text, c.w.now()
	e.Node, e.App, e.PID = c.w.self.Node, c.w.self.App, c.w.self.PID
	c.must(c.w.write(e))
}

// publish keeps an event every few milliseconds. One whose fate is not known is
// published again under the same id.
func (c *clients) publish(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		id := fmt.Sprintf("%s-%d-%d", c.spec.Node, c.w.self.PID, n)
		for ctx.Err() == nil {
			try, cancel := context.WithTimeout(ctx, 5*time.Second)
			err := c.app.Events().PublishDurable(try, c.spec.Events, []byte(id), cluster.WithEventID(id))
			cancel()
			if err == nil {
				c.keptNote(keptSent, entry{About: id})
				break
			}
		}
		_ = pause(ctx, 25*time.Millisecond)
	}
}

// consume shares the events with the other nodes.
func (c *clients) consume(ctx context.Context) {
	handle := func(ctx context.Context, e cluster.Event) error {
		at := entry{About: string(e.Data), Seq: e.Sequence, Tries: e.Tries}
		if e.ID != at.About {
			panic(fmt.Sprintf("event %q holds %q", e.ID, at.About))
		}
		c.keptNote(keptGot, at)
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return err
		}
		c.keptNote(keptDone, at)
		return nil
	}
	for ctx.Err() == nil {
		if _, err := c.app.Events().SubscribeDurable(ctx, c.spec.Events, "workers", handle, cluster.FromStart()); err == nil {
			return // it ends with the node
		}
		_ = pause(ctx, 50*time.Millisecond)
	}
}

// TestEventsOfKilledProcess kills a process that handles kept events, with many
// in its hands. All that were ever stored are handled, at least once; the others
// have what it held, within 10 s; and what a subscriber gets for the first time
// comes in the order of the stream.
func TestEventsOfKilledProcess(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{library: &librarySpec{Events: "work"}}).start()
	for range times(3, 20) {
		var victim *host
		within(t, redelivery+noise, "kill -9 of a subscriber until what it held is handled", func() time.Duration {
			if victim != nil {
				victim.start()
				w.settle()
			}
			victim = w.busyWith()
			at := victim.kill()
			var last int64
			w.await(settleTime, "what it held is handled by the others", func() bool {
				last = w.handled(at)
				return last > 0
			})
			return time.Duration(last - at)
		})
		victim.start()
		w.settle()
	}
	until := w.now()
	w.await(settleTime, "all that was stored is handled", func() bool { return w.handled(until) > 0 })
	w.judgeEvents(until)
}

// redelivery is how long the events of a dead node may take to come to others.
const redelivery = 10 * time.Second

// busyWith waits until a host has a kept event in its hands.
func (w *world) busyWith() (h *host) {
	w.t.Helper()
	since := w.now()
	w.await(settleTime, "a subscriber works", func() bool {
		for _, e := range w.tail(since) {
			if e.Kind == kindKept && e.Text == keptGot {
				h = w.host(e.Node)
			}
		}
		return h != nil
	})
	return h
}

// handled returns when the last of the events that were stored before a time was
// handled for the first time; 0 while some are not.
func (w *world) handled(before int64) (last int64) {
	done := map[string]int64{}
	all := w.entries()
	for _, e := range all {
		if e.Kind == kindKept && e.Text == keptDone && done[e.About] == 0 {
			done[e.About] = e.T
		}
	}
	for _, e := range all {
		if e.Kind != kindKept || e.Text != keptSent || e.T > before {
			continue
		}
		if done[e.About] == 0 {
			return 0
		}
		last = max(last, done[e.About])
	}
	return last
}

// judgeEvents judges what became of the events that were stored before a time.
func (w *world) judgeEvents(until int64) {
	w.t.Helper()
	faults, count := checkKept(slices.DeleteFunc(slices.Clone(w.entries()), func(e entry) bool {
		return e.Kind == kindKept && e.Text == keptSent && e.T > until
	}))
	for _, fault := range faults[:min(len(faults), 20)] {
		w.t.Error(fault)
	}
	w.t.Logf("kept events: %v", count)
	if count["again"] == 0 {
		w.t.Error("no event came twice: nobody was killed with one in his hands")
	}
}
