package rpc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// counter returns handlers that count their runs.
func counter(runs *atomic.Int32) map[string]Handler {
	return map[string]Handler{"do": func(context.Context, []byte) ([]byte, error) {
		return fmt.Append(nil, runs.Add(1)), nil
	}}
}

// Nobody there is an error at once, and says whether the node is known.
func TestNobodyThere(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.town.settle(Peer{Node: "a"})
		begun := time.Now()
		_, err := w.client.Do(t.Context(), Call{App: "web", Target: "a", Method: "do"})
		want(t, err, []error{pluginapi.ErrUnreachable}, pluginapi.ErrUnknownOutcome, pluginapi.ErrNodeNotFound)
		_, err = w.client.Do(t.Context(), Call{App: "web", Target: "b", Method: "do"})
		want(t, err, []error{pluginapi.ErrUnreachable, pluginapi.ErrNodeNotFound})
		_, err = w.client.Do(t.Context(), Call{App: "web", Target: TargetAny, Method: "do"})
		want(t, err, []error{pluginapi.ErrUnreachable})
		w.town.settle()
		_, err = w.client.Do(t.Context(), Call{App: "web", Target: TargetAny, Method: "do"})
		want(t, err, []error{pluginapi.ErrUnreachable, pluginapi.ErrAppNotFound})
		if took := time.Since(begun); took > 0 {
			t.Errorf("it took %v", took)
		}
		w.fate = func(Address, int) fate { return offline }
		_, err = w.client.Do(t.Context(), Call{App: "web", Target: "a", Method: "do"})
		want(t, err, []error{pluginapi.ErrUnreachable}, pluginapi.ErrUnknownOutcome)
	})
}

// A call to any finds one that is there, and goes through the queue group when
// nobody is known to have the app.
func TestAnyFindsOne(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		var runs atomic.Int32
		w.serve("c1", counter(&runs))
		w.town.settle(Peer{Node: "a", Healthy: true}, Peer{Node: "b", Healthy: true}, Peer{Node: "c1", Healthy: true})
		for range 9 {
			if _, err := w.client.Do(t.Context(), Call{App: "web", Target: TargetAny, Method: "do"}); err != nil {
				t.Error(err)
			}
		}
		w.town.settle()
		if _, err := w.client.Do(t.Context(), Call{App: "web", Target: TargetAny, Method: "do"}); err != nil {
			t.Error(err)
		}
		if runs.Load() != 10 {
			t.Errorf("%d runs of 10 calls", runs.Load())
		}
	})
}

// A call to the leader follows it, for a second, as long as nothing was done.
func TestLeaderIsFollowed(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		where := func(node string) map[string]Handler {
			return map[string]Handler{"who": func(context.Context, []byte) ([]byte, error) { return []byte(node), nil }}
		}
		a, b := w.serve("a", where("a"), w.led), w.serve("b", where("b"), w.led)
		ask := func(target, who string, is ...error) {
			t.Helper()
			data, err := w.client.Do(t.Context(), Call{App: "web", Target: target, Method: "who"})
			if string(data) != who || (err == nil) != (who != "") {
				t.Errorf("%q, %v, want %q", data, err, who)
			}
			for _, e := range is {
				want(t, err, []error{e}, pluginapi.ErrUnknownOutcome)
			}
		}
		begun := time.Now()
		w.town.elect(Lead{Mode: LeadOne})
		ask(TargetLeader, "", pluginapi.ErrNoLeader)
		if took := time.Since(begun); took < time.Second || took > 1100*time.Millisecond {
			t.Errorf("no leader: after %v", took)
		}
		w.elect("a", 1)
		a.Lead(1)
		ask(TargetLeader, "a")
		ask(TargetAuto, "a")
		go func() { <-time.After(300 * time.Millisecond); w.elect("b", 2); b.Lead(2) }()
		a.Yield(t.Context())
		ask(TargetLeader, "b") // while a still seems to lead
		w.town.elect(Lead{LeadOne, "a", 1})
		ask(TargetLeader, "", pluginapi.ErrNotLeader)
		w.town.elect(Lead{LeadOne, "gone", 1})
		ask(TargetLeader, "", pluginapi.ErrUnreachable)
		n := 0
		for _, to := range w.requests() {
			if to.Node == "gone" {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d requests to a node where nobody is", n)
		}
		w.town.elect(Lead{Mode: LeadNone})
		begun = time.Now()
		ask(TargetLeader, "", pluginapi.ErrNoLeader)
		if time.Since(begun) > 0 {
			t.Error("it waits for the leader of an app that has none")
		}
		// An app of other nodes, of which this one knows nothing: the leader answers,
		// whoever is asked.
		w.town.elect(Lead{Mode: LeadUnknown})
		var found sync.WaitGroup
		found.Go(func() { <-time.After(100 * time.Millisecond); w.town.elect(Lead{LeadOne, "b", 2}) })
		ask(TargetAuto, "b")
		found.Wait()
	})
}

