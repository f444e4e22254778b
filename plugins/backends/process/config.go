package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ozanturksever/go-cluster/builtin/backend"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// config is the JSON of the plugin's configuration: the keys and defaults of the
// built-in process backend in the daemon's configuration.
type config struct {
	Command         string            `json:"command"`
	Args            []string          `json:"args"`
	Dir             string            `json:"dir"`
	Env             map[string]string `json:"env"`
	GracefulTimeout duration          `json:"graceful_timeout"`
	StartTimeout    duration          `json:"start_timeout"`
	LogFile         string            `json:"log_file"`
	Ready           *ready            `json:"ready"`
	Restart         restart           `json:"restart"`
}

type ready struct {
	HTTP     string   `json:"http"`
	TCP      string   `json:"tcp"`
	Exec     []string `json:"exec"`
	Interval duration `json:"interval"`
	Timeout  duration `json:"timeout"`
}

type restart struct {
	Max    *int     `json:"max"` // 0: never
	Window duration `json:"window"`
	Delay  duration `json:"delay"`
}

// duration is a time with its unit, as in "10s".
type duration time.Duration

// UnmarshalJSON reads a text such as "1m30s".
func (d *duration) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("%s is no time: write a text with a number and its unit, as in \"500ms\", \"10s\"", b)
	}
	v, err := time.ParseDuration(s)
	if err != nil || v < 0 {
		return fmt.Errorf("%q is no time: write a number and its unit, as in \"500ms\", \"10s\"", s)
	}
	*d = duration(v)
	return nil
}

// parse reads the configuration. It is strict: an unknown key is a mistake.
func parse(b []byte) (backend.ProcessConfig, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	var c config
	err := dec.Decode(&c)
	if err == nil {
		if _, more := dec.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("there is something after the object")
		}
	}
	if err != nil {
		return backend.ProcessConfig{}, fmt.Errorf("%w: config: %w", pluginapi.ErrInvalid, err)
	}
	return c.process()
}

func (c config) process() (backend.ProcessConfig, error) {
	out := backend.ProcessConfig{
		Command:         c.Command,
		Args:            c.Args,
		Dir:             c.Dir,
		GracefulTimeout: time.Duration(c.GracefulTimeout),
		StartTimeout:    time.Duration(c.StartTimeout),
		LogFile:         c.LogFile,
		Restart:         backend.RestartPolicy{Window: time.Duration(c.Restart.Window), Delay: time.Duration(c.Restart.Delay)},
	}
	for _, key := range slices.Sorted(maps.Keys(c.Env)) {
		if key == "" || strings.ContainsAny(key, "=\x00") {
			return out, fmt.Errorf("%w: config: env: %q is no name of a variable", pluginapi.ErrInvalid, key)
		}
		out.Env = append(out.Env, key+"="+c.Env[key])
	}
	if m := c.Restart.Max; m != nil {
		if *m < 0 {
			return out, fmt.Errorf("%w: config: restart.max is %d: give 0 for never, or more", pluginapi.ErrInvalid, *m)
		}
		out.Restart.MaxRestarts, out.Restart.Disabled = *m, *m == 0
	}
	if r := c.Ready; r != nil {
		out.Ready = &backend.ReadyCheck{
			HTTP: r.HTTP, TCP: r.TCP, Exec: r.Exec,
			Interval: time.Duration(r.Interval), Timeout: time.Duration(r.Timeout),
		}
	}
	return out, nil
}
