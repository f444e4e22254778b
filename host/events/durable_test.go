package events

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

func keep(t testing.TB, b *Broker, subject, id, data string) {
	t.Helper()
	must(t, b.Keep(within(t), bus.NoApp, subject, id, []byte(data)))
}

func consume(t testing.TB, b *Broker, subject, group string, fn Handler, how Durable) *Subscription {
	t.Helper()
	s, err := b.Consume(within(t), "*", subject, group, fn, how)
	must(t, err)
	return s
}

// fast are pauses that a test can wait for.
var fast = Durable{First: time.Millisecond, Most: 5 * time.Millisecond, Tries: 3}

// E42: an event is acknowledged after its handler was content, not before. One
// that fails, panics or takes too long comes again, with its number of tries,
// and holds nothing up.
func TestE42AcknowledgedAfterTheHandler(t *testing.T) {
	t.Parallel()
	b := join(t, startServer(t).ClientURL(), "n1", "web")
	var n notes
	how := fast
	how.Tries, how.Timeout = 10, 50*time.Millisecond
	consume(t, b, "x.*", "g", func(ctx context.Context, e Event) error {
		n.add("%s%d", e.Data, e.Tries)
		switch string(e.Data) + fmt.Sprint(e.Tries) {
		case "a1":
			return errors.New("no")
		case "a2":
			panic("no")
		case "a3":
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}, how)
	keep(t, b, "x.1", "", "a")
	keep(t, b, "x.2", "", "b")
	eventually(t, "both are handled", func() bool { return strings.Contains(n.list(), "a4") && strings.Contains(n.list(), "b1") })
	p, err := b.at()
	must(t, err)
	log, err := b.kept.get(within(t))
	must(t, err)
	cons, err := log.Consumer(within(t), "g", p.Space.subject(bus.EventKept, "", "x.*"), bus.Start{})
	must(t, err)
	eventually(t, "nothing is open", func() bool {
		lag, err := cons.Lag(within(t))
		return err == nil && lag.Unacked == 0 && lag.Pending == 0
	})
	if n.count() != 5 {
		t.Errorf("calls: %s", n.list())
	}
}

// After the last try an event is a dead letter, readable, with the reason, and
// counted; the next one is handled.
func TestDeadLetter(t *testing.T) {
	t.Parallel()
	var dead atomic.Int64
	url := startServer(t).ClientURL()
	b := join(t, url, "n1", "", func(p *Place) { p.OnDead = func(string) { dead.Add(1) } })
	var n notes
	consume(t, b, "x.*", "g", func(_ context.Context, e Event) error {
		if string(e.Data) == "bad" {
			n.add("%d", e.Tries)
			return fmt.Errorf("cannot\nread\x00 it%s", strings.Repeat("!", 2*maxReason))
		}
		n.add("good")
		return nil
	}, fast)
	must(t, b.Keep(within(t), "web", "x.1", "id-1", []byte("bad")))
	eventually(t, "the letter is dead", func() bool { return dead.Load() == 1 })
	must(t, b.Keep(within(t), "web", "x.2", "", []byte("good")))
	eventually(t, "the next one is handled", func() bool { return n.list() == "1 2 3 good" })
	for _, group := range []string{"g", ""} {
		letters, err := b.DeadLetters(within(t), group)
		must(t, err)
		if len(letters) != 1 {
			t.Fatalf("%d dead letters of %q", len(letters), group)
		}
		l := letters[0]
		if l.Subject != "x.1" || string(l.Data) != "bad" || l.SourceApp != "web" || l.SourceNode != "n1" || l.Sequence != 1 || l.Tries != 3 ||
			l.Consumer != "g" || !strings.HasPrefix(l.Reason, "cannot read  it!") || len(l.Reason) > maxReason+3 || time.Since(l.Time).Abs() > time.Hour {
			t.Errorf("dead letter %+v", l)
		}
	}
	if letters, err := b.DeadLetters(within(t), "other"); err != nil || len(letters) != 0 {
		t.Errorf("%v of another consumer, %v", letters, err)
	}
}

// An event that cannot become a dead letter is not dropped: it comes again.
func TestDeadLetterThatCannotBeStored(t *testing.T) {
	t.Parallel()
	b := join(t, startServer(t).ClientURL(), "n1", "web")
	open, block := b.dead.open, atomic.Bool{}
	block.Store(true)
	b.dead.open = func(ctx context.Context) (*bus.Log, error) {
		if block.Load() {
			return nil, errors.New("no room")
		}
		return open(ctx)
	}
	var n notes
	consume(t, b, "x", "g", func(_ context.Context, e Event) error { n.add("%d", e.Tries); return errors.New("no") }, fast)
	keep(t, b, "x", "", "1")
	eventually(t, "it comes again and again", func() bool { return n.count() > fast.Tries+1 })
	block.Store(false)
	eventually(t, "it is stored", func() bool {
		letters, err := b.DeadLetters(within(t), "g")
		return err == nil && len(letters) == 1
	})
}

// The members of a group share its events, each group gets all, and one event
// with one id is stored once.
func TestGroups(t *testing.T) {
	t.Parallel()
	url := startServer(t).ClientURL()
	a, b := join(t, url, "n1", "web"), join(t, url, "n2", "web")
	var mu sync.Mutex
	seen := map[string]int{}
	members := map[string]int{}
	member := func(name string) Handler {
		return func(_ context.Context, e Event) error {
			mu.Lock()
			seen[string(e.Data)]++
			members[name]++
			mu.Unlock()
			<-time.After(2 * time.Millisecond) // the work
			return nil
		}
	}
	var alone notes
	consume(t, a, "job", "shared", member("a"), Durable{})
	consume(t, b, "job", "shared", member("b"), Durable{})
	consume(t, b, ">", "alone", alone.kept, Durable{})
	const events = 300
	for i := range events {
		keep(t, a, "job", fmt.Sprint("id", i), fmt.Sprint(i))
		if i%10 == 0 {
			keep(t, b, "job", fmt.Sprint("id", i), fmt.Sprint(i)) // a repetition
		}
	}
	eventually(t, "all are handled", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(seen) == events && alone.count() >= events
	})
	mu.Lock()
	defer mu.Unlock()
	for e, n := range seen {
		if n != 1 {
			t.Errorf("event %s was handled %d times", e, n)
		}
	}
	if members["a"] == 0 || members["b"] == 0 {
		t.Errorf("who handled what: %v", members)
	}
	var inOrder []string
	for i := range events {
		inOrder = append(inOrder, fmt.Sprint(i))
	}
	if got := alone.list(); got != strings.Join(inOrder, " ") {
		t.Errorf("a consumer alone got %.200s...", got)
	}
}

