package main

import (
	"reflect"
	"testing"
	"time"

	cluster "github.com/ozanturksever/go-cluster"
	"github.com/ozanturksever/go-cluster/builtin/backend"
)

// What the file says of a container arrives at the backend, all of it.
func TestDockerConfig(t *testing.T) {
	cfg, _, err := load(t, `
apps:
  - name: db
    backend:
      docker:
        image: postgres:16
        name: db
        command: [postgres, -c, fsync=on]
        env: {B: "2", A: "1"}
        volumes: ["/srv/db:/data"]
        ports: ["5432:5432"]
        network: host
        labels: {team: shop}
        extra_args: [--init]
        socket: /run/podman.sock
        start_timeout: 5m
        stop_timeout: 30s
        health_check: {cmd: [pg_isready, -q], interval: 1s, timeout: 2s, start_period: 3s, retries: 4}
        resources: {memory: 512m, memory_swap: "-1", cpus: "1.5", pids: 200}
        restart: {max: 0, window: 2m, delay: 1s}
`, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := backend.DockerConfig{
		Image: "postgres:16", Name: "db", Command: []string{"postgres", "-c", "fsync=on"}, Env: []string{"A=1", "B=2"},
		Volumes: []string{"/srv/db:/data"}, Ports: []string{"5432:5432"}, Network: "host", Labels: map[string]string{"team": "shop"},
		ExtraArgs: []string{"--init"}, Socket: "/run/podman.sock", StartTimeout: 5 * time.Minute, StopTimeout: 30 * time.Second,
		HealthCheck: &backend.DockerHealthCheck{Cmd: []string{"pg_isready", "-q"}, Interval: time.Second, Timeout: 2 * time.Second, StartPeriod: 3 * time.Second, Retries: 4},
		Resources:   &backend.DockerResources{Memory: "512m", MemorySwap: "-1", CPUs: 1.5, PIDs: 200},
		Restart:     backend.RestartPolicy{Disabled: true, Window: 2 * time.Minute, Delay: time.Second},
	}
	if got := cfg.Apps[0].Backend.Docker.docker(); !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
	if b, ok := cfg.Apps[0].Backend.backend().(*backend.DockerBackend); !ok || b.Validate() != nil {
		t.Errorf("got a backend %T", b)
	}
}

func TestSystemdConfig(t *testing.T) {
	cfg, _, err := load(t, `apps: [{name: web, backend: {systemd: {unit: nginx, dependencies: [srv.mount], health_endpoint: "http://127.0.0.1/",
  health_interval: 1s, health_timeout: 2s, start_timeout: 5m, stop_timeout: 2m, restart: {max: 5}}}}]`, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := cluster.Systemd("nginx.service", backend.WithDependencies("srv.mount"), backend.WithHealthEndpoint("http://127.0.0.1/"),
		backend.WithHealthInterval(time.Second), backend.WithHealthTimeout(2*time.Second), backend.WithStartTimeout(5*time.Minute),
		backend.WithStopTimeout(2*time.Minute), backend.WithSystemdRestart(backend.RestartPolicy{MaxRestarts: 5, Window: time.Minute, Delay: 100 * time.Millisecond}))
	got := cfg.Apps[0].Backend.backend()
	if b, ok := got.(*backend.SystemdBackend); !ok || b.Validate() != nil || b.String() != want.String() {
		t.Errorf("got\n%v\nwant\n%v", got, want)
	}
}

// The defaults here and in builtin/backend are the same.
func TestBackendDefaults(t *testing.T) {
	var d DockerConfig
	var s SystemdConfig
	d.setDefaults()
	s.setDefaults()
	s.Unit = "x"
	if got, want := s.systemd().String(), cluster.Systemd("x").String(); got != want {
		t.Errorf("systemd: got\n%s\nwant\n%s", got, want)
	}
	for _, tt := range []struct{ got, want any }{
		{d.StartTimeout, backend.DefaultStartTimeout}, {d.StopTimeout, backend.DefaultGracefulTimeout},
		{d.Restart.Max, backend.DefaultMaxRestarts}, {d.Restart.Window, backend.DefaultRestartWindow}, {d.Restart.Delay, backend.DefaultRestartDelay},
	} {
		if tt.got != tt.want {
			t.Errorf("got %v, want %v", tt.got, tt.want)
		}
	}
}
