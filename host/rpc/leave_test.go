package rpc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// reply is how a question of a test has ended.
type reply chan word

// Answered implements Asker.
func (r reply) Answered(h Header, data []byte, err error) { r <- word{h: h, data: data, err: err} }

// Request asks as a program in another language would, and takes the first
// answer.
func (n *network) Request(ctx context.Context, to Address, h Header, data []byte) (Header, []byte, error) {
	in := make(reply, 8)
	if _, err := n.Ask(to, h, "", data, in); err != nil {
		return nil, nil, err
	}
	select {
	case w := <-in:
		return w.h, w.data, w.err
	case <-ctx.Done():
		return nil, nil, fmt.Errorf("%w: %w", pluginapi.ErrUnknownOutcome, ctx.Err())
	}
}

// A call to a node that is no member any more, or lives again, does not wait for
// its deadline; one to a node that stays does.
func TestCallToALostNodeEnds(t *testing.T) {
	for name, lose := range map[string]func(w *world){
		"lost":  func(w *world) { w.town.settle(Peer{Node: "b"}) },
		"again": func(w *world) { w.town.reborn("a") },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				block := map[string]Handler{"block": func(ctx context.Context, _ []byte) ([]byte, error) {
					<-ctx.Done()
					return nil, ctx.Err()
				}}
				w.serve("a", block)
				w.serve("b", block)
				w.fate = func(to Address, _ int) fate {
					if to.Node == "a" {
						return mute
					}
					return deliver
				}
				begun := time.Now()
				var all sync.WaitGroup
				for node, most := range map[string]time.Duration{"a": time.Second, "b": 10 * time.Second} {
					all.Go(func() {
						_, err := w.client.Do(t.Context(), Call{App: "web", Target: node, Method: "block", Timeout: 10 * time.Second, Circuit: true})
						want(t, err, []error{pluginapi.ErrUnknownOutcome})
						if took := time.Since(begun); took > most || node == "b" && took < 9*time.Second {
							t.Errorf("%s: %v after %v", node, err, took)
						}
					})
				}
				synctest.Wait()
				w.client.Review() // nothing has changed
				<-time.After(500 * time.Millisecond)
				lose(w)
				w.client.Review()
				w.client.Review()
				all.Wait()
			})
		})
	}
}

// An answer that is on its way when its node leaves still counts.
func TestAnswerOfALeavingNode(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.serve("a", map[string]Handler{"late": func(context.Context, []byte) ([]byte, error) {
			<-time.After(200 * time.Millisecond)
			return []byte("done"), nil
		}})
		var all sync.WaitGroup
		all.Go(func() {
			data, err := w.client.Do(t.Context(), Call{App: "web", Target: "a", Method: "late"})
			if err != nil || string(data) != "done" {
				t.Errorf("%q, %v", data, err)
			}
		})
		synctest.Wait()
		w.town.settle()
		w.client.Review()
		all.Wait()
	})
}

// A node that was no member when it was called, and became one, is waited for
// until it leaves.
func TestCallBeforeTheNodeJoined(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.serve("a", map[string]Handler{"block": func(ctx context.Context, _ []byte) ([]byte, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}})
		w.fate = func(Address, int) fate { return mute }
		w.town.settle()
		begun := time.Now()
		var all sync.WaitGroup
		all.Go(func() {
			_, err := w.client.Do(t.Context(), Call{App: "web", Target: "a", Method: "block", Timeout: time.Minute})
			want(t, err, []error{pluginapi.ErrUnknownOutcome}, pluginapi.ErrTimeout)
			if took := time.Since(begun); took != 2*time.Second+goneGrace {
				t.Errorf("it ended after %v", took)
			}
		})
		for _, members := range [][]Peer{nil, {{Node: "a"}}, nil} {
			synctest.Wait()
			w.town.settle(members...)
			w.client.Review()
			<-time.After(time.Second)
		}
		all.Wait()
	})
}

// A call through the queue group is told who has taken it: its cancel reaches
// the handler, and it does not outlive the node.
func TestQueueGroupKnowsTheNode(t *testing.T) {
	for name, end := range map[string]func(w *world, cancel func()){
		"cancel": func(_ *world, cancel func()) { cancel() },
		"lost": func(w *world, _ func()) {
			w.town.settle(Peer{Node: "other"})
			w.client.Review()
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				ended := make(chan error, 1)
				w.serve("a", map[string]Handler{"block": func(ctx context.Context, _ []byte) ([]byte, error) {
					<-ctx.Done()
					ended <- ctx.Err()
					return nil, ctx.Err()
				}})
				w.town.settle(Peer{Node: "a"}) // lives, and has another app as far as the caller knows
				w.town.apps = func(string) bool { return false }
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				begun := time.Now()
				done := make(chan error, 1)
				go func() {
					_, err := w.client.Do(ctx, Call{App: "web", Target: TargetAny, Method: "block"})
					done <- err
				}()
				synctest.Wait()
				end(w, cancel)
				want(t, <-done, []error{pluginapi.ErrUnknownOutcome}, pluginapi.ErrTimeout)
				if took := time.Since(begun); took > time.Second {
					t.Errorf("the call took %v", took)
				}
				if name == "cancel" {
					synctest.Wait()
					if len(ended) != 1 {
						t.Error("the handler runs on")
					}
				}
			})
		})
	}
}