// A new consumer begins where it is told to; an old one goes on where it was.
func TestReplay(t *testing.T) {
	t.Parallel()
	url := startServer(t).ClientURL()
	b := join(t, url, "n1", "web")
	keep(t, b, "x", "", "1")
	keep(t, b, "x", "", "2")
	var first notes
	var third time.Time
	probe := consume(t, b, "x", "probe", func(_ context.Context, e Event) error {
		if e.Sequence == 3 {
			third = e.Time
		}
		return first.kept(t.Context(), e)
	}, Durable{Start: bus.Start{All: true}})
	keep(t, b, "x", "", "3")
	keep(t, b, "x", "", "4")
	eventually(t, "from the start", func() bool { return first.list() == "1 2 3 4" })
	probe.Unsubscribe()
	for name, c := range map[string]struct {
		start bus.Start
		want  string
	}{
		"new":      {bus.Start{}, "5"},
		"sequence": {bus.Start{Seq: 2}, "2 3 4 5"},
		"time":     {bus.Start{Time: third}, "3 4 5"},
	} {
		var n notes
		consume(t, b, "x", name, n.kept, Durable{Start: c.start})
		defer func() { eventually(t, name+" gets "+c.want, func() bool { return n.list() == c.want }) }()
	}
	keep(t, b, "x", "", "5")
	consume(t, b, "x", "probe", first.kept, Durable{Start: bus.Start{All: true}})
	eventually(t, "the old consumer goes on", func() bool { return first.list() == "1 2 3 4 5" })
	must(t, b.Forget(within(t), "probe"))
	must(t, b.Forget(within(t), "probe"))
}

