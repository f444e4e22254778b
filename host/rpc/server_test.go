package rpc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// A call to a node that is slow with others is not kept waiting (defect 35 of
// the prior art), and the pool is a bound: one more is refused at once.
func TestPool(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		gate := make(chan struct{})
		w.serve("a", map[string]Handler{
			"echo": echo,
			"slow": func(context.Context, []byte) ([]byte, error) { <-gate; return nil, nil },
		}, func(c *ServerConfig) { c.Pool = 10 })
		var all sync.WaitGroup
		for range 9 {
			all.Go(func() {
				if _, err := w.client.Do(t.Context(), Call{App: "web", Target: "a", Method: "slow"}); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		begun := time.Now()
		if data, err := w.client.Do(t.Context(), Call{App: "web", Target: "a", Method: "echo", Payload: []byte("x")}); err != nil || string(data) != "x" {
			t.Errorf("%q, %v", data, err)
		}
		all.Go(func() { _, _ = w.client.Do(t.Context(), Call{App: "web", Target: "a", Method: "slow"}) })
		synctest.Wait()
		_, err := w.client.Do(t.Context(), Call{App: "web", Target: "a", Method: "echo"})
		want(t, err, []error{pluginapi.ErrBusy}, pluginapi.ErrUnknownOutcome)
		if re, ok := errors.AsType[*RemoteError](err); !ok || !re.Refused || re.Node != "a" || re.Method != "echo" || re.App != "web" {
			t.Errorf("%#v", re)
		}
		if took := time.Since(begun); took != 0 {
			t.Errorf("it took %v", took)
		}
		close(gate)
		all.Wait()
	})
}

// The caller's deadline is the handler's, a little earlier; a handler that does
// not heed it keeps its place in the pool, and its caller is told in time.
func TestDeadline(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		left, gate := make(chan time.Duration, 1), make(chan struct{})
		w.serve("a", map[string]Handler{
			"heed": func(ctx context.Context, _ []byte) ([]byte, error) {
				d, _ := ctx.Deadline()
				left <- time.Until(d)
				<-ctx.Done()
				return nil, fmt.Errorf("read: %w", ctx.Err())
			},
			"deaf": func(context.Context, []byte) ([]byte, error) { <-gate; return []byte("late"), nil },
		}, func(c *ServerConfig) { c.Pool = 1 })
		for _, method := range []string{"heed", "deaf"} {
			begun := time.Now()
			_, err := w.client.Do(t.Context(), Call{App: "web", Target: "a", Method: method, Timeout: time.Second})
			want(t, err, []error{pluginapi.ErrTimeout, pluginapi.ErrUnknownOutcome}, context.DeadlineExceeded)
			if re, ok := errors.AsType[*RemoteError](err); !ok || !re.Running {
				t.Errorf("%s: not the node's word: %v", method, err)
			}
			if took := time.Since(begun); took < 800*time.Millisecond || took > time.Second {
				t.Errorf("%s took %v", method, took)
			}
			synctest.Wait() // the handler that heeds has come back too
		}
		if d := <-left; d > time.Second || d < 800*time.Millisecond {
			t.Errorf("the handler had %v", d)
		}
		_, err := w.client.Do(t.Context(), Call{App: "web", Target: "a", Method: "deaf"})
		want(t, err, []error{pluginapi.ErrBusy})
		close(gate)
	})
}

// When the caller gives up, the handler's context ends.
func TestCancelTravels(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		begun, ended := make(chan struct{}), make(chan error, 1)
		w.serve("a", map[string]Handler{"wait": func(ctx context.Context, _ []byte) ([]byte, error) {
			close(begun)
			<-ctx.Done()
			ended <- ctx.Err()
			return nil, ctx.Err()
		}})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			_, err := w.client.Do(ctx, Call{App: "web", Target: TargetAny, Method: "wait"})
			done <- err
		}()
		<-begun
		cancel()
		want(t, <-done, []error{context.Canceled, pluginapi.ErrUnknownOutcome}, pluginapi.ErrTimeout)
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		synctest.Wait()
		if s := w.servers["a"]; len(s.byID)+len(s.running)+s.slots > 0 {
			t.Error("it stays in the book")
		}
	})
}

