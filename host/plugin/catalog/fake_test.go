package catalog

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// fakeInstance answers with its version.
type fakeInstance struct {
	version     []byte
	app, config string
	description []byte
	hold        chan struct{} // calls wait for it; nil: they do not
	begun       chan struct{}
	fails       atomic.Pointer[error]

	calls, inside atomic.Int64
	closed        atomic.Bool
}

func newFakeInstance(version string) *fakeInstance { return &fakeInstance{version: []byte(version)} }

var errClosed = errors.New("called after its end")

func (f *fakeInstance) Call(ctx context.Context, op string, in []byte) ([]byte, error) {
	f.inside.Add(1)
	defer f.inside.Add(-1)
	if f.closed.Load() {
		return nil, errClosed
	}
	if op == wire.OpDescribe {
		return f.description, nil
	}
	f.calls.Add(1)
	if f.hold != nil {
		f.begun <- struct{}{}
		<-f.hold
	}
	if err := f.fails.Load(); err != nil {
		return nil, *err
	}
	if f.closed.Load() && f.hold == nil {
		return nil, errClosed
	}
	if op == "config" {
		return []byte(f.config), nil
	}
	return f.version, nil
}

func (f *fakeInstance) Do(ctx context.Context, fn func(*plugin.Guest) error) error {
	return fn(&plugin.Guest{Call: f.Call})
}

func (f *fakeInstance) Stats() plugin.Stats {
	return plugin.Stats{Calls: uint64(f.calls.Load()), Guests: 1, Mode: "fake"}
}

func (f *fakeInstance) Close(context.Context) error {
	f.closed.Store(true)
	return nil
}
