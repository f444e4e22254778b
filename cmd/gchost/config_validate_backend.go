package main

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	cluster "github.com/ozanturksever/go-cluster"
)

// backend checks the backend of an app.
func (k *checker) backend(key string, a AppConfig) {
	b := a.Backend
	var set []string
	if b.Process != nil {
		set = append(set, "process")
		k.process(key+".backend.process", *b.Process)
	}
	if b.Docker != nil {
		set = append(set, "docker")
		k.docker(key+".backend.docker", *b.Docker)
	}
	if b.Systemd != nil {
		set = append(set, "systemd")
		k.systemd(key+".backend.systemd", *b.Systemd)
	}
	if b.Plugin != nil {
		set = append(set, "plugin")
	}
	switch {
	case len(set) > 1:
		k.fault(key+".backend", "has %s: an app has one backend", strings.Join(set, " and "))
	case len(set) == 0 && len(a.Hooks.all()) == 0 && len(a.Hooks.Plugins) == 0:
		k.fault(key, "does nothing: give it a backend or hooks")
	}
}

func (k *checker) docker(key string, d DockerConfig) {
	k.env(key+".env", d.Env)
	k.within(key+".start_timeout", d.StartTimeout, 10*time.Millisecond, time.Hour)
	k.within(key+".stop_timeout", d.StopTimeout, 10*time.Millisecond, time.Hour)
	k.restart(key+".restart", d.Restart)
	if c := d.Resources.CPUs; c != "" {
		if n, err := strconv.ParseFloat(c, 64); err != nil || !(n > 0) {
			k.fault(key+".resources.cpus", "%.100q is no number of cores: write \"1.5\"", c)
		}
	}
	d.Env, d.Restart = nil, RestartConfig{} // they are checked above, with the place of each fault
	k.says(key, cluster.Docker(d.docker()).Validate())
}

func (k *checker) systemd(key string, s SystemdConfig) {
	k.within(key+".health_interval", s.HealthInterval, 10*time.Millisecond, time.Hour)
	k.within(key+".health_timeout", s.HealthTimeout, 10*time.Millisecond, 5*time.Minute)
	k.within(key+".start_timeout", s.StartTimeout, 10*time.Millisecond, time.Hour)
	k.within(key+".stop_timeout", s.StopTimeout, 10*time.Millisecond, time.Hour)
	k.restart(key+".restart", s.Restart)
	if s.Unit == "" {
		k.fault(key+".unit", "is empty: give the name of a unit, as in nginx or postgresql@16-main.service")
		return
	}
	if !k.faults.touches(key) { // times that are out of range would be told twice
		k.says(key, s.systemd().Validate())
	}
}

// says passes on what a backend has found itself.
func (k *checker) says(key string, err error) {
	var many interface{ Unwrap() []error }
	if !errors.As(err, &many) {
		return
	}
	for _, e := range many.Unwrap() {
		text := strings.TrimPrefix(e.Error(), cluster.ErrInvalid.Error()+": ")
		_, text, _ = strings.Cut(text, ": ")
		k.fault(key, "%s", text)
	}
}

func (k *checker) env(key string, env map[string]string) {
	for name, value := range sorted(env) {
		at := keyPath(key, name)
		switch {
		case name == "" || strings.ContainsAny(name, "=\x00") || strings.ContainsRune(value, 0):
			k.fault(at, "is no variable: a name has no =, and neither name nor value has a zero byte")
		case slices.Contains(ownVariables(), name):
			k.fault(at, "is set by gchost itself: choose another name")
		}
	}
}

func (k *checker) restart(key string, r RestartConfig) {
	if r.Max < 0 || r.Max > 1000 {
		k.fault(key+".max", "%d is out of range: give 0 to 1000, 0 for never", r.Max)
	}
	k.within(key+".window", r.Window, time.Second, 24*time.Hour)
	k.within(key+".delay", r.Delay, time.Millisecond, time.Hour)
}
