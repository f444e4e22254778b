package grant

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/host/plugin/capability"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

var _ plugin.Host = (*Host)(nil)

// world is all services at once; it notes what reached them.
type world struct {
	reached []string
	left    time.Duration // of the deadline of the last call
	fail    error
	big     int // bytes of each answer
}

func (w *world) note(ctx context.Context, format string, args ...any) ([]byte, error) {
	w.reached = append(w.reached, fmt.Sprintf(format, args...))
	at, _ := ctx.Deadline()
	w.left = time.Until(at)
	return append([]byte("answer"), make([]byte, w.big)...), w.fail
}

func (w *world) Get(ctx context.Context, key string) ([]byte, error) {
	return w.note(ctx, "get %s", key)
}

func (w *world) Put(ctx context.Context, key string, value []byte) error {
	_, err := w.note(ctx, "put %s %s", key, value)
	return err
}

func (w *world) Delete(ctx context.Context, key string) error {
	_, err := w.note(ctx, "delete %s", key)
	return err
}

func (w *world) Keys(ctx context.Context, prefix string) ([]string, error) {
	_, err := w.note(ctx, "keys %s", prefix)
	return []string{prefix + "x"}, err
}

func (w *world) Publish(ctx context.Context, subject string, data []byte) error {
	_, err := w.note(ctx, "publish %s %s", subject, data)
	return err
}

func (w *world) Call(ctx context.Context, app, method string, data []byte) ([]byte, error) {
	return w.note(ctx, "call %s %s %s", app, method, data)
}

func (w *world) Do(ctx context.Context, r WebRequest) (wire.HTTPResponse, error) {
	body, err := w.note(ctx, "http %s %s named=%v %d %s", r.Method, r.Target.URL(), r.Named, len(r.Headers), r.Body)
	return wire.HTTPResponse{Status: 200, Body: body}, err
}

func (w *world) Run(ctx context.Context, name string, args []string, stdin []byte) (wire.ExecResult, error) {
	out, err := w.note(ctx, "exec %s %q %s", name, args, stdin)
	return wire.ExecResult{Stdout: out}, err
}

func (w *world) Secret(ctx context.Context, name string) ([]byte, error) {
	return w.note(ctx, "secret %s", name)
}

func (w *world) Now() time.Time        { return time.UnixMilli(1234) }
func (w *world) Uptime() time.Duration { return 5678 }

func (w *world) services() Services {
	return Services{KV: w, Publisher: w, Caller: w, Web: w, Commands: w, Secrets: w, Clock: w}
}

