package backend

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

func TestValidateTellsAllFaults(t *testing.T) {
	p := NewProcess(ProcessConfig{
		Args: []string{"a\x00b"}, Env: []string{"novalue", "=x", "GCHOST_EPOCH=1"},
		GracefulTimeout: -1, StartTimeout: -1, LogMaxSize: -1, LogMaxFiles: -1,
		Restart: RestartPolicy{MaxRestarts: -1, Window: -1, Delay: -1, Backoff: 0.5},
		Ready: &ReadyCheck{
			HTTP: "ftp://x", ExpectedStatus: 9, TCP: "x", Exec: []string{""},
			Interval: 1, Timeout: -1, Failures: -1,
		},
	})
	err := p.Validate()
	if !errors.Is(err, pluginapi.ErrInvalid) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{
		"Command", `a\x00b`, "novalue", `"=x"`, "GCHOST_EPOCH", "GracefulTimeout", "StartTimeout", "LogMaxSize", "LogMaxFiles",
		"MaxRestarts", "Window", "Delay", "Backoff", "HTTP", "ExpectedStatus", "TCP", "Exec", "Interval", "Timeout", "Failures",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("nothing about %s in:\n%v", want, err)
		}
	}
	if err := p.Start(t.Context()); !errors.Is(err, pluginapi.ErrInvalid) {
		t.Errorf("start: %v", err)
	}
	if err := NewProcess(ProcessConfig{Command: "x", Ready: &ReadyCheck{}}).Validate(); err == nil {
		t.Error("a readiness check of nothing")
	}
	if err := NewProcess(ProcessConfig{Command: "x"}).Validate(); err != nil {
		t.Error(err)
	}
}

// The caller's slices and pointers stay the caller's.
func TestConfigIsCopied(t *testing.T) {
	cfg := ProcessConfig{Command: "x", Args: []string{"a"}, Env: []string{"A=1"}, Ready: &ReadyCheck{Exec: []string{"t"}}}
	p := NewProcess(cfg)
	cfg.Args[0], cfg.Env[0], cfg.Ready.Exec[0], cfg.Ready.Interval = "b", "B=1", "u", time.Hour
	c := p.cfg
	if c.Args[0] != "a" || c.Env[0] != "A=1" || c.Ready.Exec[0] != "t" || c.Ready.Interval != DefaultReadyInterval {
		t.Errorf("got %+v, %+v", c, c.Ready)
	}
}

func TestBindRefuses(t *testing.T) {
	p := NewProcess(ProcessConfig{Command: "x"})
	if _, err := p.Bind(pluginapi.Instance{Platform: "a/b", Node: "", App: ".."}); !errors.Is(err, pluginapi.ErrInvalid) {
		t.Errorf("got %v", err)
	}
	t.Setenv(envInstance, "p.n.a")
	if _, err := p.Bind(pluginapi.Instance{Platform: "p", Node: "n", App: "a"}); !errors.Is(err, pluginapi.ErrInvalid) {
		t.Errorf("got %v", err)
	}
}