// A cancel of another node, or of no call, ends nothing.
func TestCancelOfAnother(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		begun, gate := make(chan string, 1), make(chan struct{})
		s := w.serve("a", map[string]Handler{"wait": func(ctx context.Context, _ []byte) ([]byte, error) {
			begun <- GetHandlerContext(ctx).RequestID
			<-gate
			return nil, ctx.Err()
		}})
		done := make(chan error)
		go func() {
			_, err := w.client.Do(t.Context(), Call{App: "web", Target: "a", Method: "wait"})
			done <- err
		}()
		id := <-begun
		s.take(Message{Header: Question{Node: "other", Cancel: id}.header()})
		s.take(Message{Header: Question{Node: "c", Cancel: "none"}.header()})
		close(gate)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// A panic, or the end of the goroutine, is an error of the call, and of nothing
// else.
func TestPanic(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.serve("a", map[string]Handler{
			"panic": func(context.Context, []byte) ([]byte, error) { panic("ouch") },
			"exit":  func(context.Context, []byte) ([]byte, error) { runtime.Goexit(); return nil, nil },
			"nil":   func(context.Context, []byte) ([]byte, error) { var e *BroadcastError; return nil, e },
			"echo":  echo,
		})
		for method, text := range map[string]string{"panic": "the handler panicked: ouch", "exit": "ended its goroutine", "nil": "*rpc.BroadcastError that panics"} {
			_, err := w.client.Do(t.Context(), Call{App: "web", Target: "a", Method: method})
			re, ok := errors.AsType[*RemoteError](err)
			if !ok || !strings.Contains(re.Text, text) || re.Code != "" || re.Refused || re.Running {
				t.Errorf("%s: %#v", method, re)
			}
		}
		if _, err := w.client.Do(t.Context(), Call{App: "web", Target: "a", Method: "echo"}); err != nil {
			t.Error(err)
		}
	})
}

// Errors keep their identity: sentinels, registered ones, and no others.
func TestErrorsCross(t *testing.T) {
	errFull, errOther := errors.New("the shelf is full"), errors.New("another")
	inBubble(t, func(t *testing.T, w *world) {
		var give error
		w.serve("a", map[string]Handler{"do": func(context.Context, []byte) ([]byte, error) { return nil, give }},
			func(c *ServerConfig) { c.Named = []error{errFull} })
		for _, give = range append([]error{errFull, errOther}, sentinels()...) {
			_, err := w.client.Do(t.Context(), Call{App: "web", Target: "a", Method: "do"})
			if errors.Is(err, give) != (give != errOther) {
				t.Errorf("%v came back as %v", give, err)
			}
			if re, ok := errors.AsType[*RemoteError](err); !ok || re.Refused || re.Running || re.Text != give.Error() {
				t.Errorf("%#v", re)
			}
		}
		give = fmt.Errorf("put: %w", errFull)
		_, err := w.client.Do(t.Context(), Call{App: "web", Target: "a", Method: "do"})
		if !errors.Is(err, errFull) || !strings.Contains(err.Error(), "call do of app web on a: put: the shelf is full") {
			t.Error(err)
		}
	})
}

func sentinels() (out []error) {
	for _, s := range pluginapi.Sentinels() {
		out = append(out, s)
	}
	return out
}