// A member that ends gives back what it has not begun, and its handler's context
// ends; another member handles all of it.
func TestMemberLeaves(t *testing.T) {
	t.Parallel()
	url := startServer(t).ClientURL()
	a := join(t, url, "n1", "web")
	entered := make(chan struct{}, 100)
	consume(t, a, "x", "g", func(ctx context.Context, _ Event) error {
		entered <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}, Durable{})
	for i := range 5 {
		keep(t, a, "x", "", fmt.Sprint(i))
	}
	<-entered
	leave(t, a)
	if len(entered) > 0 {
		t.Error("an event was begun after the end")
	}
	var n notes
	consume(t, join(t, url, "n2", "web"), "x", "g", n.kept, Durable{})
	eventually(t, "the other has all", func() bool { return n.count() == 5 })
}

// A handler that does not come back holds nobody up for ever: what it holds, and
// what waits behind it, goes to another member.
func TestHandlerThatHangs(t *testing.T) {
	t.Parallel()
	url := startServer(t).ClientURL()
	a := join(t, url, "n1", "web")
	release := make(chan struct{})
	var once sync.Once
	t.Cleanup(func() { once.Do(func() { close(release) }) })
	entered := make(chan struct{}, 100)
	var late notes
	consume(t, a, "x", "g", func(_ context.Context, e Event) error {
		entered <- struct{}{}
		<-release
		return late.kept(t.Context(), e)
	}, Durable{Timeout: 10 * time.Millisecond})
	for i := range 3 {
		keep(t, a, "x", "", fmt.Sprint(i))
	}
	<-entered
	var n notes
	consume(t, join(t, url, "n2", "web"), "x", "g", n.kept, Durable{})
	eventually(t, "the other has all", func() bool { return n.count() == 3 })
	once.Do(func() { close(release) })
	eventually(t, "the first one is back", func() bool { return late.count() > 0 })
	keep(t, a, "x", "", "3")
	eventually(t, "nothing is stuck", func() bool { return n.count()+late.count() == 5 })
	if late.list() != "0" && late.list() != "0 3" {
		t.Errorf("the one that hung has handled %s", late.list())
	}
}

// A server that restarts loses nothing: what was acknowledged to the publisher
// is handled, and consumers go on by themselves.
func TestServerRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(port int) func(o *server.Options) {
		return func(o *server.Options) { o.StoreDir, o.Port = dir, port }
	}
	first := startServer(t, at(-1))
	url := first.ClientURL()
	b := join(t, url, "n1", "web")
	var mu sync.Mutex
	seen := map[string]bool{}
	consume(t, b, "x", "g", func(_ context.Context, e Event) error {
		mu.Lock()
		defer mu.Unlock()
		seen[string(e.Data)] = true
		return nil
	}, fast)
	var live notes
	_, err := b.Listen("*", "x", live.live)
	must(t, err)
	keep(t, b, "x", "", "before")
	var port int
	_, err = fmt.Sscanf(url[strings.LastIndex(url, ":")+1:], "%d", &port)
	must(t, err)
	first.Shutdown()
	first.WaitForShutdown()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	err = b.Keep(ctx, bus.NoApp, "x", "", []byte("never"))
	if !errors.Is(err, bus.ErrRefused) && !errors.Is(err, bus.ErrUnknown) && !errors.Is(err, pluginapi.ErrTimeout) {
		t.Errorf("without a server: %v", err)
	}
	published := make(chan error)
	go func() { published <- b.Keep(within(t), bus.NoApp, "x", "meanwhile", []byte("meanwhile")) }() // waits for the server
	startServer(t, at(port))
	must(t, <-published)
	keep(t, b, "x", "", "after")
	eventually(t, "all that was acknowledged is handled", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return seen["before"] && seen["meanwhile"] && seen["after"]
	})
	eventually(t, "live events come again", func() bool {
		_ = b.Publish(within(t), bus.NoApp, "x", []byte("live"))
		return strings.Contains(live.list(), "live")
	})
}

