package rpc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// What is written is read again, to the millisecond.
func TestQuestionTravels(t *testing.T) {
	for _, q := range []Question{
		{Method: "m"},
		{Method: "a.b/c:d-e_f", ID: "id-1", App: "web", Node: "n1", Wait: 1500 * time.Millisecond},
		{Method: "m", ToLeader: true},
		{Method: "m", ToLeader: true, Epoch: 1 << 60, Once: true, ID: "x"},
		{Method: "m", ID: "x", Once: true, Age: 7 * time.Millisecond, Meta: map[string]string{"token": "a b", "k": "v"}},
		{Node: "n1", Cancel: "x"},
	} {
		got, err := readQuestion(q.header())
		if err != nil || !reflect.DeepEqual(got, q) {
			t.Errorf("%+v came as %+v, %v", q, got, err)
		}
	}
}

func FuzzReadQuestion(f *testing.F) {
	for _, s := range [][3]string{
		{headMethod, "echo", "30"}, {headCancel, "id", ""}, {headOnce, "1", "-5"}, {headMeta + "a", "\x00", "1e9"},
	} {
		f.Add(s[0], s[1], s[2])
	}
	f.Fuzz(func(t *testing.T, name, value, number string) {
		h := Header{headMethod: {"m"}, headTime: {number}, headLeader: {number}, headOnce: {number}, headID: {"i"}, name: {value}}
		q, err := readQuestion(h)
		if err != nil {
			if !errors.Is(err, pluginapi.ErrInvalid) && !errors.Is(err, pluginapi.ErrTooLarge) || len(err.Error()) > 2000 {
				t.Errorf("%v", err)
			}
			return
		}
		if q.Cancel == "" && (CheckMethod(q.Method) != nil || q.Wait < 0 || q.Wait > maxWait || q.Age > maxWait || CheckMeta(q.Meta) != nil) {
			t.Errorf("%+v", q)
		}
		if again, err := readQuestion(q.header()); err != nil || again.Method != q.Method || again.Epoch != q.Epoch {
			t.Errorf("%+v came again as %+v, %v", q, again, err)
		}
	})
}

func FuzzReadAnswer(f *testing.F) {
	f.Add("busy", stateRefused, "n1", []byte("text"))
	f.Add("-", "", "", []byte(nil))
	f.Add("context canceled", "running", "a.b", []byte("\xff"))
	f.Add("context canceled", "", "n1", []byte("x"))
	f.Add("context deadline exceeded", stateRefused, "n1", []byte("x"))
	f.Fuzz(func(t *testing.T, code, state, node string, body []byte) {
		_, err := readAnswer(Address{App: "web"}, "m", Header{headError: {code}, headState: {state}, headNode: {node}}, body)
		e, ok := errors.AsType[*RemoteError](err)
		if !ok || e.Text == "" || len(e.Text) > maxErrorText+3+3*maxErrorText || e.Refused && e.Running {
			t.Fatalf("%#v", err)
		}
		if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			t.Error("another node speaks of our context")
		}
		if e.Refused && state != stateRefused || !e.Running && state != "" && state != stateRefused {
			t.Errorf("state %q is %+v", state, e)
		}
	})
}

// Errors that cannot be told apart on the wire cannot be registered.
func TestErrorNames(t *testing.T) {
	if err := CheckErrorName(errors.New("the shelf is full")); err != nil {
		t.Error(err)
	}
	for _, e := range []error{nil, errors.New(""), errors.New("-"), errors.New(" a"), errors.New("a\nb"), errors.New(strings.Repeat("x", 129)), context.Canceled, context.DeadlineExceeded} {
		if err := CheckErrorName(e); !errors.Is(err, pluginapi.ErrInvalid) {
			t.Errorf("%v: %v", e, err)
		}
	}
}