// Close refuses what comes, waits for what runs, ends its context after a
// second, and tells the callers of what does not end.
func TestClose(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		gate := make(chan struct{})
		s := w.serve("a", map[string]Handler{
			"short": func(context.Context, []byte) ([]byte, error) {
				<-time.After(500 * time.Millisecond)
				return []byte("done"), nil
			},
			"heed": func(ctx context.Context, _ []byte) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() },
			"deaf": func(context.Context, []byte) ([]byte, error) { <-gate; return nil, nil },
		})
		results := map[string]chan error{}
		for _, method := range []string{"short", "heed", "deaf"} {
			ch := make(chan error, 1)
			results[method] = ch
			go func() {
				data, err := w.client.Do(t.Context(), Call{App: "web", Target: "a", Method: method})
				if err == nil && string(data) != "done" {
					err = fmt.Errorf("answer %q", data)
				}
				ch <- err
			}()
		}
		synctest.Wait()
		begun := time.Now()
		bounded, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		s.Close(bounded)
		if took := time.Since(begun); took < 3*time.Second || took > 3100*time.Millisecond {
			t.Errorf("it took %v", took)
		}
		if err := <-results["short"]; err != nil {
			t.Error(err)
		}
		for _, method := range []string{"heed", "deaf"} {
			want(t, <-results[method], []error{pluginapi.ErrShuttingDown, pluginapi.ErrUnknownOutcome})
		}
		_, err := w.client.Do(t.Context(), Call{App: "web", Target: "a", Method: "short"})
		want(t, err, []error{pluginapi.ErrUnreachable}, pluginapi.ErrUnknownOutcome)
		close(gate)
		s.Close(t.Context()) // again
		if err := s.Open(); err != nil {
			t.Fatal(err)
		}
		if _, err := w.client.Do(t.Context(), Call{App: "web", Target: "a", Method: "short"}); err != nil {
			t.Error(err)
		}
	})
}

// A node answers calls to the leader only while it leads, in the epoch that the
// caller speaks of; refusals are counted. When the leadership ends, no handler
// of such a call runs on.
func TestLeaderFence(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		var runs, running, ids atomic.Int32
		s := w.serve("a", map[string]Handler{"act": func(ctx context.Context, _ []byte) ([]byte, error) {
			runs.Add(1)
			running.Add(1)
			defer running.Add(-1)
			l, ok := pluginapi.LeaseFrom(ctx)
			if !ok || l.Epoch != 7 {
				return nil, fmt.Errorf("lease %v %v", l, ok)
			}
			<-ctx.Done()
			<-time.After(10 * time.Second) // it takes its time
			return nil, ctx.Err()
		}}, w.led)
		ask := func(epoch pluginapi.Epoch) error {
			h := Question{Method: "act", ID: fmt.Sprint("id-", ids.Add(1)), Node: "c", Wait: time.Minute, ToLeader: true, Epoch: epoch}.header()
			rh, data, err := w.Request(t.Context(), Address{"web", "a"}, h, nil)
			if err == nil {
				_, err = readAnswer(Address{"web", "a"}, "act", rh, data)
			}
			return err
		}
		refused := func(epoch pluginapi.Epoch) {
			t.Helper()
			err := ask(epoch)
			want(t, err, []error{pluginapi.ErrNotLeader}, pluginapi.ErrUnknownOutcome)
		}
		refused(7) // no lease
		w.elect("a", 7)
		refused(7) // the lease, but not active yet
		refused(0)
		s.Lead(7)
		refused(6)
		refused(8)
		w.elect("a", 9) // it leads anew, and is not active in that epoch yet
		refused(9)
		refused(0)
		w.elect("b", 8)
		refused(7) // active, but the lease is over
		w.elect("a", 7)
		if w.stale != 8 || runs.Load() != 0 {
			t.Errorf("%d refusals counted, %d runs", w.stale, runs.Load())
		}
		for _, epoch := range []pluginapi.Epoch{7, 0} {
			s.Lead(7)
			done := make(chan error, 1)
			go func() { done <- ask(epoch) }()
			synctest.Wait()
			if running.Load() != 1 {
				t.Fatal("it does not run")
			}
			bounded, cancel := context.WithTimeout(t.Context(), time.Second)
			s.Yield(bounded)
			cancel()
			if running.Load() != 0 {
				t.Error("a handler of the leader runs on")
			}
			refused(7)
			want(t, <-done, []error{pluginapi.ErrNotLeader, pluginapi.ErrUnknownOutcome})
		}
	})
}

