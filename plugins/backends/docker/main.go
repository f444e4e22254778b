// Command docker is a backend plugin: it runs the service of an app as a
// container, as the built-in docker backend does, and restarts it when it ends.
package main

import (
	"time"

	"github.com/ozanturksever/go-cluster/builtin/backend"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/serve"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
	"github.com/ozanturksever/go-cluster/plugins/backends/settings"
)

func main() {
	serve.Backend(serve.About{Name: "docker", Version: "1.0.0"}, newBackend)
}

// config is the JSON of the plugin's configuration: the keys and defaults of the
// built-in docker backend in the daemon's configuration.
type config struct {
	Image        string            `json:"image"`
	Name         string            `json:"name"`
	Command      []string          `json:"command"`
	Env          map[string]string `json:"env"`
	Volumes      []string          `json:"volumes"`
	Ports        []string          `json:"ports"`
	Network      string            `json:"network"`
	Labels       map[string]string `json:"labels"`
	ExtraArgs    []string          `json:"extra_args"`
	Socket       string            `json:"socket"`
	StartTimeout settings.Duration `json:"start_timeout"`
	StopTimeout  settings.Duration `json:"stop_timeout"`
	HealthCheck  *check            `json:"health_check"`
	Resources    *resources        `json:"resources"`
	Restart      settings.Restart  `json:"restart"`
}

type check struct {
	Cmd         []string          `json:"cmd"`
	Interval    settings.Duration `json:"interval"`
	Timeout     settings.Duration `json:"timeout"`
	StartPeriod settings.Duration `json:"start_period"`
	Retries     int               `json:"retries"`
}

type resources struct {
	Memory     string  `json:"memory"`
	MemorySwap string  `json:"memory_swap"`
	CPUs       float64 `json:"cpus"`
	PIDs       int     `json:"pids"`
}

func newBackend(c wire.Configure) (pluginapi.Backend, error) {
	cfg, err := parse(c.Config)
	if err != nil {
		return nil, err
	}
	b := backend.NewDocker(cfg)
	if err := settings.Adopt(c, b); err != nil {
		return nil, err
	}
	return b, nil
}

func parse(b []byte) (backend.DockerConfig, error) {
	var c config
	if err := settings.Read(b, &c); err != nil {
		return backend.DockerConfig{}, err
	}
	env, err := settings.Environment(c.Env)
	if err != nil {
		return backend.DockerConfig{}, err
	}
	restart, err := c.Restart.Policy()
	out := backend.DockerConfig{
		Image: c.Image, Name: c.Name, Command: c.Command, Env: env, Volumes: c.Volumes, Ports: c.Ports, Network: c.Network,
		Labels: c.Labels, ExtraArgs: c.ExtraArgs, Socket: c.Socket, Restart: restart,
		StartTimeout: time.Duration(c.StartTimeout), StopTimeout: time.Duration(c.StopTimeout),
	}
	if h := c.HealthCheck; h != nil {
		out.HealthCheck = &backend.DockerHealthCheck{
			Cmd: h.Cmd, Interval: time.Duration(h.Interval), Timeout: time.Duration(h.Timeout),
			StartPeriod: time.Duration(h.StartPeriod), Retries: h.Retries,
		}
	}
	if r := c.Resources; r != nil {
		out.Resources = &backend.DockerResources{Memory: r.Memory, MemorySwap: r.MemorySwap, CPUs: r.CPUs, PIDs: r.PIDs}
	}
	return out, err
}
