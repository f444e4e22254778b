package main

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/builtin/backend"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

func TestParse(t *testing.T) {
	got, err := parse([]byte(`{"image":"postgres:16","name":"db","command":["postgres"],"env":{"B":"2","A":"1"},"volumes":["v:/data"],
		"ports":["1:2"],"network":"host","labels":{"a":"b"},"extra_args":["--init"],"socket":"/s","start_timeout":"1m","stop_timeout":"2m",
		"health_check":{"cmd":["x"],"interval":"1s","timeout":"2s","start_period":"3s","retries":4},
		"resources":{"memory":"1g","memory_swap":"2g","cpus":1.5,"pids":9},"restart":{"max":5,"window":"4s","delay":"5s"}}`))
	want := backend.DockerConfig{
		Image: "postgres:16", Name: "db", Command: []string{"postgres"}, Env: []string{"A=1", "B=2"}, Volumes: []string{"v:/data"},
		Ports: []string{"1:2"}, Network: "host", Labels: map[string]string{"a": "b"}, ExtraArgs: []string{"--init"}, Socket: "/s",
		StartTimeout: time.Minute, StopTimeout: 2 * time.Minute,
		HealthCheck: &backend.DockerHealthCheck{Cmd: []string{"x"}, Interval: time.Second, Timeout: 2 * time.Second, StartPeriod: 3 * time.Second, Retries: 4},
		Resources:   &backend.DockerResources{Memory: "1g", MemorySwap: "2g", CPUs: 1.5, PIDs: 9},
		Restart:     backend.RestartPolicy{MaxRestarts: 5, Window: 4 * time.Second, Delay: 5 * time.Second},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestBadConfig(t *testing.T) {
	for config, says := range map[string]string{
		`{}`:                                     "Image is",
		`{"img":"x"}`:                            `"img"`,
		`{"image":"x","env":{"":"v"}}`:           "no name of a variable",
		`{"image":"x","restart":{"max":-1}}`:     "0 for never",
		`{"image":"x","ports":["80"]}`:           "HOST:CONTAINER",
		`{"image":"x","env":{"GCHOST_APP":"x"}}`: "the host sets this variable",
	} {
		_, err := newBackend(wire.Configure{Platform: "p", Node: "n", App: "a", Config: []byte(config)})
		if !errors.Is(err, pluginapi.ErrInvalid) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v does not say %q", config, err, says)
		}
	}
}