// The window remembers calls within its bounds, and knows what it may have
// forgotten.
func TestWindow(t *testing.T) {
	now := time.Unix(1000, 0)
	w := NewWindow(now)
	look := func(key string, age time.Duration, want verdict) {
		t.Helper()
		if v, _ := w.look(now, key, age); v != want {
			t.Errorf("%s, first sent %v ago: %v, want %v", key, age, v, want)
		}
	}
	now = now.Add(time.Second)
	look("a", 0, begin)
	look("a", time.Millisecond, begin)     // it was first sent when the window was there
	look("a", 2*time.Second, forgotten)    // before
	look("a", time.Second, forgotten)      // clocks differ
	look("a", 900*time.Millisecond, begin) // by less than that
	w.enter(now, "a", &run{})
	look("a", 2*time.Second, join)
	w.finish("a", Header{"x": {"y"}}, []byte("body"))
	look("a", 0, repeat)
	if _, m := w.look(now, "a", 0); string(m.body) != "body" || m.head["x"][0] != "y" {
		t.Errorf("%+v", m)
	}
	w.enter(now, "runs", &run{})
	now = now.Add(windowSpan)
	look("a", time.Millisecond, begin)
	look("a", windowSpan, forgotten)
	look("runs", windowSpan, join) // what runs is never forgotten
}

func TestWindowIsBounded(t *testing.T) {
	now := time.Unix(1000, 0)
	w := NewWindow(now)
	for i := range 3 * windowCalls {
		now = now.Add(time.Millisecond)
		key := fmt.Sprint(i)
		w.enter(now, key, &run{})
		w.finish(key, nil, make([]byte, i%(2*windowAnswer)))
		if len(w.calls) > windowCalls+1 || w.bytes > windowBytes+windowAnswer || w.order.Len() != len(w.calls) {
			t.Fatalf("%d calls, %d bytes, %d in order", len(w.calls), w.bytes, w.order.Len())
		}
	}
	newest, oldest := fmt.Sprint(3*windowCalls-1), "0"
	if v, _ := w.look(now, newest, time.Millisecond); v != repeat {
		t.Errorf("the newest: %v", v)
	}
	if v, _ := w.look(now, oldest, 3*windowCalls*time.Millisecond); v != forgotten {
		t.Errorf("the oldest: %v", v)
	}
}

// No call is begun twice, whatever comes in whatever order: a model keeps all.
func TestWindowModel(t *testing.T) {
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 1))
		now := time.Unix(1000, 0)
		w := NewWindow(now)
		sent, begun, running := map[string]time.Time{}, map[string]int{}, map[string]bool{}
		for range 3000 {
			now = now.Add(time.Duration(r.IntN(500)) * time.Millisecond)
			key := fmt.Sprint(r.IntN(400))
			if running[key] && r.IntN(2) == 0 {
				w.finish(key, nil, make([]byte, r.IntN(2*windowAnswer)))
				running[key] = false
				continue
			}
			age := time.Duration(0)
			if at, known := sent[key]; known {
				age = sentAgo(now.Sub(at))
			} else {
				sent[key] = now
			}
			if v, _ := w.look(now, key, age); v == begin {
				w.enter(now, key, &run{})
				begun[key]++
				running[key] = true
			}
		}
		for key, n := range begun {
			if n > 1 {
				t.Errorf("seed %d: call %s was begun %d times", seed, key, n)
			}
		}
	}
}

// Five failures in a row open a circuit; one probe at a time closes it.
func TestBreaker(t *testing.T) {
	var b Breaker
	now := time.Unix(1000, 0)
	one := func(r transport) {
		if b.Ready(now) {
			b.End(now, b.Begin(), r)
		}
	}
	state := func(want Circuit) {
		t.Helper()
		if b.State() != want {
			t.Errorf("%v, want %v", b.State(), want)
		}
	}
	for range 20 {
		for range breakAfter - 1 {
			one(lost)
			one(unproven)
		}
		one(arrived)
	}
	state(CircuitClosed)
	late := b.Begin()
	for range breakAfter {
		one(lost)
	}
	state(CircuitOpen)
	b.End(now, late, lost) // began before; says nothing new
	now = now.Add(openFor - 1)
	if b.Ready(now) {
		t.Error("ready too early")
	}
	now = now.Add(1)
	probe := b.Begin()
	state(CircuitHalfOpen)
	if !probe || b.Ready(now) {
		t.Error("two probes")
	}
	b.End(now, false, lost)
	state(CircuitHalfOpen)
	b.End(now, probe, unproven) // the caller gave up: the next one is the probe
	if !b.Ready(now) {
		t.Error("no probe any more")
	}
	b.End(now, b.Begin(), lost)
	state(CircuitOpen)
	if b.Ready(now) {
		t.Error("ready after a failed probe")
	}
	now = now.Add(openFor)
	b.End(now, b.Begin(), arrived)
	state(CircuitClosed)
	if !b.idle() {
		t.Errorf("%+v", b)
	}
}

