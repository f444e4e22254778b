package bus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

func TestWatchGivesAllThenChanges(t *testing.T) {
	s := startServer(t)
	r := openRecords(t, dialServer(t, s))
	empty := watch(t, r, "app.*")
	eventually(t, "the first call, with nothing", func() bool { return empty.count() == 1 })
	set(t, r, "app.a", "1")
	set(t, r, "app.b", "1")
	set(t, r, "node.x", "not ours")
	eventually(t, "live changes", func() bool { return empty.value("app.a") == "1" && empty.value("app.b") == "1" })
	later := watch(t, r, "app.*")
	eventually(t, "all at the start", func() bool { return later.count() == 1 })
	if later.value("app.a") != "1" || later.value("app.b") != "1" {
		t.Errorf("the first call gave %v", later.last)
	}
	one := watch(t, r, "app.a")
	set(t, r, "app.a", "2")
	for _, w := range []*seen{empty, later, one} {
		eventually(t, "the change at every watch", func() bool { return w.value("app.a") == "2" })
		if w.value("node.x") != "" {
			t.Error("a record that does not match was given")
		}
	}
}

func TestWatchIsFastWithoutAsking(t *testing.T) {
	s := startServer(t)
	c := dialServer(t, s)
	r := openRecords(t, c)
	w := watch(t, r, ">")
	eventually(t, "the first call", func() bool { return w.count() == 1 })
	asked := c.NATS().Stats().OutMsgs
	for i := range 200 {
		v := fmt.Sprint(i)
		seq, err := r.CAS(within(t, patience), "k", w.seq("k"), []byte(v))
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "the change", func() bool { return w.seq("k") == seq })
	}
	if n := c.NATS().Stats().OutMsgs - asked - 200; n > 10 {
		t.Errorf("%d requests for 200 changes: the live path must not read", n)
	}
}

func (s *seen) seq(key string) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last[key].Seq
}

func TestWatchesOfOnePatternShareASubscription(t *testing.T) {
	s := startServer(t)
	c := dialServer(t, s)
	r := openRecords(t, c)
	before := c.NATS().NumSubscriptions()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var first sync.WaitGroup
	for range 5 {
		first.Add(1)
		wg.Go(func() {
			var once sync.Once
			if err := r.Watch(ctx, "app.>", func([]Record) { once.Do(first.Done) }); err != nil {
				t.Error(err)
			}
		})
	}
	first.Wait()
	if n := c.NATS().NumSubscriptions() - before; n != 1 {
		t.Errorf("%d subscriptions for 5 watches", n)
	}
	cancel()
	wg.Wait()
	if n := c.NATS().NumSubscriptions() - before; n != 0 {
		t.Errorf("%d subscriptions are left behind", n)
	}
	if len(r.watchers) != 0 {
		t.Errorf("%d watchers are left behind", len(r.watchers))
	}
}

func TestWatchThroughALinkThatBreaks(t *testing.T) {
	s := startServer(t)
	p := startProxy(t, s.ClientURL())
	writer := openRecords(t, dialServer(t, s))
	r := openRecords(t, dial(t, Config{URLs: []string{p.url()}}))
	all, some, one := watch(t, r, ">"), watch(t, r, "app.*"), watch(t, r, "app.k3")
	eventually(t, "first calls", func() bool { return all.count() > 0 && some.count() > 0 && one.count() > 0 })
	final := map[string]string{}
	for round := range 20 {
		if round%2 == 1 {
			p.cut()
		}
		for i := range 30 {
			key, value := fmt.Sprintf("app.k%d", rand.IntN(10)), fmt.Sprintf("%d.%d", round, i)
			set(t, writer, key, value)
			final[key] = value
		}
		p.heal()
		if round%5 == 4 {
			for key, value := range final {
				eventually(t, "the final value of "+key, func() bool {
					return all.value(key) == value && some.value(key) == value && (key != "app.k3" || one.value(key) == value)
				})
			}
		}
	}
}

