package sdktest

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
	sdk "github.com/ozanturksever/go-cluster/sdk-wasm"
)

// T is what a host needs of a test.
type T interface {
	Helper()
	Fatalf(format string, args ...any)
}

// Line is one line of the plugin's log.
type Line struct {
	Level sdk.Level
	Text  string
}

// Host is a host with one plugin. Its fields are the world of the plugin, and
// what it has done; a function that is nil is not granted. It belongs to one
// goroutine.
type Host struct {
	KV        map[string]string
	Secrets   map[string]string
	Denied    []string // operations that are not granted, as wire.HostKVPut
	Time      time.Time
	RPC       func(c wire.Call) ([]byte, error)
	HTTP      func(r sdk.Request) (sdk.Response, error)
	Exec      func(r sdk.Command) (sdk.Result, error)
	Published []wire.Publish
	Log       []Line

	t     T
	guest *sdk.Guest
	epoch uint64
	reply []byte // the last answer to the plugin
}

// scribble writes over memory that a plugin must not use any more, as a real
// host's next call would.
func scribble(b []byte) {
	for i := range b {
		b[i] = '#'
	}
}

// New makes a host with a plugin. Its clock stands at the beginning of 2030.
func New(t T, plugin *sdk.Guest) *Host {
	return &Host{
		KV: make(map[string]string), Secrets: make(map[string]string),
		Time: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), t: t, guest: plugin,
	}
}

// Do makes one call in the bytes of the ABI. The answer is the caller's own; the
// error is what a real host would make of it.
func (h *Host) Do(op string, in []byte) ([]byte, error) {
	in = slices.Clone(in)
	out, err := h.guest.Do(imports{h}, op, in)
	scribble(in)
	if err != nil {
		failure := wire.FailureOf(err)
		return nil, wire.ReadFailure(failure.Append(nil))
	}
	return slices.Clone(out), nil
}

// Describe is what the plugin says of itself.
func (h *Host) Describe() wire.Description {
	h.t.Helper()
	out, err := h.Do(wire.OpDescribe, nil)
	var d wire.Description
	if err == nil {
		err = d.Decode(out)
	}
	if err != nil {
		h.t.Fatalf("describe the plugin: %v", err)
	}
	return d
}

// Configure gives the plugin its configuration, in JSON, on node "n1" of platform
// "test".
func (h *Host) Configure(json string) error {
	m := wire.Configure{Platform: "test", Node: "n1", Config: []byte(json), Seed: 1}
	_, err := h.Do(wire.OpConfigure, m.Append(nil))
	return err
}

// Rank gives the plugin a table of candidates, sorted by node, and asks for their
// scores.
func (h *Host) Rank(app sdk.App, candidates ...sdk.Candidate) ([]int64, error) {
	h.epoch++
	m := wire.Candidates{Epoch: h.epoch, Upserts: slices.SortedFunc(slices.Values(candidates), byNode)}
	if _, err := h.Do(wire.OpCandidates, m.Append(nil)); err != nil {
		return nil, err
	}
	ask := wire.Rank{Epoch: h.epoch, Apps: []sdk.App{app}}
	out, err := h.Do(wire.OpRank, ask.Append(nil))
	if err != nil {
		return nil, err
	}
	var r wire.Ranking
	err = r.Decode(out)
	return r.Scores, err
}

func byNode(a, b sdk.Candidate) int { return strings.Compare(a.Node, b.Node) }

// Event tells the plugin of an event.
func (h *Host) Event(e sdk.Event) error {
	m := wire.Event{HookEvent: e}
	_, err := h.Do(wire.OpEvent, m.Append(nil))
	return err
}

// Start starts the service of a backend.
func (h *Host) Start(epoch uint64) error {
	m := wire.Start{Epoch: epoch}
	_, err := h.Do(wire.OpStart, m.Append(nil))
	return err
}

// Stop stops it.
func (h *Host) Stop(grace time.Duration) error {
	m := wire.Stop{GraceMS: grace.Milliseconds()}
	_, err := h.Do(wire.OpStop, m.Append(nil))
	return err
}

// Status asks for its state.
func (h *Host) Status() (wire.Status, error) {
	out, err := h.Do(wire.OpStatus, nil)
	var s wire.Status
	if err == nil {
		err = s.Decode(out)
	}
	return s, err
}