// Healthy before loaded before turn.
func TestPick(t *testing.T) {
	peers := []Peer{{"a", true}, {"b", true}, {"c", false}, {"d", true}}
	out := map[string]int{"a": 2, "b": 1, "d": 1}
	closed := map[string]bool{}
	got := map[string]int{}
	for turn := range uint64(8) {
		node, ok := pick(peers, func(n string) int { return out[n] }, func(n string) bool { return !closed[n] }, turn)
		if !ok {
			t.Error("none")
		}
		got[node]++
	}
	if got["b"] == 0 || got["d"] == 0 || got["b"]+got["d"] != 8 {
		t.Errorf("%v", got)
	}
	for _, next := range []string{"b", "d", "a", "c", ""} {
		out["d"] = 2
		node, ok := pick(peers, func(n string) int { return out[n] }, func(n string) bool { return !closed[n] }, 3)
		if node != next && !(next == "d" && node == "a" || next == "a" && node == "d") || ok != (next != "") {
			t.Errorf("%q, want %q", node, next)
		}
		closed[node] = true
	}
	if _, ok := pick(nil, nil, nil, 5); ok {
		t.Error("one of none")
	}
}

// Middleware runs in the order in which it was added, around every handler.
func TestMiddlewareOrder(t *testing.T) {
	var log []string
	say := func(word string) Middleware {
		return func(ctx context.Context, req []byte, next Handler) ([]byte, error) {
			log = append(log, word)
			data, err := next(ctx, append(req, word...))
			log = append(log, "/"+word)
			return data, err
		}
	}
	var chain MiddlewareChain
	chain.Use(say("a"), say("b"))
	other := chain.Clone()
	other.Use(say("c"))
	if chain.Len() != 2 || other.Len() != 3 {
		t.Errorf("%d, %d", chain.Len(), other.Len())
	}
	data, err := chain.Wrap(echo)(t.Context(), []byte("-"))
	if got := strings.Join(log, " "); err != nil || string(data) != "-ab" || got != "a b /b /a" {
		t.Errorf("%q %v: %s", data, err, got)
	}
	chain.Use(nil)
	if err := chain.Check(); !errors.Is(err, pluginapi.ErrInvalid) {
		t.Error(err)
	}
	if _, err := chain.Wrap(echo)(t.Context(), nil); !errors.Is(err, pluginapi.ErrUnauthorized) {
		t.Errorf("a nil middleware lets pass: %v", err)
	}
}

type limit map[string]int

func (l limit) Allow(method string) bool { l[method]--; return l[method] >= 0 }