// An answer that the leader has not given while it led is not given.
func TestAnswerOfAFormerLeader(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		s := w.serve("a", map[string]Handler{"read": func(context.Context, []byte) ([]byte, error) {
			w.elect("b", 8) // meanwhile
			return []byte("old"), nil
		}}, w.led)
		w.elect("a", 7)
		s.Lead(7)
		data, err := w.client.Do(t.Context(), Call{App: "web", Target: TargetLeader, Method: "read"})
		want(t, err, []error{pluginapi.ErrNotLeader, pluginapi.ErrUnknownOutcome})
		if len(data) > 0 {
			t.Errorf("%q", data)
		}
	})
}

// What is too large to be sent is refused with the limit, both ways.
func TestTooLarge(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.serve("a", map[string]Handler{
			"echo":  echo,
			"large": func(context.Context, []byte) ([]byte, error) { return make([]byte, 100<<20), nil },
		})
		limit := fmt.Sprint(1<<20 - HeaderRoom)
		for _, size := range []int{1<<20 - HeaderRoom + 1, 100 << 20} {
			_, err := w.client.Do(t.Context(), Call{App: "web", Target: "a", Method: "echo", Payload: make([]byte, size)})
			want(t, err, []error{pluginapi.ErrTooLarge})
			if !strings.Contains(err.Error(), limit) {
				t.Error(err)
			}
		}
		if len(w.requests()) > 0 {
			t.Error("it was sent")
		}
		most := bytes.Repeat([]byte("x"), 1<<20-HeaderRoom)
		if data, err := w.client.Do(t.Context(), Call{App: "web", Target: "a", Method: "echo", Payload: most}); err != nil || len(data) != len(most) {
			t.Error(len(data), err)
		}
		_, err := w.client.Do(t.Context(), Call{App: "web", Target: "a", Method: "large"})
		want(t, err, []error{pluginapi.ErrTooLarge})
		if !strings.Contains(err.Error(), limit) {
			t.Error(err)
		}
	})
}

// What a stranger sends is answered with what is wrong, and runs nothing.
func TestStrangers(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		ran := false
		w.serve("a", map[string]Handler{"do": func(context.Context, []byte) ([]byte, error) { ran = true; return nil, nil }})
		for name, h := range map[string]Header{
			"nothing":            nil,
			"an empty method":    {headMethod: {""}},
			"two methods":        {headMethod: {"do", "do"}},
			"no value":           {headMethod: {}},
			"a long method":      {headMethod: {strings.Repeat("m", 129)}},
			"a method in Greek":  {headMethod: {"δο"}},
			"a caller with dots": {headMethod: {"do"}, headFrom: {"a.b"}},
			"a negative time":    {headMethod: {"do"}, headTime: {"-1"}},
			"a huge epoch":       {headMethod: {"do"}, headLeader: {"99999999999999999999999"}},
			"once without an id": {headMethod: {"do"}, headOnce: {"0"}},
			"too much metadata":  {headMethod: {"do"}, headMeta + "a": {strings.Repeat("x", MaxMeta)}},
			"a cancel of spaces": {headCancel: {"  "}},
		} {
			rh, data, err := w.Request(t.Context(), Address{"web", "a"}, h, nil)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			_, err = readAnswer(Address{"web", "a"}, "do", rh, data)
			if re, ok := errors.AsType[*RemoteError](err); !ok || !errors.Is(err, pluginapi.ErrInvalid) || !re.Refused {
				t.Errorf("%s: %v", name, err)
			}
		}
		_, err := w.client.Do(t.Context(), Call{App: "web", Target: "a", Method: "unknown"})
		want(t, err, []error{pluginapi.ErrNoMethod})
		if ran {
			t.Error("it ran")
		}
		if got := w.noted(&w.handled); len(got) != 13 || got[12] != "web - refused" {
			t.Errorf("%v", got)
		}
	})
}