func TestWatchReadsAfterAReconnect(t *testing.T) {
	s := startServer(t)
	p := startProxy(t, s.ClientURL())
	writer := openRecords(t, dialServer(t, s))
	c := dial(t, Config{URLs: []string{p.url()}})
	r := openRecords(t, c)
	all, one := watch(t, r, "app.*"), watch(t, r, "app.a")
	for i := range 5 {
		value := fmt.Sprint(i)
		p.cut()
		eventually(t, "the cut", func() bool { return !c.Connected() })
		set(t, writer, "app.a", value)
		p.heal()
		eventually(t, "the reconnect", c.Connected)
		start := time.Now()
		eventually(t, "what was missed", func() bool { return all.value("app.a") == value && one.value("app.a") == value })
		if took := time.Since(start); took > 2*time.Second {
			t.Fatalf("found after %v: by the periodic check, not by the reconnect", took)
		}
	}
}

func TestNewWatchOfAKnownPatternReads(t *testing.T) {
	s := startServer(t)
	c := dialServer(t, s)
	r := openRecords(t, c)
	first := watch(t, r, "app.*")
	set(t, r, "app.a", "1")
	eventually(t, "the record", func() bool { return first.value("app.a") == "1" })
	deafen(t, c, r, "app.*", func() { set(t, r, "app.a", "2") })
	second := watch(t, r, "app.*")
	eventually(t, "the first call", func() bool { return second.count() > 0 })
	if v := second.value("app.a"); v != "2" {
		t.Errorf("the first call gave %q, which was old when Watch was called", v)
	}
}

func TestWatchFindsWhatWasLostOnTheWay(t *testing.T) {
	s := startServer(t)
	c := dialServer(t, s)
	r := openRecords(t, c)
	w := watch(t, r, "app.*")
	eventually(t, "the first call", func() bool { return w.count() == 1 })
	set(t, r, "app.a", "1")
	set(t, r, "app.b", "1")
	eventually(t, "live changes", func() bool { return w.value("app.a") == "1" && w.value("app.b") == "1" })

	// Lose two messages: the subscription is not there while they are sent.
	deafen(t, c, r, "app.*", func() {
		set(t, r, "app.a", "2")
		set(t, r, "app.b", "2")
	})
	start := time.Now()
	set(t, r, "app.a", "3") // names the lost sequence
	eventually(t, "the other lost change", func() bool { return w.value("app.b") == "2" })
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("found after %v: by the periodic check, not by the gap", took)
	}
	if w.value("app.a") != "3" {
		t.Errorf("app.a is %q", w.value("app.a"))
	}
}

// deafen drops what the watcher of a pattern would receive while do runs.
func deafen(t *testing.T, c *Conn, r *Records, pattern string, do func()) {
	t.Helper()
	c.mu.Lock()
	var sub *subscription
	for s := range c.subs {
		if s.subject == r.cfg.Republish+"."+pattern {
			sub = s
		}
	}
	c.mu.Unlock()
	if sub == nil {
		t.Fatal("no such watcher")
	}
	sub.busy <- struct{}{}
	sub.over = true
	<-sub.busy
	do()
	if err := c.NATS().FlushWithContext(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "everything delivered", func() bool { n, _, err := sub.sub.Pending(); return err == nil && n == 0 })
	sub.busy <- struct{}{}
	sub.over = false
	<-sub.busy
}

func TestWatchSurvivesADroppedQueue(t *testing.T) {
	s := startServer(t)
	c := dialServer(t, s)
	r := openRecords(t, c)
	w := watch(t, r, "app.*")
	eventually(t, "the first call", func() bool { return w.count() == 1 })
	c.mu.Lock()
	var sub *subscription
	for s := range c.subs {
		sub = s
	}
	c.mu.Unlock()
	if err := sub.sub.SetPendingLimits(3, -1); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	sub.busy <- struct{}{} // the reader is stuck
	for i := range 50 {
		set(t, r, fmt.Sprintf("app.k%d", i), "1")
	}
	eventually(t, "dropped messages", func() bool { n, _ := sub.sub.Dropped(); return n > 0 })
	<-sub.busy
	eventually(t, "all that was dropped", func() bool {
		for i := range 50 {
			if w.value(fmt.Sprintf("app.k%d", i)) != "1" {
				return false
			}
		}
		return true
	})
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("found after %v: by the periodic check, not by the drop", took)
	}
}

