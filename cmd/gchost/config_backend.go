package main

import (
	"strconv"

	cluster "github.com/ozanturksever/go-cluster"
	"github.com/ozanturksever/go-cluster/builtin/backend"
)

// backend returns the one that is set, or nil.
func (b BackendConfig) backend() cluster.Backend {
	switch {
	case b.Process != nil:
		return cluster.Process(b.Process.process())
	case b.Docker != nil:
		return cluster.Docker(b.Docker.docker())
	case b.Systemd != nil:
		return b.Systemd.systemd()
	}
	return nil
}

// policy returns what builtin/backend takes: max 0 means never here, and the
// default there.
func (r RestartConfig) policy() backend.RestartPolicy {
	return backend.RestartPolicy{Disabled: r.Max == 0, MaxRestarts: r.Max, Window: r.Window, Delay: r.Delay}
}

func environment(m map[string]string) (out []string) {
	for key, value := range sorted(m) {
		out = append(out, key+"="+value)
	}
	return out
}

// docker returns what builtin/backend takes.
func (d DockerConfig) docker() backend.DockerConfig {
	cpus, _ := strconv.ParseFloat(d.Resources.CPUs, 64) // the checker has told what is wrong with it
	out := backend.DockerConfig{
		Image: d.Image, Name: d.Name, Command: d.Command, Env: environment(d.Env), Volumes: d.Volumes, Ports: d.Ports,
		Network: d.Network, Labels: d.Labels, ExtraArgs: d.ExtraArgs, Socket: d.Socket,
		StartTimeout: d.StartTimeout, StopTimeout: d.StopTimeout, Restart: d.Restart.policy(),
		Resources: &backend.DockerResources{Memory: d.Resources.Memory, MemorySwap: d.Resources.MemorySwap, CPUs: cpus, PIDs: d.Resources.PIDs},
	}
	if h := d.HealthCheck; h != nil {
		out.HealthCheck = &backend.DockerHealthCheck{
			Cmd: h.Cmd, Interval: h.Interval, Timeout: h.Timeout, StartPeriod: h.StartPeriod, Retries: h.Retries,
		}
	}
	return out
}

func (s SystemdConfig) systemd() *backend.SystemdBackend {
	return cluster.Systemd(s.Unit, backend.WithDependencies(s.Dependencies...), backend.WithHealthEndpoint(s.HealthEndpoint),
		backend.WithHealthInterval(s.HealthInterval), backend.WithHealthTimeout(s.HealthTimeout),
		backend.WithStartTimeout(s.StartTimeout), backend.WithStopTimeout(s.StopTimeout), backend.WithSystemdRestart(s.Restart.policy()))
}

// process returns what builtin/backend takes. Both have the same defaults.
func (p ProcessConfig) process() backend.ProcessConfig {
	out := backend.ProcessConfig{
		Command:         p.Command,
		Args:            p.Args,
		Dir:             p.Dir,
		GracefulTimeout: p.GracefulTimeout,
		LogFile:         p.LogFile,
		Env:             environment(p.Env),
		Restart:         p.Restart.policy(),
	}
	if p.Ready.ways() > 0 {
		out.Ready = &backend.ReadyCheck{
			HTTP:     p.Ready.HTTP,
			TCP:      p.Ready.TCP,
			Exec:     p.Ready.Exec,
			Interval: p.Ready.Interval,
			Timeout:  p.Ready.Timeout,
		}
	}
	return out
}
