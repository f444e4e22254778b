package main

import "github.com/ozanturksever/go-cluster/builtin/backend"

// process returns what builtin/backend takes. Both have the same defaults, but
// restart.max 0 means never here, and the default there.
func (p ProcessConfig) process() backend.ProcessConfig {
	out := backend.ProcessConfig{
		Command:         p.Command,
		Args:            p.Args,
		Dir:             p.Dir,
		GracefulTimeout: p.GracefulTimeout,
		LogFile:         p.LogFile,
		Restart: backend.RestartPolicy{
			Disabled:    p.Restart.Max == 0,
			MaxRestarts: p.Restart.Max,
			Window:      p.Restart.Window,
			Delay:       p.Restart.Delay,
		},
	}
	for key, value := range sorted(p.Env) {
		out.Env = append(out.Env, key+"="+value)
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
