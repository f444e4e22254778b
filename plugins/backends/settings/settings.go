package settings

import (
	"bytes"
	"context"
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
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// Duration is a time with its unit, as in "10s".
type Duration time.Duration

// UnmarshalJSON reads a text such as "1m30s".
func (d *Duration) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("%.100s is no time: write a text with a number and its unit, as in \"500ms\", \"10s\"", b)
	}
	v, err := time.ParseDuration(s)
	if err != nil || v < 0 {
		return fmt.Errorf("%.100q is no time: write a number and its unit, as in \"500ms\", \"10s\"", s)
	}
	*d = Duration(v)
	return nil
}

// Read reads a configuration. It is strict: an unknown key is a mistake, and so
// is anything after the object. Errors wrap [pluginapi.ErrInvalid].
func Read(b []byte, to any) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	err := dec.Decode(to)
	if err == nil {
		if _, more := dec.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("there is something after the object")
		}
	}
	if err != nil {
		return fmt.Errorf("%w: config: %w", pluginapi.ErrInvalid, err)
	}
	return nil
}

// Restart is the section "restart".
type Restart struct {
	Max    *int     `json:"max"` // 0: never; nil: the default
	Window Duration `json:"window"`
	Delay  Duration `json:"delay"`
}

// Policy returns what the backend takes. A Max below 0 is an error that wraps
// [pluginapi.ErrInvalid].
func (r Restart) Policy() (backend.RestartPolicy, error) {
	out := backend.RestartPolicy{Window: time.Duration(r.Window), Delay: time.Duration(r.Delay)}
	if r.Max == nil {
		return out, nil
	}
	if *r.Max < 0 {
		return out, fmt.Errorf("%w: config: restart.max is %d: give 0 for never, or more", pluginapi.ErrInvalid, *r.Max)
	}
	out.MaxRestarts, out.Disabled = *r.Max, *r.Max == 0
	return out, nil
}

// Environment returns KEY=VALUE for each variable, in the order of their names.
// A name that cannot be one is an error that wraps [pluginapi.ErrInvalid].
func Environment(env map[string]string) (out []string, err error) {
	for _, key := range slices.Sorted(maps.Keys(env)) {
		if key == "" || strings.ContainsAny(key, "=\x00") {
			return nil, fmt.Errorf("%w: config: env: %.100q is no name of a variable", pluginapi.ErrInvalid, key)
		}
		out = append(out, key+"="+env[key])
	}
	return out, nil
}

// Keeper is a backend whose service outlives the process that started it.
type Keeper interface {
	pluginapi.Backend
	pluginapi.Killable
	Validate() error
}

// cleanTime is how long ending what an earlier process left may take.
const cleanTime = time.Minute

// Adopt makes a backend ready for the instance that a plugin was loaded for. It
// is bound at once: the process of a plugin that was restarted is not asked to
// bind again. What an earlier process of the plugin left running is ended, for
// this one says that the service is stopped.
func Adopt(c wire.Configure, b Keeper) error {
	if err := b.Validate(); err != nil {
		return fmt.Errorf("config: %w", err)
	}
	if c.App == "" {
		return fmt.Errorf("%w: this plugin runs the service of one app, and was loaded without one", pluginapi.ErrInvalid)
	}
	if _, err := b.Bind(pluginapi.Instance{Platform: c.Platform, Node: c.Node, App: c.App}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), cleanTime)
	defer cancel()
	if err := b.Stop(ctx); err != nil {
		return fmt.Errorf("end what an earlier process left: %w", err)
	}
	return nil
}
