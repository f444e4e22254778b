package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ozanturksever/go-cluster/host/plugin/adapt"
	"github.com/ozanturksever/go-cluster/host/plugin/grant"
	"github.com/ozanturksever/go-cluster/host/plugin/trial"
	"github.com/ozanturksever/go-cluster/host/plugin/trial/trialtest"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
	sdk "github.com/ozanturksever/go-cluster/sdk-wasm"
	"github.com/ozanturksever/go-cluster/sdk-wasm/sdktest"
)

const url = "https://hooks.example.com/gchost"

// server is a web server that keeps what it gets.
type server struct {
	mu     sync.Mutex
	status int64
	got    []sdk.Request
}

func (s *server) do(r sdk.Request) (sdk.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, r)
	return sdk.Response{Status: s.status}, nil
}

func (s *server) only(t *testing.T) sdk.Request {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.got) != 1 {
		t.Fatalf("%d requests, want 1", len(s.got))
	}
	return s.got[0]
}

func header(r sdk.Request, name string) string {
	for _, h := range r.Headers {
		if strings.EqualFold(h.Name, name) {
			return h.Value
		}
	}
	return ""
}

func hookWith(t *testing.T, config string, s *server) *sdktest.Host {
	t.Helper()
	h := sdktest.New(t, newPlugin())
	h.HTTP = s.do
	h.Secrets[secretName] = "a key"
	if err := h.Configure(config); err != nil {
		t.Fatal(err)
	}
	return h
}

func event() sdk.Event {
	return sdk.Event{ID: "p.shop.7", Kind: sdk.LeaderChange, Platform: "p", Node: "n1", App: "shop", Epoch: 7, Attempt: 1, Time: 1_750_000_000_123, Leader: "n2"}
}

// checkDelivery is what a receiver does that follows the specification.
func checkDelivery(t *testing.T, r sdk.Request, key []byte, want sdk.Event) {
	t.Helper()
	var got delivery
	if err := json.Unmarshal(r.Body, &got); err != nil {
		t.Fatalf("%s: %v", r.Body, err)
	}
	if r.Method != "POST" || r.URL != url || header(r, "content-type") != "application/json" {
		t.Errorf("%s %s %v", r.Method, r.URL, r.Headers)
	}
	if got.Type != "gchost.leader_change" || got.Timestamp != "2025-06-15T15:06:40.123Z" || got.Data.Leader != want.Leader || got.Data.Epoch != want.Epoch {
		t.Errorf("body %s", r.Body)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(slices.Concat([]byte(header(r, "webhook-id")), []byte("."), []byte(header(r, "webhook-timestamp")), []byte("."), r.Body))
	if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); header(r, "webhook-signature") != want {
		t.Errorf("signature %q, want %q", header(r, "webhook-signature"), want)
	}
	if header(r, "webhook-id") != want.ID {
		t.Errorf("id %q", header(r, "webhook-id"))
	}
}

func TestDelivery(t *testing.T) {
	s := &server{status: 204}
	h := hookWith(t, `{"url": "`+url+`", "headers": {"X-Team": "storage"}}`, s)
	if err := h.Event(event()); err != nil {
		t.Fatal(err)
	}
	r := s.only(t)
	checkDelivery(t, r, []byte("a key"), event())
	if header(r, "x-team") != "storage" || r.Timeout != 4000 {
		t.Errorf("headers %v, timeout %d", r.Headers, r.Timeout)
	}
	if header(r, "webhook-timestamp") != "1893456000" { // the clock of the host, not of the event
		t.Errorf("timestamp %s", header(r, "webhook-timestamp"))
	}
}

// The example of the specification, so that its libraries agree with this.
func TestSignatureOfTheSpecification(t *testing.T) {
	got, err := signatureOf("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; err != nil || got != want {
		t.Errorf("%s, %v, want %s", got, err, want)
	}
	for _, secret := range []string{"", "  \n", "whsec_", "whsec_!"} {
		if got, err := signatureOf(secret, "i", "1", nil); err == nil {
			t.Errorf("%q signs: %s", secret, got)
		}
	}
}

// What the server answers decides whether the event is told again.
func TestAnswers(t *testing.T) {
	for status, want := range map[int64]struct{ fails, again bool }{
		200: {}, 204: {}, 299: {}, 302: {fails: true}, 400: {fails: true}, 401: {fails: true}, 404: {fails: true}, 410: {fails: true},
		408: {true, true}, 425: {true, true}, 429: {true, true}, 500: {true, true}, 503: {true, true}, 0: {fails: true}, 199: {fails: true},
	} {
		err := hookWith(t, `{"url": "`+url+`"}`, &server{status: status}).Event(event())
		if (err != nil) != want.fails || sdk.MayRetry(err) != want.again {
			t.Errorf("status %d: %v, to be tried again: %v, want %+v", status, err, sdk.MayRetry(err), want)
		}
	}
}