func TestSlowWatchKeepsOnlyTheNewest(t *testing.T) {
	s := startServer(t)
	r := openRecords(t, dialServer(t, s))
	stuck, free := make(chan struct{}), make(chan struct{})
	var got [][]Record
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	fast := watch(t, r, "app.*")
	done := make(chan error, 1)
	go func() {
		done <- r.Watch(ctx, "app.*", func(batch []Record) {
			got = append(got, batch)
			if len(got) == 1 {
				close(stuck)
				<-free
			}
			if len(got) == 2 {
				cancel()
			}
		})
	}()
	<-stuck
	for i := range 500 {
		set(t, r, fmt.Sprintf("app.k%d", i%3), fmt.Sprint(i))
	}
	eventually(t, "the fast watch is not held up", func() bool { return fast.value("app.k1") == "499" })
	close(free)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	have := map[string]string{}
	for _, rec := range got[1] {
		have[rec.Key] = string(rec.Value)
	}
	if want := map[string]string{"app.k0": "498", "app.k1": "499", "app.k2": "497"}; !maps.Equal(have, want) || len(got[1]) != 3 {
		t.Errorf("after being stuck fn got %v", have)
	}
	if !slices.IsSortedFunc(got[1], func(a, b Record) int { return int(int64(a.Seq) - int64(b.Seq)) }) {
		t.Error("not in order")
	}
}

func TestForgedMessagesAreIgnored(t *testing.T) {
	s := startServer(t)
	c := dialServer(t, s)
	r := openRecords(t, c)
	w := watch(t, r, "app.*")
	set(t, r, "app.a", "true")
	eventually(t, "the record", func() bool { return w.value("app.a") == "true" })
	good := nats.Header{"Nats-Stream": {r.cfg.Stream}, "Nats-Subject": {r.cfg.Subject + ".app.a"}, "Nats-Sequence": {"100"}, "Nats-Last-Sequence": {"1"}}
	for name, value := range map[string]string{"Nats-Stream": "other", "Nats-Subject": "other", "Nats-Sequence": "-1", "Nats-Last-Sequence": "100"} {
		h := maps.Clone(good)
		h[name] = []string{value}
		if err := c.NATS().PublishMsg(&nats.Msg{Subject: r.cfg.Republish + ".app.a", Header: h, Data: []byte("forged")}); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Publish(within(t, patience), r.cfg.Republish+".app.a", []byte("forged")); err != nil {
		t.Fatal(err)
	}
	old := maps.Clone(good) // a true message, but of the past
	old["Nats-Sequence"], old["Nats-Last-Sequence"] = []string{"1"}, []string{"0"}
	set(t, r, "app.a", "true")
	if err := c.NATS().PublishMsg(&nats.Msg{Subject: r.cfg.Republish + ".app.a", Header: old, Data: []byte("past")}); err != nil {
		t.Fatal(err)
	}
	set(t, r, "app.b", "after")
	eventually(t, "what came after", func() bool { return w.value("app.b") == "after" })
	if w.value("app.a") != "true" {
		t.Errorf("a forged value was given: %q", w.value("app.a"))
	}
}

func TestWatchEndsWithTheConnection(t *testing.T) {
	s := startServer(t)
	c := dialServer(t, s)
	r := openRecords(t, c)
	ended := make(chan error, 1)
	first := make(chan struct{}, 100)
	go func() { ended <- r.Watch(context.Background(), ">", func([]Record) { first <- struct{}{} }) }()
	<-first
	closeConn(t, c)
	if err := <-ended; !errors.Is(err, ErrClosed) {
		t.Errorf("watch ended with %v", err)
	}
	if err := r.Watch(context.Background(), ">", func([]Record) {}); !errors.Is(err, ErrClosed) {
		t.Errorf("watch after Close: %v", err)
	}
	_, err := r.CAS(within(t, patience), "k", 0, nil)
	expect(t, err, ErrRefused, ErrClosed)
	_, err = r.Get(within(t, patience), "k")
	expect(t, err, ErrRefused, ErrClosed)
	if errors.Is(err, pluginapi.ErrTimeout) {
		t.Error("Get after Close timed out")
	}
}
