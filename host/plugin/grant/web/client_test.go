package web

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/host/plugin/capability"
	"github.com/ozanturksever/go-cluster/host/plugin/grant"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

var _ grant.Web = (*Client)(nil)

func client(t *testing.T, o Options) *Client {
	t.Helper()
	c := New(o)
	t.Cleanup(c.Close)
	return c
}

func target(t *testing.T, url string) capability.Target {
	t.Helper()
	x, err := capability.ParseTarget(url)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func ctx(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// server counts who comes.
func server(t *testing.T, handle http.HandlerFunc) (url string, hits *atomic.Int64) {
	t.Helper()
	hits = &atomic.Int64{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		handle(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL, hits
}

// An exchange arrives as it was asked for, and its answer comes back.
func TestExchange(t *testing.T) {
	url, _ := server(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header()["X-B"] = []string{"1", "2"}
		w.Header().Set("X-Bad", "\xff")
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprintf(w, "%s %s %s %s %s", r.Method, r.URL, r.Header.Get("X-A"), r.UserAgent(), body)
	})
	r := grant.WebRequest{Method: "POST", Target: target(t, url+"/x/%20y?q=1"), Headers: []wire.Header{{Name: "x-a", Value: "b"}}, Body: []byte("body"), Named: true}
	got, err := client(t, Options{}).Do(ctx(t), r)
	if err != nil || got.Status != 418 || string(got.Body) != "POST /x/%20y?q=1 b gchost-plugin body" {
		t.Fatalf("%d %s, %v", got.Status, got.Body, err)
	}
	var headers []string
	for _, h := range got.Headers {
		if strings.HasPrefix(h.Name, "X-") {
			headers = append(headers, h.Name+"="+h.Value)
		}
	}
	if s := strings.Join(headers, " "); s != "X-B=1 X-B=2 X-Bad=\ufffd" {
		t.Errorf("headers %q", s)
	}
}

// The whole way of a plugin's request: its bytes, what is granted, the exchange.
func TestThroughGrant(t *testing.T) {
	url, hits := server(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) })
	place := strings.TrimPrefix(url, "http://")
	c := client(t, Options{})
	ask := func(asked, granted, path string) (wire.HTTPResponse, error) {
		t.Helper()
		a, err := capability.ParseSet([]string{asked})
		if err != nil {
			t.Fatal(err)
		}
		g, err := capability.ParseSet([]string{granted})
		if err != nil {
			t.Fatal(err)
		}
		r := wire.HTTPRequest{Method: "GET", URL: url + path}
		out, err := grant.New(a, g, grant.Services{Web: c}).Call(ctx(t), wire.HostHTTP, r.Append(nil))
		var reply wire.HTTPResponse
		if err == nil {
			err = reply.Decode(out)
		}
		return reply, err
	}
	_, port, _ := net.SplitHostPort(place)
	if got, err := ask("http:GET *:"+port, "http:GET "+place+"/a/", "/a/b"); err != nil || string(got.Body) != "/a/b" {
		t.Errorf("%q, %v", got.Body, err)
	}
	for _, c := range [][3]string{
		{"http:GET *:" + port, "http:GET " + place + "/a/", "/b"},
		{"http:GET " + place, "http:GET *:" + port, "/a/b"}, // the plugin names the address, the operator does not
		{"http:GET *:" + port, "http:GET *:" + port, "/a/b"},
	} {
		if _, err := ask(c[0], c[1], c[2]); !errors.Is(err, pluginapi.ErrNotGranted) {
			t.Errorf("%q: %v", c, err)
		}
	}
	if hits.Load() != 1 {
		t.Errorf("%d exchanges have arrived, want 1", hits.Load())
	}
}

// A redirect is told, not followed.
func TestRedirect(t *testing.T) {
	inside, hits := server(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "secret") })
	url, _ := server(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, inside, http.StatusTemporaryRedirect)
	})
	got, err := client(t, Options{}).Do(ctx(t), grant.WebRequest{Method: "POST", Target: target(t, url), Named: true})
	if err != nil || got.Status != 307 || hits.Load() != 0 {
		t.Errorf("%d, %v, %d hits behind the redirect", got.Status, err, hits.Load())
	}
}