// An app without leaders answers a call that leaves the target open.
func TestAutoOfASpreadApp(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.serve("a", map[string]Handler{"echo": echo})
		for _, mode := range []LeadMode{LeadNone, LeadUnknown} {
			w.town.elect(Lead{Mode: mode})
			if _, err := w.client.Do(t.Context(), Call{App: "web", Method: "echo"}); err != nil {
				t.Error(err)
			}
		}
	})
}

// The circuit counts what was not delivered, not what a handler says (defect 43
// of the prior art): it is shared by all calls, opens after five, lets one
// through after 30 s, and closes when that comes back.
func TestCircuit(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		s := w.serve("a", map[string]Handler{
			"echo": echo,
			"fail": func(context.Context, []byte) ([]byte, error) { return nil, errors.New("no") },
			"slow": func(ctx context.Context, _ []byte) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() },
		})
		call := func(method string, is ...error) {
			t.Helper()
			_, err := w.client.Do(t.Context(), Call{App: "web", Target: "a", Method: method, Circuit: true, Timeout: time.Second})
			if len(is) == 0 && method == "echo" && err != nil {
				t.Error(err)
			}
			for _, e := range is {
				want(t, err, []error{e})
			}
		}
		for range 10 {
			call("fail")
			call("slow", pluginapi.ErrTimeout)
		}
		call("echo")
		s.Close(t.Context())
		for range 5 {
			call("echo", pluginapi.ErrUnreachable)
		}
		call("echo", pluginapi.ErrCircuitOpen)
		<-time.After(30 * time.Second)
		call("echo", pluginapi.ErrUnreachable) // the probe
		call("echo", pluginapi.ErrCircuitOpen)
		if err := s.Open(); err != nil {
			t.Fatal(err)
		}
		call("echo", pluginapi.ErrCircuitOpen)
		// Calls within the app have no circuit.
		if _, err := w.client.Do(t.Context(), Call{App: "web", Target: "a", Method: "echo"}); err != nil {
			t.Error(err)
		}
		<-time.After(30 * time.Second)
		call("echo")
		call("echo")
		if got := strings.Join(w.noted(&w.circuit), ", "); got != "a open, a half-open, a open, a half-open, a closed" {
			t.Error(got)
		}
		if l := w.client.loads[Address{"web", "a"}]; !l.breaker.idle() || len(l.out) != 0 {
			t.Errorf("left over: %+v", l)
		}
		want := map[string]int{">web error": 10, ">web timeout": 10, ">web ok": 3, ">web refused": 9}
		for _, c := range w.noted(&w.called) {
			want[c]--
		}
		for c, n := range want {
			if n != 0 {
				t.Errorf("%q: %d fewer", c, n)
			}
		}
	})
}

// A node that takes calls and answers none opens its circuit too, and calls to
// any go elsewhere.
func TestCircuitOfASilentNode(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.serve("a", map[string]Handler{"echo": echo})
		w.serve("b", map[string]Handler{"echo": echo})
		w.fate = func(to Address, _ int) fate {
			if to.Node == "a" {
				return swallow
			}
			return deliver
		}
		failed := 0
		for range 40 {
			if _, err := w.client.Do(t.Context(), Call{App: "web", Target: TargetAny, Method: "echo", Circuit: true, Timeout: time.Second}); err != nil {
				want(t, err, []error{pluginapi.ErrTimeout, pluginapi.ErrUnknownOutcome})
				failed++
			}
		}
		if failed != 5 {
			t.Errorf("%d calls failed", failed)
		}
	})
}