// Each middleware does what it says.
func TestMiddlewareSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := &callContext{call: HandlerContext{Method: "m", CallerApp: "shop"}, due: time.Now().Add(time.Hour)}
		boom := func(context.Context, []byte) ([]byte, error) { panic("ouch") }
		slow := func(ctx context.Context, _ []byte) ([]byte, error) { time.Sleep(time.Second); return nil, ctx.Err() }
		var told []string
		var book bytes.Buffer
		log := LoggingOptions{LogRequests: true, LogResponses: true, SlowThreshold: 500 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(&book, nil))}
		allowed := limit{"m": 1}
		auth := Auth(func(ctx context.Context, req []byte) error {
			if GetHandlerContext(ctx).CallerApp != "shop" || string(req) == "bad" {
				return fmt.Errorf("who: %w", pluginapi.ErrTimeout)
			}
			return nil
		})
		for _, c := range []struct {
			name string
			m    Middleware
			h    Handler
			req  string
			want error
			text string
		}{
			{"recovery", Recovery(), boom, "", nil, "panicked: ouch"},
			{"recovery of nothing", Recovery(), echo, "x", nil, ""},
			{"timeout", Timeout(100 * time.Millisecond), slow, "", pluginapi.ErrTimeout, "handle m within 100ms"},
			{"timeout in time", Timeout(2 * time.Second), slow, "", nil, ""},
			{"auth", auth, echo, "", nil, ""},
			{"auth refuses", auth, echo, "bad", pluginapi.ErrUnauthorized, "who"},
			{"auth without a check", Auth(nil), echo, "", pluginapi.ErrUnauthorized, ""},
			{"limit", RateLimit(allowed), echo, "", nil, ""},
			{"limit reached", RateLimit(allowed), echo, "", pluginapi.ErrBusy, "calls of m"},
			{"no limit", RateLimit(nil), echo, "", nil, ""},
			{"filter", MethodFilter("l", "m"), echo, "", nil, ""},
			{"filter refuses", MethodFilter("n"), echo, "", pluginapi.ErrNoMethod, ""},
			{"metrics", Metrics(func(m string, d time.Duration, err error) { told = append(told, fmt.Sprint(m, d, err)) }), slow, "", nil, ""},
			{"metrics for nobody", Metrics(nil), echo, "", nil, ""},
			{"logging", Logging(log), slow, "", nil, ""},
			{"logging an error", Logging(log), Auth(nil).around(echo), "", pluginapi.ErrUnauthorized, ""},
		} {
			_, err := c.m(ctx, []byte(c.req), c.h)
			if (err == nil) != (c.want == nil && c.text == "") || c.want != nil && !errors.Is(err, c.want) || err != nil && !strings.Contains(err.Error(), c.text) {
				t.Errorf("%s: %v", c.name, err)
			}
		}
		if !slices.Equal(told, []string{"m1s <nil>"}) {
			t.Errorf("%v", told)
		}
		for text, n := range map[string]int{"msg=call ": 2, "slow call": 1, "ended with an error": 1, "method=m": 4} {
			if strings.Count(book.String(), text) != n {
				t.Errorf("%q is not there %d times:\n%s", text, n, book.String())
			}
		}
		if errors.Is(func() error { _, err := auth(ctx, []byte("bad"), echo); return err }(), pluginapi.ErrTimeout) {
			t.Error("the check's own error crosses the wire in place of ErrUnauthorized")
		}
	})
}

func (m Middleware) around(h Handler) Handler {
	var c MiddlewareChain
	c.Use(m)
	return c.Wrap(h)
}

// The context of a handler says who calls and what the caller adds.
func TestHandlerContext(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		var got HandlerContext
		w.serve("a", map[string]Handler{"who": func(ctx context.Context, _ []byte) ([]byte, error) {
			got = *GetHandlerContext(ctx)
			return nil, nil
		}})
		meta := map[string]string{"token": "t-1", "trace": "x y"}
		ctx := WithRequestID(WithMetadata(t.Context(), meta), "r-1")
		if _, err := w.client.Do(ctx, Call{From: "shop", App: "web", Target: "a", Method: "who"}); err != nil {
			t.Fatal(err)
		}
		if !maps.Equal(got.Metadata, meta) {
			t.Errorf("%v", got.Metadata)
		}
		got.Metadata = nil
		if want := (HandlerContext{"who", "a", "web", "p", "r-1", "c", "shop", time.Now(), nil}); !reflect.DeepEqual(got, want) {
			t.Errorf("%+v, want %+v", got, want)
		}
		if GetHandlerContext(t.Context()) != nil {
			t.Error("another context has one")
		}
	})
}