// The stream keeps to its limits, and what a consumer misses by them is told.
func TestLimits(t *testing.T) {
	t.Parallel()
	url := startServer(t).ClientURL()
	var lost atomic.Uint64
	b := join(t, url, "n1", "web", func(p *Place) {
		p.Limits = Limits{MaxBytes: 64 << 10}
		p.OnLost = func(_ string, n uint64) { lost.Add(n) }
	})
	s := consume(t, b, "x", "g", func(context.Context, Event) error { return nil }, Durable{})
	s.Unsubscribe()
	for range 50 {
		keep(t, b, "x", "", strings.Repeat("x", 4096))
	}
	log, err := b.kept.get(within(t))
	must(t, err)
	st, err := log.State(within(t))
	must(t, err)
	if st.Messages > 16 || st.Last != 50 {
		t.Errorf("the stream holds %+v", st)
	}
	var n notes
	consume(t, b, "x", "g", n.kept, Durable{})
	eventually(t, "the rest is handled and the loss is told", func() bool {
		return n.count() == int(st.Messages) && lost.Load() == st.First-1
	})
	other := join(t, url, "n2", "web", func(p *Place) { p.Limits = Limits{MaxBytes: 128 << 10, MaxAge: time.Hour} })
	for range 50 {
		keep(t, other, "x", "", strings.Repeat("x", 4096))
	}
	if st, err := log.State(within(t)); err != nil || st.Messages <= 16 || st.Messages > 32 {
		t.Errorf("with other limits it holds %+v, %v", st, err)
	}
}

// A stream that was deleted is made again.
func TestStreamDeleted(t *testing.T) {
	t.Parallel()
	b := join(t, startServer(t).ClientURL(), "n1", "web")
	var n notes
	consume(t, b, "x", "g", n.kept, Durable{Start: bus.Start{All: true}})
	keep(t, b, "x", "", "1")
	eventually(t, "the first", func() bool { return n.list() == "1" })
	p, err := b.at()
	must(t, err)
	must(t, p.Conn.JetStream().DeleteStream(within(t), p.Space.stream))
	eventually(t, "events are stored again", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		return b.Keep(ctx, bus.NoApp, "x", "again", []byte("2")) == nil
	})
	eventually(t, "and handled", func() bool { return n.list() == "1 2" })
}

func TestPauses(t *testing.T) {
	t.Parallel()
	d := Durable{First: time.Second, Most: 10 * time.Second}
	for tries, want := range map[int]time.Duration{0: 1, 1: 1, 2: 2, 3: 4, 4: 8, 5: 10, 6: 10, 1 << 30: 10} {
		if got := d.pause(tries); got != want*time.Second {
			t.Errorf("pause after %d tries: %v", tries, got)
		}
	}
	for _, c := range []struct {
		took        time.Duration
		concurrency int
		want        int
	}{{0, 1, mostBatch}, {time.Millisecond, 1, 100}, {time.Hour, 1, 1}, {time.Hour, 8, 8}, {10 * time.Millisecond, 4, 40}, {0, 1024, 2048}} {
		if got := batch(c.took, c.concurrency); got != c.want {
			t.Errorf("batch(%v, %d) = %d, want %d", c.took, c.concurrency, got, c.want)
		}
	}
}

// What strangers send is read or refused, and read back as it was.
func FuzzEvent(f *testing.F) {
	names, err := bus.NewNames("p")
	must(f, err)
	app, err := names.App("web")
	must(f, err)
	f.Add("gc.p.a.web.e.live.x.y", "n1", "1", "reason")
	f.Add("gc.p.e.kept.-.x.y", "", "-1", "")
	f.Add("gc.p.dead.g.web.x", "a b", "18446744073709551616", "\x00")
	f.Add("gc.p.a.web.dead.g.x.y", "n", "3", strings.Repeat("é", 2000))
	f.Add(".....", "", "", "")
	f.Fuzz(func(t *testing.T, subject, node, n, reason string) {
		for _, s := range []Space{AppSpace(app), PlatformSpace(names)} {
			m := bus.Message{Subject: subject, Header: bus.Header{headerNode: {node}, headerTries: {n}, headerSeq: {n}, headerReason: {reason}}}
			if e, ok := s.event(m); ok {
				if bus.CheckSubject(e.Subject) != nil || !strings.HasSuffix(subject, "."+e.Subject) || e.SourceNode != "" && e.SourceNode != node {
					t.Errorf("%q is event %+v", subject, e)
				}
			}
			if l, ok := s.letterOf(bus.Stored{Message: m}); ok {
				if s.letter(l.Consumer, sourceOf(l.Event), l.Subject) != subject || len(l.Reason) > maxReason+3 || l.Tries < 0 {
					t.Errorf("%q is letter %+v", subject, l)
				}
			}
		}
	})
}
