package engine

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// fake is an engine that a test writes by hand.
func fake(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil && runtime.GOOS == "windows" {
		t.Skip("needs Unix sockets: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(h)
	s.Listener.Close()
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
	return New(socket)
}

func TestRequests(t *testing.T) {
	var got string
	c := fake(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got = r.Method + " " + strings.TrimSuffix(r.URL.String(), "?") + " " + string(b)
		if strings.HasSuffix(r.URL.Path, "/json") {
			io.WriteString(w, `{"Id":"7","State":{"Running":true,"StartedAt":"2024-05-06T07:08:09.123456789Z","Health":{"Status":"healthy"}}}`)
			return
		}
		w.WriteHeader(http.StatusNotModified)
	})
	ctx := t.Context()
	for want, fn := range map[string]func() error{
		"POST /containers/web/start ":             func() error { return c.Start(ctx, "web") },
		"POST /containers/web/stop?t=2 ":          func() error { return c.Stop(ctx, "web", 1001*time.Millisecond) },
		"POST /containers/web/kill ":              func() error { return c.Kill(ctx, "web") },
		"DELETE /containers/web?force=1&v=1 ":     func() error { return c.Remove(ctx, "web") },
		"POST /containers/a%2Fb%3Fc=d/kill ":      func() error { return c.Kill(ctx, "a/b?c=d") },
		"POST /images/create?fromImage=a%3Ab%26 ": func() error { return c.Pull(ctx, "a:b&") },
		`POST /containers/create?name=web {"Image":"x","HostConfig":{"RestartPolicy":{"Name":"no"}}}`: func() error {
			return c.Create(ctx, "web", Spec{Image: "x", HostConfig: HostConfig{RestartPolicy: RestartPolicy{Name: "no"}}})
		},
		"GET /containers/web/json ": func() error {
			s, err := c.Inspect(ctx, "web")
			if s.ID != "7" || !s.State.Running || s.State.StartedAt.Nanosecond() != 123456789 || s.State.Health.Status != HealthHealthy {
				t.Errorf("inspect: %+v", s)
			}
			return err
		},
	} {
		if err := fn(); err != nil || got != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
}

// What an engine answers may be wrong in every way: it becomes an error.
func TestBadAnswers(t *testing.T) {
	var status int
	var body string
	c := fake(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		io.WriteString(w, body)
	})
	for _, tt := range []struct {
		status int
		body   string
		says   string
	}{
		{404, `{"message":"No such container: x"}`, "engine: No such container: x (status 404)"},
		{500, "out of order\n", "engine: out of order (status 500)"},
		{500, strings.Repeat("x", 1<<20), "xxx"},
		{200, "{", "unexpected EOF"},
		{200, `{"State":7}`, "cannot unmarshal"},
		{200, `{"Id":"` + strings.Repeat("x", maxAnswer) + `"}`, "unexpected EOF"},
	} {
		status, body = tt.status, tt.body
		_, err := c.Inspect(t.Context(), "x")
		if err == nil || !strings.Contains(err.Error(), tt.says) || len(err.Error()) > 2*maxFault || IsNotFound(err) != (tt.status == 404) {
			t.Errorf("%d %.40s: %.200v", tt.status, tt.body, err)
		}
	}
	status, body = 200, `{"status":"Pulling"}{"error":"manifest unknown"}`
	if err := c.Pull(t.Context(), "x"); err == nil || !strings.Contains(err.Error(), "manifest unknown") {
		t.Errorf("a pull that went wrong: %v", err)
	}
}

// A watch tells that it watches, then of each event, and ends with its context
// or with the engine.
func TestWatch(t *testing.T) {
	events := make(chan string)
	c := fake(t, func(w http.ResponseWriter, r *http.Request) {
		if got, want := r.URL.Query().Get("filters"), `{"container":["web"],"type":["container"]}`; got != want {
			t.Errorf("filters %s, want %s", got, want)
		}
		if since, err := strconv.ParseInt(r.URL.Query().Get("since"), 10, 64); err != nil || time.Since(time.Unix(since, 0)) > time.Minute {
			t.Errorf("since %s", r.URL.Query().Get("since"))
		}
		for {
			w.(http.Flusher).Flush()
			select {
			case e, ok := <-events:
				if !ok {
					return
				}
				io.WriteString(w, e)
			case <-r.Context().Done():
				return
			}
		}
	})
	changed, ended := make(chan struct{}), make(chan error)
	watch := func(ctx context.Context) {
		ended <- c.Watch(ctx, "web", func() { changed <- struct{}{} })
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	go watch(ctx)
	<-changed
	events <- `{"status":"die"}` + "\n" + `{"status":"start"}`
	<-changed
	<-changed
	enough := errors.New("enough")
	cancel(enough)
	if err := <-ended; !errors.Is(err, enough) {
		t.Errorf("it ended with %v", err)
	}
	go watch(t.Context())
	<-changed
	close(events)
	if err := <-ended; !errors.Is(err, io.EOF) {
		t.Errorf("it ended with %v", err)
	}
}

func TestLogs(t *testing.T) {
	for in, want := range map[string]string{
		"\x01\x00\x00\x00\x00\x00\x00\x02a\n\x02\x00\x00\x00\x00\x00\x00\x01b": "a\nb",
		"\x01\x00\x00\x00\xff\xff\xff\xffcut":                                  "cut",
		"plain text of a terminal":                                             "plain text of a terminal",
		"\x01\x00":                                                             "\x01\x00",
		"":                                                                     "",
	} {
		c := fake(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, in) })
		if got, err := c.Logs(t.Context(), "web", 10); err != nil || got != want {
			t.Errorf("%q: got %q, %v", in, got, err)
		}
	}
}
