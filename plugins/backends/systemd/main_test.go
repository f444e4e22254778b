package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/builtin/backend"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

func TestParse(t *testing.T) {
	got, err := parse([]byte(`{"unit":"nginx","dependencies":["srv.mount"],"health_endpoint":"http://127.0.0.1/","health_interval":"1s",
		"health_timeout":"2s","start_timeout":"3s","stop_timeout":"4s","restart":{"max":5,"window":"6s","delay":"7s"}}`))
	want := backend.NewSystemd("nginx", backend.WithDependencies("srv.mount"), backend.WithHealthEndpoint("http://127.0.0.1/"),
		backend.WithHealthInterval(time.Second), backend.WithHealthTimeout(2*time.Second), backend.WithStartTimeout(3*time.Second),
		backend.WithStopTimeout(4*time.Second), backend.WithSystemdRestart(backend.RestartPolicy{MaxRestarts: 5, Window: 6 * time.Second, Delay: 7 * time.Second}))
	if err != nil || got.String() != want.String() || got.Validate() != nil {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := parse([]byte(`{"unit":"nginx"}`)); err != nil || got.String() != backend.NewSystemd("nginx").String() {
		t.Errorf("the defaults: %v, %v", got, err)
	}
}

func TestBadConfig(t *testing.T) {
	for config, says := range map[string]string{
		`{}`:                                   "give the name of a service",
		`{"unti":"x"}`:                         `"unti"`,
		`{"unit":"a/b"}`:                       "give the name of a service",
		`{"unit":"x","restart":{"max":-1}}`:    "0 for never",
		`{"unit":"x","health_endpoint":"x:1"}`: "give a URL",
	} {
		_, err := newBackend(wire.Configure{Platform: "p", Node: "n", App: "a", Config: []byte(config)})
		if !errors.Is(err, pluginapi.ErrInvalid) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v does not say %q", config, err, says)
		}
	}
}