// Imports is the host as the plugin sees it, for whoever runs the plugin in
// another way.
func (h *Host) Imports() sdk.Host { return imports{h} }

type imports struct{ *Host }

// Log keeps a line.
func (i imports) Log(level sdk.Level, text string) {
	i.Host.Log = append(i.Host.Log, Line{Level: level, Text: strings.Clone(text)})
}

// Call does an operation, as a real host would if it were granted.
func (i imports) Call(op string, in []byte) ([]byte, error) {
	scribble(i.reply)
	out, err := i.call(op, slices.Clone(in))
	i.reply = out
	if err != nil {
		failure := wire.FailureOf(err)
		return nil, wire.ReadFailure(failure.Append(nil))
	}
	return out, nil
}

func (i imports) call(op string, in []byte) ([]byte, error) {
	if slices.Contains(i.Denied, op) {
		return nil, pluginapi.ErrNotGranted
	}
	switch op {
	case wire.HostKVGet, wire.HostKVPut, wire.HostKVDelete, wire.HostKVKeys:
		return i.store(op, in)
	case wire.HostPublish:
		var m wire.Publish
		if err := m.Decode(in); err != nil {
			return nil, err
		}
		i.Published = append(i.Published, m)
		return nil, nil
	case wire.HostSecret:
		var m wire.Key
		if err := m.Decode(in); err != nil {
			return nil, err
		}
		return find(i.Secrets, m.Key)
	case wire.HostClock:
		m := wire.Clock{UnixMS: i.Time.UnixMilli(), Uptime: 1}
		return m.Append(nil), nil
	case wire.HostRandom:
		var m wire.Random
		if err := m.Decode(in); err != nil {
			return nil, err
		}
		if m.Count < 0 || m.Count > 1024 {
			return nil, pluginapi.ErrInvalid
		}
		v := wire.Value{Value: make([]byte, m.Count)}
		for k := range v.Value {
			v.Value[k] = byte(k*37 + 11) // the same in each run
		}
		return v.Append(nil), nil
	}
	return i.reach(op, in)
}

func find(m map[string]string, key string) ([]byte, error) {
	s, ok := m[key]
	if !ok {
		return nil, pluginapi.ErrKeyNotFound
	}
	v := wire.Value{Value: []byte(s)}
	return v.Append(nil), nil
}

func (i imports) store(op string, in []byte) ([]byte, error) {
	if op == wire.HostKVPut {
		var m wire.KeyValue
		if err := m.Decode(in); err != nil {
			return nil, err
		}
		i.KV[m.Key] = string(m.Value)
		return nil, nil
	}
	var m wire.Key
	if err := m.Decode(in); err != nil {
		return nil, err
	}
	switch op {
	case wire.HostKVGet:
		return find(i.KV, m.Key)
	case wire.HostKVDelete:
		delete(i.KV, m.Key)
		return nil, nil
	}
	var keys wire.Keys
	for _, k := range slices.Sorted(maps.Keys(i.KV)) {
		if strings.HasPrefix(k, m.Key) {
			keys.Keys = append(keys.Keys, k)
		}
	}
	return keys.Append(nil), nil
}

// reach does what goes beyond the node.
func (i imports) reach(op string, in []byte) ([]byte, error) {
	switch {
	case op == wire.HostCall && i.RPC != nil:
		var m wire.Call
		if err := m.Decode(in); err != nil {
			return nil, err
		}
		b, err := i.RPC(m)
		v := wire.Value{Value: b}
		return v.Append(nil), err
	case op == wire.HostHTTP && i.HTTP != nil:
		var m wire.HTTPRequest
		if err := m.Decode(in); err != nil {
			return nil, err
		}
		r, err := i.HTTP(m)
		return r.Append(nil), err
	case op == wire.HostExec && i.Exec != nil:
		var m wire.ExecRequest
		if err := m.Decode(in); err != nil {
			return nil, err
		}
		r, err := i.Exec(m)
		return r.Append(nil), err
	case op == wire.HostCall || op == wire.HostHTTP || op == wire.HostExec:
		return nil, pluginapi.ErrNotGranted
	}
	return nil, pluginapi.ErrNoMethod
}