// Addresses inside are reached by none but who was granted them by name, also
// after somebody who was has left an open connection.
func TestInside(t *testing.T) {
	url, hits := server(t, func(http.ResponseWriter, *http.Request) {})
	c := client(t, Options{})
	for _, named := range []bool{true, false} {
		_, err := c.Do(ctx(t), grant.WebRequest{Method: "GET", Target: target(t, url), Named: named})
		if named && err != nil || !named && !errors.Is(err, pluginapi.ErrNotGranted) {
			t.Errorf("named %v: %v", named, err)
		}
	}
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(url, "http://"))
	for _, host := range []string{"localhost", "LOCALHOST.", "127.0.0.1", "0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]", "169.254.169.254", "[64:ff9b::7f00:1]"} {
		_, err := c.Do(ctx(t), grant.WebRequest{Method: "GET", Target: target(t, "http://"+host+":"+port)})
		if !errors.Is(err, pluginapi.ErrNotGranted) && !errors.Is(err, pluginapi.ErrUnreachable) {
			t.Errorf("%s: %v", host, err)
		}
	}
	if n := hits.Load(); n != 1 {
		t.Errorf("%d exchanges have arrived, want 1", n)
	}
	local := client(t, Options{Private: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}})
	if _, err := local.Do(ctx(t), grant.WebRequest{Method: "GET", Target: target(t, "http://localhost:"+port)}); err != nil || hits.Load() != 2 {
		t.Errorf("allowed by the operator: %v, %d hits", err, hits.Load())
	}
}

// names is a resolver whose answers are those of a hostile server of names: each
// question gets the next address.
func names(answers ...string) *net.Resolver {
	var asked atomic.Int64
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go func() {
			defer ours.Close()
			var size [2]byte
			if _, err := io.ReadFull(ours, size[:]); err != nil {
				return
			}
			q := make([]byte, binary.BigEndian.Uint16(size[:]))
			if _, err := io.ReadFull(ours, q); err != nil {
				return
			}
			end := 12 + bytes.IndexByte(q[12:], 0) + 5 // behind the question
			out := append([]byte{q[0], q[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, q[12:end]...)
			if q[end-3] == 1 { // A
				a := netip.MustParseAddr(answers[min(int(asked.Add(1)), len(answers))-1]).As4()
				out[7] = 1
				out = append(out, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, a[0], a[1], a[2], a[3])
			}
			_, _ = ours.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(out))), out...))
		}()
		return theirs, nil
	}}
}

// A name that leads elsewhere at the second look: the address is checked when it
// is connected to, so what a first look would have seen does not matter.
func TestRebinding(t *testing.T) {
	url, hits := server(t, func(http.ResponseWriter, *http.Request) {})
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(url, "http://"))
	there := target(t, "http://evil.example.com.:"+port)
	yes := client(t, Options{Resolver: names("127.0.0.1"), Private: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}})
	if _, err := yes.Do(ctx(t), grant.WebRequest{Method: "GET", Target: there}); err != nil || hits.Load() != 1 {
		t.Fatalf("the names of the test do not work: %v, %d hits", err, hits.Load())
	}
	for range 3 {
		c := client(t, Options{Resolver: names("127.0.0.1")})
		if _, err := c.Do(ctx(t), grant.WebRequest{Method: "GET", Target: there, Named: true}); !errors.Is(err, pluginapi.ErrNotGranted) {
			t.Errorf("got %v", err)
		}
	}
	if hits.Load() != 1 {
		t.Error("the name led inside")
	}
}

