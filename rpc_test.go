package cluster_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	cluster "github.com/ozanturksever/go-cluster"
)

func echo(_ context.Context, req []byte) ([]byte, error) { return req, nil }

// callers starts nodes on one NATS, each with the apps that make returns.
func callers(t testing.TB, platform string, ids []string, make func(id string) []*cluster.App) (nodes []*node) {
	t.Helper()
	s := startNATS(t)
	for _, id := range ids {
		n := newNode(t, platform, id, s.ClientURL())
		for _, a := range make(id) {
			n.app(a)
		}
		nodes = append(nodes, n.start())
	}
	for _, n := range nodes {
		n.knows(ids...)
	}
	return nodes
}

// spreadReady waits until every node answers calls to an app.
func spreadReady(t testing.TB, from *node, app, method string, nodes int) {
	t.Helper()
	eventually(t, "all instances of "+app+" answer", func() bool {
		got, err := from.API(app).Broadcast(within(t, patience), method, nil)
		return err == nil && len(got) == nodes
	})
}

// TestCall: the targets, typed calls, and who is seen to call.
func TestCall(t *testing.T) {
	t.Parallel()
	errStock := errors.New("out of stock")
	nodes := callers(t, "calls", []string{"n1", "n2", "n3"}, func(id string) []*cluster.App {
		a := cluster.NewApp("web")
		a.Handle("echo", echo)
		a.Handle("who", func(ctx context.Context, _ []byte) ([]byte, error) {
			h := cluster.GetHandlerContext(ctx)
			return []byte(h.NodeID + "<" + h.CallerNode + "/" + h.CallerApp), nil
		})
		cluster.HandleTyped(a, "sum", func(_ context.Context, all []int) (sum int, err error) {
			for _, n := range all {
				sum += n
			}
			return sum, nil
		})
		a.RegisterError(errStock)
		a.Handle("buy", func(context.Context, []byte) ([]byte, error) { return nil, fmt.Errorf("buy: %w", errStock) })
		return []*cluster.App{a}
	})
	leader := leaderOf(t, "web", nodes...)
	from := other(nodes, leader)
	rpc := from.apps["web"].RPC()
	ctx := within(t, patience)
	for target, want := range map[string]string{"n1": "n1", "n2": "n2", "n3": "n3", cluster.TargetLeader: leader.NodeID(), cluster.TargetAny: "n"} {
		data, err := rpc.Call(ctx, target, "who", nil)
		if err != nil || !strings.HasPrefix(string(data), want) || !strings.HasSuffix(string(data), "<"+from.NodeID()+"/web") {
			t.Errorf("%s: %q, %v", target, data, err)
		}
	}
	for _, payload := range [][]byte{nil, {}, []byte("x"), bytes.Repeat([]byte{0, 255}, 300_000)} {
		if data, err := rpc.Call(ctx, cluster.TargetLeader, "echo", payload); err != nil || !bytes.Equal(data, payload) {
			t.Errorf("%d bytes came back as %d, %v", len(payload), len(data), err)
		}
	}
	if sum, err := cluster.CallTyped[int](ctx, rpc, cluster.TargetLeader, "sum", []int{1, 2, 3}); err != nil || sum != 6 {
		t.Errorf("%d, %v", sum, err)
	}
	_, err := cluster.CallTyped[int](ctx, rpc, cluster.TargetLeader, "sum", "no list")
	wantErr(t, err, cluster.ErrInvalid, "read request of sum")
	var text string
	wantErr(t, rpc.CallJSON(ctx, cluster.TargetAny, "sum", []int{1}, &text), cluster.ErrInvalid, "does not fit")
	wantErr(t, rpc.CallJSON(ctx, cluster.TargetAny, "sum", func() {}, nil), cluster.ErrInvalid, "no JSON form")
	must(t, rpc.CallJSON(ctx, cluster.TargetAny, "sum", []int{1}, nil))
	_, err = rpc.Call(ctx, cluster.TargetAny, "buy", nil)
	wantErr(t, err, errStock, "buy: out of stock")
	_, err = rpc.Call(ctx, "n1", "unknown", nil)
	wantErr(t, err, cluster.ErrNoMethod, "n1")
	got, err := rpc.BroadcastByNode(ctx, "who", nil)
	if err != nil || len(got) != 3 || !strings.HasPrefix(string(got["n2"]), "n2<") {
		t.Errorf("%q, %v", got, err)
	}
}

