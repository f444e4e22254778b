package bus

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats-server/v2/server/ats"
)

// inBubble runs a test in fake time, with a real server in it and a connection
// inside of the process.
func inBubble(t *testing.T, test func(t *testing.T, s *server.Server, c *Conn)) {
	ats.Register() // its goroutine must be outside of the bubble
	defer ats.Unregister()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := startServer(t, func(o *server.Options) { o.DontListen, o.StoreDir = true, dir })
		test(t, s, dial(t, Config{InProcess: s}))
	})
}

func TestPeriodicCheckFindsTheLostLastChange(t *testing.T) {
	inBubble(t, func(t *testing.T, s *server.Server, c *Conn) {
		r := openRecords(t, c)
		all, one := watch(t, r, "app.*"), watch(t, r, "app.b")
		set(t, r, "app.a", "1")
		set(t, r, "app.b", "1")
		eventually(t, "live changes", func() bool { return all.value("app.b") == "1" && one.value("app.b") == "1" })
		for i := range 50 {
			value := fmt.Sprint(i)
			deafen(t, c, r, "app.*", func() {
				deafen(t, c, r, "app.b", func() { set(t, r, "app.b", value) })
			})
			start := time.Now()
			eventually(t, "the lost change", func() bool { return all.value("app.b") == value && one.value("app.b") == value })
			if took := time.Since(start); took > 7*time.Second {
				t.Fatalf("found after %v", took)
			}
		}
	})
}

func TestPeriodicCheckFindsTheHiddenChange(t *testing.T) {
	inBubble(t, func(t *testing.T, s *server.Server, c *Conn) {
		r := openRecords(t, c)
		w := watch(t, r, "app.*")
		for i := range 50 {
			value := fmt.Sprint(i)
			set(t, r, "app.b", value)
			eventually(t, "live change", func() bool { return w.value("app.b") == value })
			deafen(t, c, r, "app.*", func() { set(t, r, "app.a", value) })
			set(t, r, "app.b", value+" again") // newer than what was lost, of another key
			start := time.Now()
			eventually(t, "the hidden change", func() bool { return w.value("app.a") == value })
			if took := time.Since(start); took > 23*time.Second {
				t.Fatalf("found after %v", took)
			}
		}
	})
}

func TestWatchCostsLittle(t *testing.T) {
	inBubble(t, func(t *testing.T, s *server.Server, c *Conn) {
		r := openRecords(t, c)
		for i := range 100 {
			set(t, r, fmt.Sprintf("node.n%d", i), "v")
		}
		all, one := watch(t, r, ">"), watch(t, r, "node.n1")
		eventually(t, "the first calls", func() bool { return all.count() == 1 && one.count() == 1 })
		asked := c.NATS().Stats().OutMsgs
		<-time.After(10 * time.Minute) // fake
		perMinute := float64(c.NATS().Stats().OutMsgs-asked) / 10
		t.Logf("two watches at rest: %.1f requests a minute", perMinute)
		if perMinute < 10 || perMinute > 50 {
			t.Errorf("%.1f requests a minute at rest", perMinute)
		}
		// Others change all the time, this one never: still no lists.
		asked = c.NATS().Stats().OutMsgs
		for i := range 600 {
			<-time.After(time.Second)
			rec, err := r.Get(within(t, patience), "node.n7")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := r.CAS(within(t, patience), "node.n7", rec.Seq, fmt.Append(nil, i)); err != nil {
				t.Fatal(err)
			}
		}
		perMinute = float64(c.NATS().Stats().OutMsgs-asked)/10 - 120
		t.Logf("two watches, one change each second: %.1f requests a minute", perMinute)
		if perMinute > 80 {
			t.Errorf("%.1f requests a minute for one busy key", perMinute)
		}
	})
}

// TestWatchOfAllReadsNothing: who watches every key asks for one number now and
// then, however many records change, also right after it has begun.
func TestWatchOfAllReadsNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, s *server.Server, c *Conn) {
		writer := openRecords(t, c)
		reader := dial(t, Config{InProcess: s})
		w := watch(t, openRecords(t, reader), ">")
		eventually(t, "the first call", func() bool { return w.count() == 1 })
		asked := reader.NATS().Stats().OutMsgs
		const minutes = 10
		for i := range minutes * 60 {
			<-time.After(time.Second) // fake
			set(t, writer, fmt.Sprintf("node.n%d", i%200), fmt.Sprint(i))
		}
		perMinute := float64(reader.NATS().Stats().OutMsgs-asked) / minutes
		t.Logf("a watch of all, one change each second: %.1f requests a minute", perMinute)
		if most := 60 / (checkEvery * 3 / 4).Seconds(); perMinute < 5 || perMinute > most {
			t.Errorf("%.1f requests a minute, %.0f are enough", perMinute, most)
		}
		if last := fmt.Sprint(minutes*60 - 1); w.value("node.n199") != last {
			t.Errorf("the newest record is %q, not %s", w.value("node.n199"), last)
		}
	})
}

func TestWatchEndsWhenTheStreamIsReplaced(t *testing.T) {
	inBubble(t, func(t *testing.T, s *server.Server, c *Conn) {
		r := openRecords(t, c)
		set(t, r, "app.a", "1")
		for _, pattern := range []string{">", "app.a"} {
			first := make(chan struct{}, 100)
			ended := make(chan error, 1)
			go func() {
				ended <- r.Watch(context.Background(), pattern, func([]Record) { first <- struct{}{} })
			}()
			<-first
			if err := c.api(within(t, patience), "STREAM.DELETE."+r.cfg.Stream, nil, nil); err != nil {
				t.Fatal(err)
			}
			<-time.After(time.Second) // in fake time it would be born in the same instant
			again := openRecords(t, c)
			set(t, again, "app.a", "other world")
			select {
			case err := <-ended:
				expect(t, err, ErrReplaced)
			case <-time.After(time.Minute):
				t.Fatalf("the watch of %s goes on with a stream of another time", pattern)
			}
			_, err := r.LastSeq(within(t, patience))
			expect(t, err, ErrReplaced)
			r = again
		}
	})
}