// What is too large, too slow or too much at once ends with its own error.
func TestLimits(t *testing.T) {
	release, entered := make(chan struct{}), make(chan struct{})
	url, _ := server(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/endless":
			for {
				if _, err := w.Write(make([]byte, 4096)); err != nil {
					return
				}
			}
		case "/headers":
			for i := range 100 {
				w.Header().Set(fmt.Sprint("X-", i), strings.Repeat("x", 4096))
			}
		case "/gzip":
			w.Header().Set("Content-Encoding", "gzip")
			fmt.Fprint(w, "not unpacked")
		case "/hang":
			close(entered)
			select {
			case <-r.Context().Done():
			case <-release:
			}
		case "/break":
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				_ = conn.Close()
			}
		}
	})
	c := client(t, Options{MaxResponse: 64 << 10, Exchanges: 1})
	do := func(ctx context.Context, path string) (wire.HTTPResponse, error) {
		return c.Do(ctx, grant.WebRequest{Method: "GET", Target: target(t, url+path), Named: true})
	}
	if _, err := do(ctx(t), "/endless"); !errors.Is(err, pluginapi.ErrTooLarge) {
		t.Errorf("endless: %v", err)
	}
	if _, err := do(ctx(t), "/headers"); err == nil {
		t.Error("400 KiB of headers were taken")
	}
	if got, err := do(ctx(t), "/gzip"); err != nil || string(got.Body) != "not unpacked" {
		t.Errorf("gzip: %q, %v", got.Body, err)
	}
	if _, err := do(ctx(t), "/break"); !errors.Is(err, pluginapi.ErrUnreachable) {
		t.Errorf("broken off: %v", err)
	}
	arrived := make(chan error)
	hanging, cancel := context.WithCancel(t.Context())
	go func() { _, err := do(hanging, "/hang"); arrived <- err }()
	<-entered
	if _, err := do(ctx(t), "/"); !errors.Is(err, pluginapi.ErrBusy) {
		t.Errorf("a second one: %v", err)
	}
	cancel()
	if err := <-arrived; !errors.Is(err, pluginapi.ErrTimeout) {
		t.Errorf("given up: %v", err)
	}
	close(release)
}

// The plugin's headers cannot change what the exchange is.
func TestHeaders(t *testing.T) {
	url, hits := server(t, func(http.ResponseWriter, *http.Request) {})
	c := client(t, Options{})
	for _, h := range []wire.Header{
		{Name: "Host", Value: "evil.com"}, {Name: "hOsT", Value: "x"}, {Name: "Content-Length", Value: "5"}, {Name: "Transfer-Encoding", Value: "chunked"}, {Name: "Connection", Value: "x"}, {Name: "Proxy-Authorization", Value: "x"},
		{Name: "Upgrade", Value: "websocket"}, {Name: "Expect", Value: "100-continue"}, {Name: "TE", Value: "x"}, {Name: "", Value: "x"}, {Name: ":authority", Value: "x"},
		{Name: "A B", Value: "x"}, {Name: "A:", Value: "x"}, {Name: "A\r\nB", Value: "x"}, {Name: "A", Value: "x\r\nHost: y"}, {Name: "A", Value: "x\ny"}, {Name: "A", Value: "\x00"}, {Name: "é", Value: "x"}, {Name: "A", Value: strings.Repeat("x", 10_000)},
	} {
		_, err := c.Do(ctx(t), grant.WebRequest{Method: "GET", Target: target(t, url), Headers: []wire.Header{h}, Named: true})
		if !errors.Is(err, pluginapi.ErrInvalid) {
			t.Errorf("%.40q: %.40q: %v", h.Name, h.Value, err)
		}
	}
	if hits.Load() > 0 {
		t.Errorf("%d exchanges have arrived", hits.Load())
	}
}

// A server whose certificate nobody vouches for gets nothing.
func TestTLS(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }))
	t.Cleanup(s.Close)
	r := grant.WebRequest{Method: "GET", Target: target(t, s.URL), Named: true}
	if _, err := client(t, Options{}).Do(ctx(t), r); !errors.Is(err, pluginapi.ErrUnreachable) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown certificate: %v", err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	if got, err := client(t, Options{RootCAs: roots}).Do(ctx(t), r); err != nil || string(got.Body) != "hello" {
		t.Errorf("a known one: %q, %v", got.Body, err)
	}
}

func TestPublic(t *testing.T) {
	for text, want := range map[string]bool{
		"1.1.1.1": true, "93.184.216.34": true, "2606:4700:4700::1111": true, "172.32.0.1": true, "100.128.0.1": true, "11.0.0.1": true,
		"127.0.0.1": false, "10.1.2.3": false, "172.16.0.1": false, "172.31.255.255": false, "192.168.1.1": false, "169.254.169.254": false, "100.64.0.1": false, "0.0.0.0": false, "0.1.2.3": false, "255.255.255.255": false, "224.0.0.1": false, "240.0.0.1": false, "198.18.0.1": false,
		"::1": false, "::": false, "fe80::1": false, "fc00::1": false, "fd12::1": false, "ff02::1": false, "::ffff:127.0.0.1": false, "::ffff:10.0.0.1": false, "::127.0.0.1": false, "64:ff9b::a00:1": false, "2002:7f00:1::": false, "2001:0:1::": false, "fec0::1": false, "2001:db8::1": false,
	} {
		if got := public(netip.MustParseAddr(text).Unmap()); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}