// TestOneCallOneRun: a call is run once, by one instance, and passes the app's
// middleware, whoever calls and in whatever way (defect 34 of the prior art).
func TestOneCallOneRun(t *testing.T) {
	t.Parallel()
	var runs, checks atomic.Int32
	nodes := callers(t, "once", []string{"n1", "n2", "n3"}, func(string) []*cluster.App {
		a := cluster.NewApp("web", cluster.Spread())
		a.Handle("do", func(context.Context, []byte) ([]byte, error) { runs.Add(1); return nil, nil })
		a.Handle("ready", echo)
		a.Use(func(ctx context.Context, req []byte, next cluster.Handler) ([]byte, error) {
			if cluster.GetHandlerContext(ctx).Method == "do" {
				checks.Add(1)
			}
			return next(ctx, req)
		})
		return []*cluster.App{a}
	})
	spreadReady(t, nodes[0], "web", "ready", 3)
	ctx := within(t, patience)
	want := int32(0)
	for range 10 {
		for _, call := range []func() error{
			func() error {
				_, err := nodes[0].apps["web"].RPC().Call(ctx, cluster.TargetAny, "do", nil)
				return err
			},
			func() error { _, err := nodes[1].API("web").Call(ctx, "do", nil); return err },
			func() error {
				_, err := nodes[2].API("web").Call(ctx, "do", nil, cluster.ToAny(), cluster.WithRetry())
				return err
			},
			func() error { // a program in another language, through the queue group
				m := &nats.Msg{Subject: "gc.once.a.web.rpc.any", Header: nats.Header{"Gc-Method": {"do"}}}
				answer, err := nodes[0].NATS().RequestMsgWithContext(ctx, m)
				if err == nil && answer.Header.Get("Gc-Error") != "" {
					err = errors.New(string(answer.Data))
				}
				return err
			},
		} {
			must(t, call())
			want++
			if runs.Load() != want || checks.Load() != want {
				t.Fatalf("%d calls: %d runs, %d passed the middleware", want, runs.Load(), checks.Load())
			}
		}
	}
}

// TestFastCallBehindSlowOnes: calls do not wait for each other (defect 35 of
// the prior art).
func TestFastCallBehindSlowOnes(t *testing.T) {
	t.Parallel()
	const slow = 100
	begun, gate := make(chan struct{}, slow), make(chan struct{})
	nodes := callers(t, "fast", []string{"n1"}, func(string) []*cluster.App {
		a := cluster.NewApp("web", cluster.WithMaxCalls(slow+1))
		a.Handle("echo", echo)
		a.Handle("slow", func(context.Context, []byte) ([]byte, error) {
			begun <- struct{}{}
			<-gate
			return nil, nil
		})
		return []*cluster.App{a}
	})
	rpc := nodes[0].apps["web"].RPC()
	ctx := within(t, patience)
	var all sync.WaitGroup
	for range slow {
		all.Go(func() {
			if _, err := rpc.Call(ctx, "n1", "slow", nil); err != nil {
				t.Error(err)
			}
		})
	}
	for range slow {
		<-begun
	}
	for range 10 { // they would wait for the gate
		_, err := rpc.Call(ctx, "n1", "echo", nil)
		must(t, err)
	}
	all.Go(func() { _, _ = rpc.Call(ctx, "n1", "slow", nil) })
	<-begun
	_, err := rpc.Call(ctx, "n1", "echo", nil)
	wantErr(t, err, cluster.ErrBusy, "101 calls")
	close(gate)
	all.Wait()
}

// TestBroadcastEndsWithTheSlowest: it waits for members, not for a fixed time
// (defect 36 of the prior art); a member that is silent is named.
func TestBroadcastEndsWithTheSlowest(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	nodes := callers(t, "cast", []string{"n1", "n2", "n3"}, func(id string) []*cluster.App {
		a := cluster.NewApp("web", cluster.Spread())
		a.Handle("id", func(context.Context, []byte) ([]byte, error) { return []byte(id), nil })
		a.Handle("gated", func(ctx context.Context, _ []byte) ([]byte, error) {
			if id == "n2" {
				<-gate
			}
			return []byte(id), nil
		})
		if id == "n3" {
			a.Handle("only", echo)
		}
		return []*cluster.App{a}
	})
	spreadReady(t, nodes[0], "web", "id", 3)
	rpc := nodes[0].apps["web"].RPC()
	begun := time.Now()
	for range 50 {
		got, err := rpc.Broadcast(within(t, patience), "id", nil)
		if err != nil || fmt.Sprintf("%s", got) != "[n1 n2 n3]" {
			t.Fatalf("%s, %v", got, err)
		}
	}
	if took := time.Since(begun); took > 20*time.Second {
		t.Errorf("50 broadcasts took %v", took)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		got, err := rpc.Broadcast(ctx, "gated", nil)
		if be, ok := errors.AsType[*cluster.BroadcastError](err); !ok || !slices.Equal(be.Missing(), []string{"n2"}) || fmt.Sprintf("%s", got) != "[n1 n3]" {
			t.Errorf("%s, %v", got, err)
		}
		wantErr(t, err, context.Canceled, cluster.ErrUnknownOutcome)
	}()
	select {
	case <-done:
		t.Error("it did not wait for its slowest member")
	case <-time.After(300 * time.Millisecond):
	}
	cancel()
	<-done
	close(gate)
	got, err := rpc.BroadcastByNode(within(t, patience), "only", []byte("x"))
	be, ok := errors.AsType[*cluster.BroadcastError](err)
	if !ok || !slices.Equal(be.Missing(), []string{"n1", "n2"}) || len(got) != 1 || string(got["n3"]) != "x" {
		t.Errorf("%q, %v", got, err)
	}
	wantErr(t, err, cluster.ErrNoMethod, "2 of 3 nodes")
}

