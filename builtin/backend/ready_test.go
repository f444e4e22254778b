package backend

import (
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// freeAddress is one on which nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Start returns when the service answers, not before.
func TestReadyByEachCheck(t *testing.T) {
	t.Parallel()
	for name, check := range map[string]func(address string) ReadyCheck{
		"http": func(a string) ReadyCheck { return ReadyCheck{HTTP: "http://" + a + "/"} },
		"tcp":  func(a string) ReadyCheck { return ReadyCheck{TCP: a} },
		"both": func(a string) ReadyCheck { return ReadyCheck{TCP: a, HTTP: "http://" + a, ExpectedStatus: 200} },
	} {
		t.Run(name, func(t *testing.T) {
			address := freeAddress(t)
			cfg := actor(t, "http", address, "200ms")
			r := check(address)
			r.Interval = 20 * time.Millisecond
			cfg.Ready = &r
			started(t, cfg)
			resp, err := http.Get("http://" + address)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
		})
	}
}

func TestReadyByExec(t *testing.T) {
	file := t.TempDir() + "/ready"
	cfg := actor(t, "")
	cfg.Command, cfg.Args = "sh", []string{"-c", `sleep 0.1; : > "$0"; exec sleep 1000`, file}
	cfg.Ready = &ReadyCheck{Exec: []string{"test", "-e", file}, Interval: 20 * time.Millisecond}
	p := started(t, cfg)
	if h := health(t, p); h.Status != pluginapi.StatusRunning {
		t.Errorf("health: %+v", h)
	}
}

// The first check is made at once, whatever the interval.
func TestFirstCheckAtOnce(t *testing.T) {
	cfg := actor(t, "polite")
	cfg.Ready = &ReadyCheck{Exec: []string{"true"}, Interval: time.Hour}
	started(t, cfg)
}

// A check that hangs is ended with all that it started, and counts as a bad one.
func TestCheckThatHangs(t *testing.T) {
	t.Parallel()
	cfg := actor(t, "stubborn")
	cfg.Ready = &ReadyCheck{Exec: []string{"sh", "-c", "echo I hang >&2; sleep 1000; :"}, Timeout: 100 * time.Millisecond}
	cfg.StartTimeout = 500 * time.Millisecond
	p := NewProcess(cfg)
	err := p.Start(t.Context())
	if err == nil || !strings.Contains(err.Error(), "check sh: ") || !strings.Contains(err.Error(), "I hang") {
		t.Errorf("got %v", err)
	}
	if n := len(living(markOf(t))); n > 0 {
		t.Errorf("%d processes are left", n)
	}
}

// What a check started that was ended is gone at once, not with the service.
func TestCheckIsEndedWhole(t *testing.T) {
	p := started(t, actor(t, "polite"))
	hanging := ReadyCheck{Exec: []string{"sh", "-c", "sleep 1000; :"}, Timeout: 100 * time.Millisecond}
	if err := hanging.once(t.Context(), p.run.check); err == nil {
		t.Error("a check that hangs is good")
	}
	until(t, "only the service lives", func() bool { return len(living(markOf(t))) <= 1 })
}

// Bad checks in a row restart a running service; fewer do not.
func TestUnhealthyServiceIsRestarted(t *testing.T) {
	t.Parallel()
	address := freeAddress(t)
	cfg := actor(t, "http", address, "0s")
	cfg.Ready = &ReadyCheck{HTTP: "http://" + address, Interval: 20 * time.Millisecond}
	p := started(t, cfg)
	pid := p.PID()
	resp, err := http.Get("http://" + address + "/break")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	until(t, "it was restarted and is well", func() bool {
		return p.RestartCount() == 1 && health(t, p).Status == pluginapi.StatusRunning
	})
	if p.PID() == pid {
		t.Error("the sick process still runs")
	}
}

func TestHTTPStatus(t *testing.T) {
	server := &http.Server{Handler: http.RedirectHandler("/elsewhere", http.StatusFound)}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(l)
	defer server.Close()
	url := "http://" + l.Addr().String()
	if err := checkHTTP(t.Context(), url, 0); err == nil || !strings.Contains(err.Error(), "status 302") {
		t.Errorf("a redirect is not 2xx: %v", err)
	}
	if err := checkHTTP(t.Context(), url, http.StatusFound); err != nil {
		t.Error(err)
	}
}