func set(t *testing.T, texts ...string) capability.Set {
	t.Helper()
	s, err := capability.ParseSet(texts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// everything is every capability, as far as it can be granted at all.
func everything(t *testing.T) capability.Set {
	return set(t, "log", "clock", "random", "kv.read:*", "kv.write:*", "publish:>", "rpc:a/*", "http:GET,POST *", "exec:a", "secret:a")
}

type message interface{ Append([]byte) []byte }

func encode(m message) []byte { return m.Append(nil) }

func request(name string) (op string, in []byte) {
	switch name {
	case "get":
		return wire.HostKVGet, encode(&wire.Key{Key: "a.b"})
	case "put":
		return wire.HostKVPut, encode(&wire.KeyValue{Key: "a.b", Value: []byte("v")})
	case "delete":
		return wire.HostKVDelete, encode(&wire.Key{Key: "a.b"})
	case "keys":
		return wire.HostKVKeys, encode(&wire.Key{Key: "a."})
	case "publish":
		return wire.HostPublish, encode(&wire.Publish{Subject: "a.b", Data: []byte("d")})
	case "call":
		return wire.HostCall, encode(&wire.Call{App: "a", Method: "m", Data: []byte("d"), Timeout: 2000})
	case "http":
		return wire.HostHTTP, encode(&wire.HTTPRequest{Method: "POST", URL: "https://B.com/x?q=1", Headers: []wire.Header{{Name: "A", Value: "b"}}, Body: []byte("d"), Timeout: 2000})
	case "exec":
		return wire.HostExec, encode(&wire.ExecRequest{Command: "a", Args: []string{"x", ""}, Stdin: []byte("d"), Timeout: 2000})
	case "secret":
		return wire.HostSecret, encode(&wire.Key{Key: "a"})
	case "clock":
		return wire.HostClock, nil
	}
	return wire.HostRandom, encode(&wire.Random{Count: 16})
}

func names() []string {
	return []string{"get", "put", "delete", "keys", "publish", "call", "http", "exec", "secret", "clock", "random"}
}

// What both sets allow reaches its service as it was asked for.
func TestAllowed(t *testing.T) {
	w := &world{}
	h := New(everything(t), everything(t), w.services())
	want := map[string]string{
		"get": "get a.b", "put": "put a.b v", "delete": "delete a.b", "keys": "keys a.", "publish": "publish a.b d", "call": "call a m d",
		"http": "http POST https://b.com/x?q=1 named=false 1 d", "exec": `exec a ["x" ""] d`, "secret": "secret a",
	}
	for _, name := range names() {
		w.reached = nil
		op, in := request(name)
		out, err := h.Call(t.Context(), op, in)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := strings.Join(w.reached, ", "); got != want[name] {
			t.Errorf("%s: reached %q, want %q", name, got, want[name])
		}
		var v wire.Value
		switch name {
		case "get", "call", "secret":
			if err := v.Decode(out); err != nil || string(v.Value) != "answer" {
				t.Errorf("%s: %q, %v", name, v.Value, err)
			}
		case "random":
			if err := v.Decode(out); err != nil || len(v.Value) != 16 {
				t.Errorf("random: %d bytes, %v", len(v.Value), err)
			}
		case "clock":
			var c wire.Clock
			if err := c.Decode(out); err != nil || c != (wire.Clock{UnixMS: 1234, Uptime: 5678}) {
				t.Errorf("clock: %+v, %v", c, err)
			}
		}
	}
	if s := h.Stats(); s != (Stats{Calls: 11}) {
		t.Errorf("counted %+v", s)
	}
}

// Without any one of the three, asked for, granted, offered, nothing is reached.
func TestRefused(t *testing.T) {
	w := &world{}
	for what, h := range map[string]*Host{
		"not asked for": New(nil, everything(t), w.services()),
		"not granted":   New(everything(t), nil, w.services()),
		"not offered":   New(everything(t), everything(t), Services{}),
		"others":        New(set(t, "kv.read:b.", "kv.write:b.", "publish:b.>", "rpc:b/*", "http:GET b.com", "exec:b", "secret:b"), everything(t), w.services()),
		"each the half": New(set(t, "kv.read:a.", "publish:a.*", "rpc:a/m", "exec:a", "clock"), set(t, "kv.write:a.", "publish:b.*", "rpc:a/n", "secret:a", "random"), w.services()),
	} {
		refused := uint64(0)
		for _, name := range names() {
			if name == "random" && what == "not offered" {
				continue // the host needs nobody for it
			}
			op, in := request(name)
			_, err := h.Call(t.Context(), op, in)
			if !errors.Is(err, pluginapi.ErrNotGranted) {
				t.Errorf("%s: %s: %v", what, name, err)
			}
			refused++
		}
		if s := h.Stats(); s != (Stats{Calls: refused, Refused: refused}) {
			t.Errorf("%s: counted %+v of %d", what, s, refused)
		}
	}
	if len(w.reached) > 0 {
		t.Errorf("reached %q", w.reached)
	}
}

// Reading and writing are two capabilities: who has one has not the other.
func TestReadIsNotWrite(t *testing.T) {
	w := &world{}
	for granted, names := range map[string][]string{"kv.read:*": {"put", "delete"}, "kv.write:*": {"get", "keys"}} {
		for _, name := range names {
			op, in := request(name)
			h := New(set(t, granted), set(t, granted), w.services())
			if _, err := h.Call(t.Context(), op, in); !errors.Is(err, pluginapi.ErrNotGranted) || len(w.reached) > 0 {
				t.Errorf("%s: %s: %v, reached %q", granted, name, err, w.reached)
			}
		}
	}
}

// Requests that try to get around what is granted reach nothing.
func TestAttacks(t *testing.T) {
	all := set(t, "kv.read:app.", "kv.write:app.", "kv.read:a/", "publish:app.*", "rpc:app/get", "http:GET,POST api.example.com/v1/", "exec:restart", "secret:token", "random", "clock")
	w := &world{}
	h := New(all, all, w.services())
	key := func(k string) []byte { return encode(&wire.Key{Key: k}) }
	http := func(method, url string) []byte { return encode(&wire.HTTPRequest{Method: method, URL: url}) }
	attacks := []struct {
		op string
		in []byte
	}{
		{wire.HostKVGet, key("app2")}, {wire.HostKVGet, key("app")}, {wire.HostKVGet, key("")}, {wire.HostKVGet, key("app.*")}, {wire.HostKVGet, key("app.>")}, {wire.HostKVGet, key("a/../b")}, {wire.HostKVGet, key("a/./b")}, {wire.HostKVGet, key("app..x")}, {wire.HostKVGet, key("app.x\x00")},
		{wire.HostKVKeys, key("")}, {wire.HostKVKeys, key("app")}, {wire.HostKVKeys, key("ap")}, {wire.HostKVKeys, key("*")}, {wire.HostKVKeys, key("a/../")},
		{wire.HostKVPut, key("a/x")}, {wire.HostKVDelete, key("other")},
		{wire.HostPublish, encode(&wire.Publish{Subject: "app.*"})}, {wire.HostPublish, encode(&wire.Publish{Subject: "app.>"})}, {wire.HostPublish, encode(&wire.Publish{Subject: "app.a.b"})}, {wire.HostPublish, encode(&wire.Publish{Subject: "app"})}, {wire.HostPublish, encode(&wire.Publish{Subject: "app.x\r\nPUB y"})},
		{wire.HostCall, encode(&wire.Call{App: "app", Method: "*"})}, {wire.HostCall, encode(&wire.Call{App: "app2", Method: "get"})}, {wire.HostCall, encode(&wire.Call{App: "app", Method: "get2"})}, {wire.HostCall, encode(&wire.Call{App: "*", Method: "get"})}, {wire.HostCall, encode(&wire.Call{App: "app/get", Method: ""})},
		{wire.HostCall, encode(&wire.Call{App: "app", Method: "get", Timeout: -1})}, {wire.HostCall, encode(&wire.Call{App: "app", Method: "get", Timeout: 1 << 62})},
		{wire.HostHTTP, http("GET", "https://api.example.com@evil.com/v1/")}, {wire.HostHTTP, http("GET", "https://api.example.com.evil.com/v1/")}, {wire.HostHTTP, http("GET", "https://api.example.com/v1/../v2")}, {wire.HostHTTP, http("GET", "https://api.example.com/v1/%2e%2e/v2")},
		{wire.HostHTTP, http("GET", "http://api.example.com/v1/")}, {wire.HostHTTP, http("GET", "https://api.example.com:444/v1/")}, {wire.HostHTTP, http("DELETE", "https://api.example.com/v1/")}, {wire.HostHTTP, http("GET ", "https://api.example.com/v1/")}, {wire.HostHTTP, http("CONNECT", "https://api.example.com/v1/")}, {wire.HostHTTP, http("", "https://api.example.com/v1/")},
		{wire.HostHTTP, http("GET", "https://127.0.0.1/v1/")}, {wire.HostHTTP, http("GET", "https://[::1]/v1/")}, {wire.HostHTTP, http("GET", "file:///v1/")},
		{wire.HostHTTP, encode(&wire.HTTPRequest{Method: "GET", URL: "https://api.example.com/v1/", Headers: make([]wire.Header, 100)})}, {wire.HostHTTP, encode(&wire.HTTPRequest{Method: "GET", URL: "https://api.example.com/v1/", Timeout: -5})},
		{wire.HostExec, encode(&wire.ExecRequest{Command: "/bin/sh"})}, {wire.HostExec, encode(&wire.ExecRequest{Command: ""})}, {wire.HostExec, encode(&wire.ExecRequest{Command: "restart; id"})}, {wire.HostExec, encode(&wire.ExecRequest{Command: "restart", Args: make([]string, 1000)})},
		{wire.HostSecret, key("token2")}, {wire.HostSecret, key("")}, {wire.HostSecret, key("../token")}, {wire.HostSecret, key("*")},
		{wire.HostRandom, encode(&wire.Random{Count: -1})}, {wire.HostRandom, encode(&wire.Random{})}, {wire.HostRandom, encode(&wire.Random{Count: 1 << 40})},
		{"", nil}, {"kv", key("app.x")}, {"KV.GET", key("app.x")}, {strings.Repeat("x", 1<<20), nil},
		{wire.HostKVGet, []byte{0xff}}, {wire.HostHTTP, []byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f}}, {wire.HostKVGet, []byte("\x0a\x02\xff\xfe")}, {wire.HostKVPut, make([]byte, MaxRequest+1)},
	}
	for _, a := range attacks {
		_, err := h.Call(t.Context(), a.op, a.in)
		if err == nil {
			t.Errorf("%.20s %.60q was answered", a.op, a.in)
			continue
		}
		var sentinel pluginapi.Error
		if !errors.As(err, &sentinel) || len(err.Error()) > 2000 {
			t.Errorf("%.20s %.60q: %.200v", a.op, a.in, err)
		}
	}
	if len(w.reached) > 0 {
		t.Errorf("reached %q", w.reached)
	}
	if s := h.Stats(); s.Refused+s.Failed != s.Calls || s.Refused == 0 {
		t.Errorf("counted %+v", s)
	}
}

// A plugin's own timeout makes its time shorter, never longer; without any
// deadline there still is one.
func TestDeadlines(t *testing.T) {
	w := &world{}
	h := New(everything(t), everything(t), w.services())
	soon, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	for _, c := range []struct {
		ctx     context.Context
		timeout int64
		most    time.Duration
	}{
		{t.Context(), 0, defaultTimeout}, {t.Context(), 3000, 3 * time.Second}, {soon, 0, time.Second}, {soon, 60_000, time.Second},
	} {
		for op, in := range map[string][]byte{
			wire.HostCall: encode(&wire.Call{App: "a", Method: "m", Timeout: c.timeout}),
			wire.HostHTTP: encode(&wire.HTTPRequest{Method: "GET", URL: "https://a.com/", Timeout: c.timeout}),
			wire.HostExec: encode(&wire.ExecRequest{Command: "a", Timeout: c.timeout}),
		} {
			if _, err := h.Call(c.ctx, op, in); err != nil || w.left > c.most {
				t.Errorf("%s, timeout %d: %v left, %v, want %v at most", op, c.timeout, w.left, err, c.most)
			}
		}
	}
}

// The error of a service goes through, a passed deadline as ErrTimeout; an answer
// that is too large does not.
func TestAnswers(t *testing.T) {
	w := &world{fail: pluginapi.ErrKeyNotFound}
	h := New(everything(t), everything(t), w.services())
	op, in := request("get")
	if _, err := h.Call(t.Context(), op, in); !errors.Is(err, pluginapi.ErrKeyNotFound) {
		t.Errorf("got %v", err)
	}
	w.fail = fmt.Errorf("ask: %w", context.DeadlineExceeded)
	if _, err := h.Call(t.Context(), op, in); !errors.Is(err, pluginapi.ErrTimeout) {
		t.Errorf("got %v", err)
	}
	w.fail, w.big = nil, MaxReply
	if _, err := h.Call(t.Context(), op, in); !errors.Is(err, pluginapi.ErrTooLarge) {
		t.Errorf("got %v", err)
	}
	if s := h.Stats(); s != (Stats{Calls: 3, Failed: 3}) {
		t.Errorf("counted %+v", s)
	}
}

// The address that the operator has named is known to be his wish; what only the
// plugin names is not.
func TestNamedAddress(t *testing.T) {
	in := encode(&wire.HTTPRequest{Method: "GET", URL: "http://10.0.0.5:80/"})
	for granted, want := range map[string]string{"http:GET 10.0.0.5:80": "named=true", "http:GET *:80": "named=false"} {
		w := &world{}
		h := New(set(t, "http:GET 10.0.0.5:80"), set(t, granted), w.services())
		if _, err := h.Call(t.Context(), wire.HostHTTP, in); err != nil || !strings.Contains(strings.Join(w.reached, ""), want) {
			t.Errorf("%s: %q, %v", granted, w.reached, err)
		}
	}
}

// Nothing that can be sent makes the host panic, or reaches what is not granted.
func FuzzCall(f *testing.F) {
	for _, name := range names() {
		op, in := request(name)
		f.Add(op, in)
	}
	granted, err := capability.ParseSet([]string{"kv.read:app.", "kv.write:app.", "publish:app.>", "rpc:app/get", "http:GET api.example.com/v1/", "exec:restart", "secret:token", "random", "clock"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, op string, in []byte) {
		w := &world{}
		out, err := New(granted, granted, w.services()).Call(t.Context(), op, in)
		if err == nil && len(out) > MaxReply {
			t.Fatal("too large an answer")
		}
		for _, r := range w.reached {
			word := strings.Fields(r)
			good := map[string]bool{"get": true, "put": true, "delete": true, "keys": true, "publish": true}[word[0]] && strings.HasPrefix(word[1], "app.") && !strings.ContainsAny(word[1], "*>") ||
				strings.HasPrefix(r, "call app get ") || strings.HasPrefix(r, "http GET https://api.example.com/v1/") && !strings.Contains(strings.Split(r, "?")[0], "/../") ||
				strings.HasPrefix(r, "exec restart ") || r == "secret token"
			if !good {
				t.Fatalf("reached %q", r)
			}
		}
	})
}