// TestAuthGuardsCallsFromOutside: a call from another app passes the middleware
// of the app that it calls, on every path, and no name of a platform or an app
// reaches the methods of another (defect 41 of the prior art).
func TestAuthGuardsCallsFromOutside(t *testing.T) {
	t.Parallel()
	s := startNATS(t)
	var reached atomic.Int32
	start := func(platform, app string, opts ...cluster.AppOption) *node {
		n := newNode(t, platform, "n1", s.ClientURL())
		a := n.app(cluster.NewApp(app, opts...))
		a.Use(cluster.Auth(func(ctx context.Context, _ []byte) error {
			if h := cluster.GetHandlerContext(ctx); h.CallerApp != app && h.Metadata["token"] != "secret" {
				return errors.New("no token")
			}
			return nil
		}))
		a.Handle("do", func(context.Context, []byte) ([]byte, error) {
			reached.Add(1)
			return []byte(platform + "/" + app), nil
		})
		n.app(cluster.NewApp("shop"))
		return n.start()
	}
	ab, a := start("a_b", "c"), start("a", "b_c")
	ab.leads("c")
	a.leads("b_c")
	ctx := within(t, patience)
	token := cluster.WithMetadata(ctx, map[string]string{"token": "secret"})
	for _, opts := range [][]cluster.CallOption{nil, {cluster.ToAny()}, {cluster.ToLeader()}, {cluster.ToLeader(), cluster.WithRetry()}} {
		before := reached.Load()
		_, err := ab.apps["shop"].API("c").Call(ctx, "do", nil, opts...)
		wantErr(t, err, cluster.ErrUnauthorized, "no token")
		_, err = ab.API("c").Broadcast(ctx, "do", nil)
		wantErr(t, err, cluster.ErrUnauthorized)
		if reached.Load() != before {
			t.Fatal("it was reached")
		}
		data, err := ab.apps["shop"].API("c").Call(token, "do", nil, opts...)
		if err != nil || string(data) != "a_b/c" {
			t.Errorf("%q, %v", data, err)
		}
		_, err = ab.API("b_c").Call(token, "do", nil, opts...)
		if !errors.Is(err, cluster.ErrUnreachable) && !errors.Is(err, cluster.ErrNoLeader) {
			t.Errorf("an app of another platform: %v", err)
		}
	}
	if data, err := a.apps["b_c"].RPC().Call(ctx, cluster.TargetLeader, "do", nil); err != nil || string(data) != "a/b_c" {
		t.Errorf("%q, %v", data, err)
	}
}

// TestCircuitIsShared: what a handler returns does not count; what cannot be
// delivered opens the circuit for every API value of the process (defect 43 of
// the prior art). Other nodes, and calls within the app, go on.
func TestCircuitIsShared(t *testing.T) {
	t.Parallel()
	nodes := callers(t, "circuit", []string{"n1"}, func(string) []*cluster.App {
		a := cluster.NewApp("web")
		a.Handle("fail", func(context.Context, []byte) ([]byte, error) { return nil, errors.New("no") })
		return []*cluster.App{a, cluster.NewApp("mute")}
	})
	n := nodes[0]
	n.leads("web")
	n.leads("mute")
	ctx := within(t, patience)
	for range 20 {
		_, err := n.API("web").Call(ctx, "fail", nil)
		if _, ok := errors.AsType[*cluster.RemoteError](err); !ok {
			t.Errorf("%v", err)
		}
	}
	for range 5 {
		_, err := n.API("mute").Call(ctx, "do", nil, cluster.ToAny())
		wantErr(t, err, cluster.ErrUnreachable)
	}
	_, err := n.API("mute").Call(ctx, "do", nil, cluster.ToAny())
	wantErr(t, err, cluster.ErrCircuitOpen)
	_, err = n.apps["web"].API("mute").Call(ctx, "do", nil, cluster.ToLeader(), cluster.WithRetry())
	wantErr(t, err, cluster.ErrCircuitOpen)
	_, err = n.API("web").Call(ctx, "fail", nil)
	wantErr(t, err, "no")
	_, err = n.apps["mute"].RPC().Call(ctx, "n1", "do", nil)
	wantErr(t, err, cluster.ErrUnreachable)
}
