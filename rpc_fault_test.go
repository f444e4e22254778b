package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	cluster "github.com/ozanturksever/go-cluster"
)

// TestLeaderCallsAndStepDown: calls to the leader follow the leadership, from
// nodes with and without the app, and while it changes no two nodes run a
// handler of such a call at the same time, though the handlers do not heed their
// contexts.
func TestLeaderCallsAndStepDown(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	running := map[string]int{} // handlers, by node
	count := func(id string, n int) {
		mu.Lock()
		defer mu.Unlock()
		if running[id] += n; running[id] == 0 {
			delete(running, id)
		}
		if len(running) > 1 {
			t.Errorf("handlers of the leader run on %v", running)
		}
	}
	var runs atomic.Int32
	s := startNATS(t)
	var nodes []*node
	for _, id := range []string{"n1", "n2", "n3"} {
		n := newNode(t, "moves", id, s.ClientURL())
		a := n.app(cluster.NewApp("web"))
		a.Handle("act", func(ctx context.Context, _ []byte) ([]byte, error) {
			count(id, 1)
			defer count(id, -1)
			<-time.After(time.Millisecond)
			if l, ok := cluster.LeaseFrom(ctx); !ok || l.Epoch == 0 {
				t.Errorf("no lease: %v", l)
			}
			runs.Add(1)
			return []byte(id), nil
		})
		nodes = append(nodes, n.start())
	}
	outside := newNode(t, "moves", "out", s.ClientURL()).start()
	leaderOf(t, "web", nodes...)
	ctx, stop := context.WithCancel(within(t, 2*patience))
	var all sync.WaitGroup
	var bad atomic.Int32
	var answered []*atomic.Int32 // by caller
	call := func(do func() error) {
		good := new(atomic.Int32)
		answered = append(answered, good)
		all.Go(func() {
			for ctx.Err() == nil {
				switch err := do(); {
				case err == nil:
					good.Add(1)
				case ctx.Err() != nil:
				case errors.Is(err, cluster.ErrNotLeader) || errors.Is(err, cluster.ErrNoLeader) || errors.Is(err, cluster.ErrUnknownOutcome):
					bad.Add(1)
				default:
					t.Errorf("%v", err)
				}
			}
		})
	}
	for _, n := range nodes {
		call(func() error {
			_, err := n.apps["web"].RPC().Call(ctx, cluster.TargetLeader, "act", nil)
			return err
		})
	}
	call(func() error { _, err := outside.API("web").Call(ctx, "act", nil); return err })
	for round := range 8 {
		leader := leaderOf(t, "web", nodes...)
		must(t, leader.election("web").StepDown(within(t, patience)))
		for i, good := range answered {
			before := good.Load()
			eventually(t, fmt.Sprintf("calls of caller %d go on after step-down %d", i, round), func() bool { return good.Load() >= before+5 })
		}
	}
	stop()
	all.Wait()
	sum := int32(0)
	for _, good := range answered {
		sum += good.Load()
	}
	if sum > runs.Load() {
		t.Errorf("%d answers of %d runs", sum, runs.Load())
	}
	t.Logf("%d calls, %d without an answer", sum, bad.Load())
}

// TestStandbyRefusesTheLeadersCalls: a call to any may come to a standby; one
// whose target is left open comes to the leader of an app that has one.
func TestStandbyRefusesTheLeadersCalls(t *testing.T) {
	t.Parallel()
	nodes := callers(t, "standby", []string{"n1", "n2"}, func(id string) []*cluster.App {
		a := cluster.NewApp("web")
		a.Handle("who", func(context.Context, []byte) ([]byte, error) { return []byte(id), nil })
		return []*cluster.App{a}
	})
	leader := leaderOf(t, "web", nodes...)
	standby := other(nodes, leader)
	seen := map[string]int{}
	for range 20 {
		data, err := leader.apps["web"].RPC().Call(within(t, patience), cluster.TargetAny, "who", nil)
		must(t, err)
		seen[string(data)]++
		data, err = standby.API("web").Call(within(t, patience), "who", nil)
		if err != nil || string(data) != leader.NodeID() {
			t.Errorf("the default of a singleton: %q, %v", data, err)
		}
	}
	if len(seen) != 2 {
		t.Errorf("any is only %v", seen)
	}
}

