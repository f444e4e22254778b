package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

func TestParse(t *testing.T) {
	got, err := parse([]byte(`{"command":"shop","args":["-x"],"dir":"/srv","env":{"B":"2","A":"1"},"graceful_timeout":"3s",
		"start_timeout":"1m30s","log_file":"/srv/log","ready":{"tcp":"127.0.0.1:1","interval":"1s","timeout":"2s"},
		"restart":{"max":5,"window":"2m","delay":"1s"}}`))
	if err != nil {
		t.Fatal(err)
	}
	if got.Command != "shop" || got.Args[0] != "-x" || got.Dir != "/srv" || strings.Join(got.Env, " ") != "A=1 B=2" ||
		got.GracefulTimeout != 3*time.Second || got.StartTimeout != 90*time.Second || got.LogFile != "/srv/log" ||
		got.Ready.TCP != "127.0.0.1:1" || got.Ready.Interval != time.Second || got.Ready.Timeout != 2*time.Second ||
		got.Restart.MaxRestarts != 5 || got.Restart.Window != 2*time.Minute || got.Restart.Delay != time.Second || got.Restart.Disabled {
		t.Errorf("got %+v", got)
	}
	if got, err := parse([]byte(`{"command":"shop","restart":{"max":0}}`)); err != nil || !got.Restart.Disabled || got.Ready != nil {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestBadConfig(t *testing.T) {
	for config, says := range map[string]string{
		``:                                      "EOF",
		`[]`:                                    "array",
		`{}`:                                    "Command is empty",
		`{"comand":"x"}`:                        "comand",
		`{"command":"x"} {}`:                    "after the object",
		`{"command":"x","graceful_timeout":5}`:  "as in",
		`{"command":"x","start_timeout":"-1s"}`: `"-1s" is no time`,
		`{"command":"x","env":{"":"v"}}`:        "no name of a variable",
		`{"command":"x","env":{"A=B":"v"}}`:     "no name of a variable",
		`{"command":"x","restart":{"max":-1}}`:  "0 for never",
		`{"command":"x","ready":{}}`:            "Ready",
		`{"command":"x","env":{"GCHOST_APP":"x"}}`: "the host sets this variable",
	} {
		_, err := newBackend(wire.Configure{Platform: "p", Node: "n", App: "a", Config: []byte(config)})
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v does not say %q", config, err, says)
		}
	}
	_, err := newBackend(wire.Configure{Platform: "p", Node: "n", Config: []byte(`{"command":"x"}`)})
	if !errors.Is(err, pluginapi.ErrInvalid) {
		t.Errorf("without an app: %v", err)
	}
}