// A broadcast ends with its slowest member (defect 36 of the prior art), and
// with its context; who has not answered is named.
func TestBroadcastEnds(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		for i := range 5 {
			w.serve(fmt.Sprint("n", i), map[string]Handler{"id": func(ctx context.Context, _ []byte) ([]byte, error) {
				<-time.After(time.Duration(i) * 100 * time.Millisecond)
				return []byte(GetHandlerContext(ctx).NodeID), nil
			}})
		}
		begun := time.Now()
		replies, err := w.client.Broadcast(t.Context(), Call{App: "web", Method: "id"})
		if err != nil || Missing(replies) != nil || len(replies) != 5 || string(replies[4].Data) != "n4" {
			t.Errorf("%v, %v", replies, err)
		}
		if took := time.Since(begun); took != 400*time.Millisecond {
			t.Errorf("it took %v", took)
		}
		w.town.settle(append(w.town.Peers(""), Peer{Node: "gone"})...)
		begun = time.Now()
		replies, err = w.client.Broadcast(t.Context(), Call{App: "web", Method: "id", Timeout: 250 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		missing := Missing(replies)
		be, ok := errors.AsType[*BroadcastError](missing)
		if !ok || !slices.Equal(be.Missing(), []string{"gone", "n3", "n4"}) || be.Asked != 6 {
			t.Errorf("%v", missing)
		}
		want(t, missing, []error{pluginapi.ErrUnreachable, pluginapi.ErrTimeout})
		if took := time.Since(begun); took > 250*time.Millisecond {
			t.Errorf("it took %v", took)
		}
		<-time.After(time.Second)
		w.town.settle()
		_, err = w.client.Broadcast(t.Context(), Call{App: "web", Method: "id"})
		want(t, err, []error{pluginapi.ErrAppNotFound, pluginapi.ErrUnreachable})
	})
}

// Close ends the calls on their way; afterwards, and with a context that is
// over, nothing is sent.
func TestClientClose(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.serve("a", map[string]Handler{"wait": func(ctx context.Context, _ []byte) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() }})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := w.client.Do(ctx, Call{App: "web", Target: "a", Method: "wait"})
		want(t, err, []error{context.Canceled}, pluginapi.ErrUnknownOutcome)
		late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
		defer cancel()
		_, err = w.client.Do(late, Call{App: "web", Target: "a", Method: "wait"})
		want(t, err, []error{pluginapi.ErrTimeout}, pluginapi.ErrUnknownOutcome)
		if len(w.requests()) > 0 {
			t.Errorf("sent to %v", w.requests())
		}
		var all sync.WaitGroup
		all.Go(func() {
			_, err := w.client.Do(t.Context(), Call{App: "web", Target: "a", Method: "wait"})
			want(t, err, []error{pluginapi.ErrShuttingDown, pluginapi.ErrUnknownOutcome})
		})
		synctest.Wait()
		w.client.Close()
		all.Wait()
		_, err = w.client.Do(t.Context(), Call{App: "web", Target: "a", Method: "wait"})
		want(t, err, []error{pluginapi.ErrShuttingDown}, pluginapi.ErrUnknownOutcome)
	})
}

// Mistakes are told before anything is sent.
func TestBadCalls(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		for name, c := range map[string]Call{
			"no app":              {Target: "a", Method: "do"},
			"a bad app":           {App: "a.b", Target: "a", Method: "do"},
			"a bad node":          {App: "web", Target: "a b", Method: "do"},
			"an unknown word":     {App: "web", Target: "@all", Method: "do"},
			"no method":           {App: "web", Target: "a"},
			"a long method":       {App: "web", Target: "a", Method: strings.Repeat("m", 10_000)},
			"a method of spaces":  {App: "web", Target: "a", Method: "a b"},
			"a negative timeout":  {App: "web", Target: "a", Method: "do", Timeout: -1},
			"a negative of tries": {App: "web", Target: "a", Method: "do", Retry: Retry{Times: -1}},
		} {
			_, err := w.client.Do(t.Context(), c)
			if !errors.Is(err, pluginapi.ErrInvalid) || len(err.Error()) > 600 {
				t.Errorf("%s: %v", name, err)
			}
		}
		for name, m := range map[string]map[string]string{
			"a name with a blank": {"a b": "c"}, "no name": {"": "c"}, "no value": {"a": ""}, "a value with a line": {"a": "b\r\nGc-Node: x"}, "a blank at the end": {"a": "b "},
		} {
			_, err := w.client.Do(WithMetadata(t.Context(), m), Call{App: "web", Target: "a", Method: "do"})
			if !errors.Is(err, pluginapi.ErrInvalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
		var none context.Context
		_, err := w.client.Do(none, Call{App: "web", Target: "a", Method: "do"})
		want(t, err, []error{pluginapi.ErrInvalid})
		if len(w.requests()) > 0 {
			t.Error("something was sent")
		}
	})
}