// TestLostConnectionRunsOnce: when the connection is lost in the middle of a
// call, it is told as unknown; repeated, it is not run twice.
func TestLostConnectionRunsOnce(t *testing.T) {
	t.Parallel()
	s := startNATS(t)
	link := startProxy(t, s)
	var runs atomic.Int32
	var begun atomic.Int32
	callee := newNode(t, "lost", "n1", s.ClientURL())
	a := callee.app(cluster.NewApp("web"))
	a.Handle("do", func(ctx context.Context, _ []byte) ([]byte, error) {
		begun.Add(1)
		select {
		case <-time.After(400 * time.Millisecond):
			runs.Add(1)
			return []byte("done"), nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
	callee.start()
	caller := newNode(t, "lost", "n2", link.url()).start()
	caller.knows("n1", "n2")
	callee.leads("web")
	again := 0
	for _, opts := range [][]cluster.CallOption{{cluster.ToAny()}, {cluster.ToAny(), cluster.WithRetry()}, {cluster.ToAny(), cluster.WithRetry()}, {cluster.ToAny(), cluster.WithRetry()}} {
		eventually(t, "the caller is connected", func() bool { return caller.NATS().IsConnected() })
		before := begun.Load()
		done := make(chan error, 1)
		go func() {
			data, err := caller.API("web").Call(within(t, patience), "do", nil, opts...)
			if err == nil && string(data) != "done" {
				err = fmt.Errorf("answer %q", data)
			}
			done <- err
		}()
		eventually(t, "the handler runs", func() bool { return begun.Load() > before })
		link.cut()
		link.heal()
		err := <-done
		if err != nil {
			wantErr(t, err, cluster.ErrUnknownOutcome)
		} else {
			again++
		}
		if len(opts) == 1 && err == nil {
			t.Error("an answer over a lost connection")
		}
		if got := begun.Load(); got != before+1 {
			t.Errorf("%d runs of one call", got-before)
		}
	}
	t.Logf("%d of 3 repeated calls have got the answer of the run that was lost", again)
}

// TestBadCalls: each mistake is told at once, and leaves nothing behind.
func TestBadCalls(t *testing.T) {
	s := startNATS(t)
	before := len(running())
	n := newNode(t, "badcall", "n1", s.ClientURL())
	a := n.app(cluster.NewApp("web"))
	a.Handle("echo", echo)
	a.Handle("panic", func(context.Context, []byte) ([]byte, error) { panic("ouch") })
	a.Handle("large", func(context.Context, []byte) ([]byte, error) { return make([]byte, 2<<20), nil })
	lone := cluster.NewApp("lone")
	_, err := lone.RPC().Call(t.Context(), "n1", "echo", nil)
	wantErr(t, err, cluster.ErrInvalid, "not registered")
	_, err = lone.API("web").Call(t.Context(), "echo", nil)
	wantErr(t, err, cluster.ErrInvalid, "not registered")
	calls := func(want ...any) {
		t.Helper()
		_, err := a.RPC().Call(t.Context(), "n1", "echo", nil)
		wantErr(t, err, want...)
		_, err = a.RPC().Broadcast(t.Context(), "echo", nil)
		wantErr(t, err, want...)
		wantErr(t, n.API("web").CallJSON(t.Context(), "echo", 1, nil), want...)
	}
	calls(cluster.ErrInvalid, "call Run first")
	n.start()
	n.leads("web")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	huge := make([]byte, 100<<20)
	for _, c := range []struct {
		ctx            context.Context
		target, method string
		payload        []byte
		want           []any
	}{
		{ended, "n1", "echo", nil, []any{context.Canceled}},
		{t.Context(), "", "echo", nil, []any{cluster.ErrInvalid, "@leader"}},
		{t.Context(), "no.node", "echo", nil, []any{cluster.ErrInvalid, "@leader"}},
		{t.Context(), "n1", "", nil, []any{cluster.ErrInvalid, "method is empty"}},
		{t.Context(), "n1", strings.Repeat("m", 10_000), nil, []any{cluster.ErrInvalid, "128"}},
		{t.Context(), "n1", "a b", nil, []any{cluster.ErrInvalid, "byte 1"}},
		{t.Context(), "n1", "echo", huge, []any{cluster.ErrTooLarge, fmt.Sprint(1<<20 - 8<<10)}},
		{t.Context(), "n1", "large", nil, []any{cluster.ErrTooLarge}},
		{t.Context(), "n1", "panic", nil, []any{"panicked: ouch"}},
		{t.Context(), "n1", "none", nil, []any{cluster.ErrNoMethod}},
		{t.Context(), "n9", "echo", nil, []any{cluster.ErrUnreachable, cluster.ErrNodeNotFound}},
	} {
		begun := time.Now()
		_, err := a.RPC().Call(c.ctx, c.target, c.method, c.payload)
		wantErr(t, err, c.want...)
		if took := time.Since(begun); took > patience/2 {
			t.Errorf("%.20s on %s took %v", c.method, c.target, took)
		}
	}
	_, err = n.API("nothing").Call(t.Context(), "echo", nil, cluster.ToAny())
	wantErr(t, err, cluster.ErrAppNotFound, cluster.ErrUnreachable)
	_, err = n.API("web").Call(t.Context(), "echo", nil, nil)
	wantErr(t, err, cluster.ErrInvalid, "option 1 is nil")
	for _, d := range []time.Duration{0, -time.Second} {
		_, err = n.API("web").Call(t.Context(), "echo", nil, cluster.WithTimeout(d))
		wantErr(t, err, cluster.ErrInvalid, "timeout")
	}
	must(t, n.stop())
	calls(cluster.ErrShuttingDown)
	goroutines(t, before)
}

// TestBadHandlers: mistakes in methods, middleware and errors are reported by
// Run, all at once.
func TestBadHandlers(t *testing.T) {
	t.Parallel()
	p, err := cluster.NewPlatform("bad", "n1", "nats://127.0.0.1:1")
	must(t, err)
	a := cluster.NewApp("web", cluster.WithMaxCalls(0))
	p.Register(a)
	a.Handle("", echo)
	a.Handle("a b", echo)
	a.Handle(strings.Repeat("m", 10_000), echo)
	a.Handle("nil", nil)
	cluster.HandleTyped[int, int](a, "typed", nil)
	a.Handle("twice", echo)
	a.Handle("twice", echo)
	a.Use(cluster.Recovery(), nil)
	a.RegisterError(nil, errors.New("a\nb"), errors.New("one"), errors.New("one"), context.Canceled)
	err = p.Run(t.Context())
	wantErr(t, err, cluster.ErrInvalid, "method is empty", "byte 1", "10000 bytes", "Handle nil: the handler is nil", "Handle typed: the handler is nil",
		"Handle twice: the method has a handler already", "middleware 2 is nil", "the error is nil", `two errors are called "one"`, "caller's own context", "WithMaxCalls: 0")
	if a.Middleware().Len() != 2 {
		t.Errorf("%d middleware", a.Middleware().Len())
	}
	n := newNode(t, "late", "n1", startNATS(t).ClientURL())
	late := n.app(cluster.NewApp("web"))
	n.start()
	late.Handle("late", echo)
	wantErr(t, n.stop(), cluster.ErrInvalid, "Handle \"late\" was called after Run")
	n.err = nil // it was wanted
}

// TestShutdownEndsCalls: a node that stops ends the calls to it and from it,
// and waits for its handlers.
func TestShutdownEndsCalls(t *testing.T) {
	t.Parallel()
	begun := make(chan struct{}, 1)
	ended := make(chan struct{})
	nodes := callers(t, "shut", []string{"n1", "n2"}, func(id string) []*cluster.App {
		a := cluster.NewApp("web", cluster.Spread())
		a.Handle("wait", func(ctx context.Context, _ []byte) ([]byte, error) {
			begun <- struct{}{}
			<-ctx.Done()
			close(ended)
			return nil, ctx.Err()
		})
		a.Handle("ready", echo)
		a.OnStop(func(context.Context) error {
			select {
			case <-ended:
			default:
				if id == "n1" {
					t.Error("OnStop while a handler runs")
				}
			}
			return nil
		})
		return []*cluster.App{a}
	})
	spreadReady(t, nodes[0], "web", "ready", 2)
	done := make(chan error, 1)
	go func() {
		_, err := nodes[1].apps["web"].RPC().Call(within(t, patience), "n1", "wait", nil)
		done <- err
	}()
	<-begun
	must(t, nodes[0].stop())
	wantErr(t, <-done, cluster.ErrShuttingDown, cluster.ErrUnknownOutcome)
	_, err := nodes[1].apps["web"].RPC().Call(within(t, patience), "n1", "ready", nil)
	wantErr(t, err, cluster.ErrUnreachable)
}

// TestCallsOverTheEmbeddedServer: the logins of hosts may call, and answers are
// limited by the server's own limit.
func TestCallsOverTheEmbeddedServer(t *testing.T) {
	t.Parallel()
	n := newNode(t, "emb", "n1", "", cluster.WithDataDir(t.TempDir()))
	a := n.app(cluster.NewApp("web"))
	a.Handle("echo", echo)
	n.start()
	n.leads("web")
	for _, target := range []string{"n1", cluster.TargetLeader, cluster.TargetAny} {
		if data, err := a.RPC().Call(within(t, patience), target, "echo", []byte("x")); err != nil || string(data) != "x" {
			t.Errorf("%s: %q, %v", target, data, err)
		}
	}
}

// TestLimitOfTheServer: a server with a smaller limit is heeded, and named.
func TestLimitOfTheServer(t *testing.T) {
	t.Parallel()
	s := startNATS(t, func(o *server.Options) { o.MaxPayload = 64 << 10; o.MaxPending = math.MaxInt32 })
	n := newNode(t, "small", "n1", s.ClientURL())
	a := n.app(cluster.NewApp("web"))
	a.Handle("echo", echo)
	n.start()
	most := make([]byte, 56<<10)
	data, err := a.RPC().Call(within(t, patience), "n1", "echo", most)
	if err != nil || len(data) != len(most) {
		t.Errorf("%d, %v", len(data), err)
	}
	_, err = a.RPC().Call(within(t, patience), "n1", "echo", make([]byte, 56<<10+1))
	wantErr(t, err, cluster.ErrTooLarge, fmt.Sprint(56<<10))
}
