package catalog

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/host/plugin/capability"
	"github.com/ozanturksever/go-cluster/host/plugin/catalog/plan"
	"github.com/ozanturksever/go-cluster/host/plugin/manifest"
)

// Records are the platform's records, as [bus.Records] has them.
type Records interface {
	CAS(ctx context.Context, key string, expect uint64, value []byte) (seq uint64, err error)
	Get(ctx context.Context, key string) (bus.Record, error)
	List(ctx context.Context, pattern string) ([]bus.Record, error)
	Watch(ctx context.Context, pattern string, fn func([]bus.Record)) error
}

// Blobs is the platform's object store, as [bus.Blobs] is it.
type Blobs interface {
	Put(ctx context.Context, name string, r io.Reader) (digest string, size int64, err error)
	Get(ctx context.Context, name string) (io.ReadCloser, error)
	Delete(ctx context.Context, name string) error
}

// Members is what the node knows of the platform at this moment.
type Members struct {
	Inc        uint64            // incarnation of this node; 0: it has no session
	Controller bool              // this node is the controller
	Live       map[string]uint64 // living nodes -> incarnation
}

// Config is what a catalog needs.
type Config struct {
	Platform, Node string
	Dir            string // folder of the catalog's own, on this node

	// Records and Blobs are asked for when Run begins, and when a package is read
	// or written. They try until ctx ends.
	Records func(context.Context) (Records, error)
	Blobs   func(context.Context) (Blobs, error)
	Members func() Members
	// Changes returns a channel that gets a value when what Members says may have
	// changed.
	Changes func() (changed <-chan struct{}, cancel func())

	Runtimes map[manifest.Runtime]plugin.Runtime
	Trust    manifest.Trust
	Grants   map[string]capability.Set // plugin -> what it may do
	// Host returns what a plugin is given to ask its host with; nil: nothing.
	Host func(m manifest.Manifest, granted capability.Set, app string) plugin.Host

	Local  string // folder of plugins under development; "": none
	Rules  plan.Rules
	Logger *slog.Logger
	// OnEvent is told what became of plugins, for the audit log. It must not block.
	OnEvent func(Event)
	Timing  Timing
}

// Event is something that became of a plugin.
type Event struct {
	Action string // installed, upgraded, rollout_done, rolled_back, removed, enabled, disabled, failed
	Plugin string
	Data   map[string]any
	ID     string // the same for the same thing, whichever node tells it; "": none
}

// Timing are the waits of a catalog. The zero value of each means its default.
type Timing struct {
	Tick  time.Duration // between two looks of the controller and of the reporter; 1 s
	Retry time.Duration // after a fetch that did not succeed; 2 s
	Again time.Duration // after a version that this node cannot have; 30 s
	Load  time.Duration // how long loading may take; 1 min
	Drain time.Duration // how long calls on an old version may take; 1 min
	Local time.Duration // between two looks into the folder Local; 1 s
	Idle  time.Duration // after which an upload that does not go on is forgotten; 1 min
}

func (t Timing) withDefaults() Timing {
	for p, d := range map[*time.Duration]time.Duration{
		&t.Tick: time.Second, &t.Retry: 2 * time.Second, &t.Again: 30 * time.Second, &t.Load: time.Minute,
		&t.Drain: time.Minute, &t.Local: time.Second, &t.Idle: time.Minute,
	} {
		if *p == 0 {
			*p = d
		}
	}
	return t
}

// The keys of the records.
const (
	keyPlugin = "plugin." // + name: what is wanted
	keyReport = "at."     // + node: what it has
)
