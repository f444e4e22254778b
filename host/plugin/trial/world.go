package trial

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ozanturksever/go-cluster/host/plugin/grant"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// What a world keeps at most, so that a plugin in a loop cannot fill the memory.
const (
	maxKept  = 10_000   // keys; notes of each kind
	maxBytes = 64 << 20 // of keys and values
)

// World is what a plugin on trial reaches: a store in memory, a web that answers
// 200, apps that answer nothing, commands that succeed, secrets that are
// "secret-of-" and their name. What the plugin does there is kept. It is safe for
// concurrent use; the zero value is ready for use.
type World struct {
	// HTTP answers exchanges; nil: status 200 without a body.
	HTTP func(r grant.WebRequest) (wire.HTTPResponse, error)
	// Exec runs commands; nil: exit code 0 without output.
	Exec func(name string, args []string, stdin []byte) (wire.ExecResult, error)
	// Now is the clock; nil: the real one.
	Now func() time.Time

	mu    sync.Mutex
	kv    map[string][]byte
	bytes int
	notes []Note
}

// Note is one thing that a plugin has done to its world.
type Note struct {
	What string // http, exec, publish, rpc
	Name string // method and URL, command, subject, app/method
	Data []byte // body, stdin, data
}

// Notes returns what was done so far, the first 10000.
func (w *World) Notes() []Note {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.notes)
}

func (w *World) note(what, name string, data []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.notes) < maxKept {
		w.notes = append(w.notes, Note{what, name, slices.Clone(data)})
	}
}

// Services are the world's, for a grant.
func (w *World) Services() grant.Services {
	return grant.Services{
		KV: store{w}, Publisher: publisher{w}, Caller: caller{w}, Web: web{w},
		Commands: commands{w}, Secrets: secrets{}, Clock: clock{w, time.Now()},
	}
}

type store struct{ *World }

// Get reads a key.
func (s store) Get(_ context.Context, key string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.kv[key]
	if !ok {
		return nil, pluginapi.ErrKeyNotFound
	}
	return slices.Clone(v), nil
}

// Put writes a key.
func (s store) Put(_ context.Context, key string, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, there := s.kv[key]
	grown := s.bytes + len(value) - len(old)
	if !there {
		grown += len(key)
	}
	if grown > maxBytes || !there && len(s.kv) >= maxKept {
		return fmt.Errorf("%w: the store of a trial has %d keys and %d bytes at most", pluginapi.ErrTooLarge, maxKept, maxBytes)
	}
	if s.kv == nil {
		s.World.kv = make(map[string][]byte)
	}
	s.kv[key] = slices.Clone(value)
	s.World.bytes = grown
	return nil
}

// Delete deletes a key.
func (s store) Delete(_ context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, there := s.kv[key]; there {
		s.World.bytes -= len(old) + len(key)
		delete(s.kv, key)
	}
	return nil
}

// Keys lists keys.
func (s store) Keys(_ context.Context, prefix string) (found []string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range slices.Sorted(maps.Keys(s.kv)) {
		if strings.HasPrefix(k, prefix) {
			found = append(found, k)
		}
	}
	return found, nil
}

type publisher struct{ *World }

// Publish notes an event.
func (p publisher) Publish(_ context.Context, subject string, data []byte) error {
	p.note("publish", subject, data)
	return nil
}

type caller struct{ *World }

// Call notes a call.
func (c caller) Call(_ context.Context, app, method string, data []byte) ([]byte, error) {
	c.note("rpc", app+"/"+method, data)
	return nil, nil
}

type web struct{ *World }

// Do notes an exchange and answers it.
func (w web) Do(_ context.Context, r grant.WebRequest) (wire.HTTPResponse, error) {
	w.note("http", r.Method+" "+r.Target.URL(), r.Body)
	if w.HTTP == nil {
		return wire.HTTPResponse{Status: 200}, nil
	}
	return w.HTTP(r)
}

type commands struct{ *World }

// Run notes a command and answers it.
func (c commands) Run(_ context.Context, name string, args []string, stdin []byte) (wire.ExecResult, error) {
	c.note("exec", strings.Join(append([]string{name}, args...), " "), stdin)
	if c.Exec == nil {
		return wire.ExecResult{}, nil
	}
	return c.Exec(name, args, stdin)
}

type secrets struct{}

// Secret makes one up.
func (secrets) Secret(_ context.Context, name string) ([]byte, error) {
	return []byte("secret-of-" + name), nil
}

type clock struct {
	*World
	born time.Time
}

// Now is the time of the world.
func (c clock) Now() time.Time {
	if c.World.Now != nil {
		return c.World.Now()
	}
	return time.Now()
}

// Uptime never goes back.
func (c clock) Uptime() time.Duration { return time.Since(c.born) }