// A repetition of a call through the queue group goes to the node that has taken
// the first one.
func TestQueueGroupRepeats(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		var runs atomic.Int32
		w.serve("a", map[string]Handler{"do": func(context.Context, []byte) ([]byte, error) {
			<-time.After(time.Second)
			return fmt.Append(nil, runs.Add(1)), nil
		}})
		w.serve("b", map[string]Handler{"do": func(context.Context, []byte) ([]byte, error) {
			<-time.After(time.Second)
			return fmt.Append(nil, runs.Add(1)), nil
		}})
		w.town.apps = func(string) bool { return false }
		w.fate = func(_ Address, n int) fate {
			if n%2 == 1 {
				return cut
			}
			return deliver
		}
		for range 8 {
			before := runs.Load()
			data, err := w.client.Do(t.Context(), Call{App: "web", Target: TargetAny, Method: "do", Retry: DefaultRetry()})
			if err != nil || string(data) != fmt.Sprint(before+1) || runs.Load() != before+1 {
				t.Errorf("%q, %v, %d runs", data, err, runs.Load()-before)
			}
		}
		if sent := w.requests(); len(sent) != 16 || sent[0].Node != "" || sent[1].Node == "" {
			t.Errorf("%v", sent)
		}
	})
}

// A closing server answers what was delivered before it stopped listening, and
// the call goes elsewhere: to any and to the leader, without a retry.
func TestClosingServerSendsCallsElsewhere(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		var runs atomic.Int32
		a := w.serve("a", counter(&runs), w.led)
		b := w.serve("b", counter(&runs), w.led)
		w.elect("a", 1)
		a.Lead(1)
		hold := w.holdMessages("a")
		var all sync.WaitGroup
		for _, target := range []string{TargetAny, TargetLeader} {
			for range 8 {
				all.Go(func() {
					if _, err := w.client.Do(t.Context(), Call{App: "web", Target: target, Method: "do"}); err != nil {
						t.Error(err)
					}
				})
			}
			synctest.Wait()
		}
		a.mu.Lock()
		a.open = false // as Close does before it drains
		a.mu.Unlock()
		hold()
		synctest.Wait()
		w.elect("b", 2)
		b.Lead(2)
		all.Wait()
		if runs.Load() != 16 {
			t.Errorf("%d runs", runs.Load())
		}
		a.mu.Lock()
		a.open = true
		a.mu.Unlock()
	})
}

// holdMessages keeps what is sent to a node as a link does, until release.
func (n *network) holdMessages(node string) (release func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := n.at[Address{"web", node}][0]
	fn := l.fn
	var mu sync.Mutex
	var held []Message
	keep := true
	l.fn = func(m Message) {
		mu.Lock()
		defer mu.Unlock()
		if keep {
			held = append(held, m)
			return
		}
		fn(m)
	}
	return func() {
		mu.Lock()
		defer mu.Unlock()
		keep = false
		for _, m := range slices.Clone(held) {
			fn(m)
		}
	}
}

// Nobody who serves the wrong answers can hold up a caller or name a node that
// cannot be one.
func TestHostileEarlyWords(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		if _, err := w.Listen(Address{"web", ""}, func(m Message) {
			for _, node := range []string{"no.node", "", "a", "b", "c", "d", "e"} {
				_ = m.Respond(Header{HeadTaken: {node}}, nil)
			}
			_ = m.Respond(nil, []byte("done"))
		}); err != nil {
			t.Fatal(err)
		}
		data, err := w.client.Do(t.Context(), Call{App: "web", Target: TargetAny, Method: "do"})
		if err != nil || string(data) != "done" {
			t.Errorf("%q, %v", data, err)
		}
		if errors.Is(err, pluginapi.ErrUnknownOutcome) {
			t.Error(err)
		}
	})
}

// A node that is no member may answer, and then has the whole time; one of which
// nothing is heard has not.
func TestCallToNoMember(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.serve("a", map[string]Handler{"long": func(context.Context, []byte) ([]byte, error) {
			<-time.After(10 * time.Second)
			return []byte("done"), nil
		}})
		w.town.settle(Peer{Node: "other"})
		data, err := w.client.Do(t.Context(), Call{App: "web", Target: "a", Method: "long"})
		if err != nil || string(data) != "done" {
			t.Errorf("%q, %v", data, err)
		}
		w.fate = func(Address, int) fate { return swallow }
		begun := time.Now()
		for _, retry := range []Retry{{}, DefaultRetry()} {
			_, err = w.client.Do(t.Context(), Call{App: "web", Target: "a", Method: "long", Retry: retry})
			want(t, err, []error{pluginapi.ErrUnknownOutcome}, pluginapi.ErrTimeout)
		}
		if took := time.Since(begun); took != 2*absentWait {
			t.Errorf("it took %v", took)
		}
	})
}

// What an attempt was told too late is not told to the next one.
func TestUsedAttemptIsSilent(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		a := w.client.newWaiting(Address{"web", "a"})
		a.words <- word{kind: goneWord}
		a.gone, a.inc = true, 7
		a.timer.Reset(0)
		synctest.Wait()
		w.client.release(a)
		if len(a.words) != 0 || len(a.timer.C) != 0 || a.gone || a.inc != 0 {
			t.Errorf("%+v", a)
		}
	})
}

// The end of a client does not wait for pauses between attempts.
func TestCloseEndsPauses(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.town.settle(Peer{Node: "a"})
		begun := time.Now()
		done := make(chan error, 1)
		go func() {
			_, err := w.client.Do(t.Context(), Call{App: "web", Target: "a", Method: "do", Retry: Retry{Times: 1, First: 10 * time.Second, Most: 10 * time.Second}})
			done <- err
		}()
		synctest.Wait()
		w.client.Close()
		want(t, <-done, []error{pluginapi.ErrUnreachable})
		if took := time.Since(begun); took != 0 {
			t.Errorf("it took %v", took)
		}
	})
}