// Only what is configured is sent.
func TestWants(t *testing.T) {
	sent := func(config string, e sdk.Event) bool {
		s := &server{status: 200}
		if err := hookWith(t, config, s).Event(e); err != nil {
			t.Fatal(err)
		}
		return len(s.got) == 1
	}
	for _, k := range pluginapi.HookKinds() {
		if got, want := sent(`{"url": "`+url+`"}`, sdk.Event{Kind: k}), slices.Contains(byDefault(), string(k)); got != want {
			t.Errorf("%s is sent: %v", k, got)
		}
		if got := sent(`{"url": "`+url+`", "events": ["start"]}`, sdk.Event{Kind: k}); got != (k == sdk.Start) {
			t.Errorf("%s is sent beside start: %v", k, got)
		}
	}
	for app, want := range map[string]bool{"shop": true, "": true, "db": false} {
		if got := sent(`{"url": "`+url+`", "apps": ["shop"]}`, sdk.Event{Kind: sdk.LeaderChange, App: app}); got != want {
			t.Errorf("app %q is sent: %v", app, got)
		}
	}
}

// Nothing leaves unsigned because the key is not there, or the clock.
func TestRefusedByTheHost(t *testing.T) {
	s := &server{status: 200}
	h := hookWith(t, `{"url": "`+url+`"}`, s)
	delete(h.Secrets, secretName)
	if err := h.Event(event()); !errors.Is(err, sdk.ErrKeyNotFound) {
		t.Errorf("without the secret: %v", err)
	}
	h.Denied = []string{wire.HostClock}
	if err := h.Event(event()); !errors.Is(err, sdk.ErrNotGranted) {
		t.Errorf("without the clock: %v", err)
	}
	if len(s.got) != 0 {
		t.Errorf("sent: %+v", s.got)
	}
	h = hookWith(t, `{"url": "`+url+`", "sign": false}`, s)
	delete(h.Secrets, secretName)
	if err := h.Event(event()); err != nil || header(s.only(t), "webhook-signature") != "" {
		t.Errorf("unsigned: %v, %v", err, s.got)
	}
}

// An id cannot add a header of its own.
func TestHostileID(t *testing.T) {
	s := &server{status: 200}
	e := event()
	e.ID = "a\r\nauthorization: x\x00é"
	if err := hookWith(t, `{"url": "`+url+`"}`, s).Event(e); err != nil {
		t.Fatal(err)
	}
	if got := header(s.only(t), "webhook-id"); got != "a__authorization:_x__" {
		t.Errorf("id %q", got)
	}
}

func TestBadConfig(t *testing.T) {
	for _, config := range []string{`{}`, `{"url": 5}`, `{"url": "` + url + `", "timeout_ms": 0}`, `{"url": "` + url + `", "headers": {"a": 1}}`} {
		if err := sdktest.New(t, newPlugin()).Configure(config); err == nil {
			t.Errorf("%s is taken", config)
		}
	}
}

// TestModule: as WebAssembly, in the runtime of a node, with the capabilities of
// its manifest, it passes the suites and delivers.
func TestModule(t *testing.T) {
	s := &server{status: 200}
	w := &trial.World{HTTP: func(r grant.WebRequest) (wire.HTTPResponse, error) {
		return s.do(sdk.Request{Method: r.Method, URL: r.Target.URL(), Headers: r.Headers, Body: r.Body})
	}}
	p := trialtest.Open(t, trialtest.Build(t, "."), `{"url": "`+url+`"}`, w)
	trialtest.Conform(t, p, trial.Suite{})
	i, err := p.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h, err := adapt.NewHook(t.Context(), i)
	if err != nil {
		t.Fatal(err)
	}
	s.got = nil
	if err := h.Handle(t.Context(), event()); err != nil {
		t.Fatal(err)
	}
	checkDelivery(t, s.only(t), []byte("secret-of-"+secretName), event())
	s.status = 503
	if err := h.Handle(t.Context(), event()); !sdk.MayRetry(err) {
		t.Errorf("the server is down: %v", err)
	}
	if _, err := p.LoadWith(t.Context(), []byte(`{"url": "ftp://x"}`)); !errors.Is(err, pluginapi.ErrInvalid) {
		t.Errorf("a config that breaks the schema: %v", err)
	}
}
