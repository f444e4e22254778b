package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ozanturksever/go-cluster/host"
	"github.com/ozanturksever/go-cluster/host/core"
	"github.com/ozanturksever/go-cluster/host/events"
)

// App is a service that the platform makes highly available.
type App struct {
	name     string
	mode     Mode
	backend  Backend
	timeout  time.Duration
	hooks    host.Hooks
	calls    calls
	faults   []error
	platform *Platform
	events   *events.Broker
	limits   EventLimits
	database *host.Database
	uses     host.Uses // of plugins
}

// AppOption changes an app before it runs.
type AppOption func(*App)

// NewApp returns an app; the name must be unique in the platform: 1 to 63 of
// A-Z a-z 0-9 - _. Without a mode it is a [Singleton]. Mistakes are reported by
// [Platform.Run].
func NewApp(name string, opts ...AppOption) *App {
	a := &App{name: name, events: events.New()}
	for i, o := range opts {
		if o == nil {
			a.fault("option %d is nil", i+1)
			continue
		}
		o(a)
	}
	return a
}

// Singleton lets one node lead the app while the others stand by.
func Singleton() AppOption { return func(a *App) { a.mode = ModeSingleton } }

// Spread makes the app active on every node.
func Spread() AppOption { return func(a *App) { a.mode = ModeSpread } }

// Pool is another word for [Spread].
func Pool() AppOption { return Spread() }

// WithBackend sets what controls the app's service.
func WithBackend(b Backend) AppOption {
	return func(a *App) {
		if b == nil {
			a.fault("WithBackend: the backend is nil")
		}
		a.backend = b
	}
}

// WithAppHookTimeout sets how long each hook of this app may take. Default: the
// platform's.
func WithAppHookTimeout(d time.Duration) AppOption { return func(a *App) { a.timeout = d } }

func (a *App) fault(format string, args ...any) {
	a.faults = append(a.faults, fmt.Errorf("%w: app %.70q: %s", ErrInvalid, a.name, fmt.Sprintf(format, args...)))
}

// spec is what the engine needs to know; faults are completed on the way.
func (a *App) spec() host.App {
	return host.App{Name: a.name, Singleton: a.mode == ModeSingleton, Backend: a.backend, Database: a.database, Uses: a.uses, Hooks: a.hooks, HookTimeout: a.timeout,
		Calls: a.calls.spec(), Events: a.events, EventLimits: a.limits}
}

// validator is a backend that can check its configuration.
type validator interface{ Validate() error }

func (a *App) check() error {
	errs := append(slices.Clone(a.faults), a.calls.check(a.name))
	if v, ok := a.backend.(validator); ok {
		if err := v.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("backend of app %.70q: %w", a.name, err))
		}
	}
	return errors.Join(errs...)
}

// Name returns the app's name.
func (a *App) Name() string { return a.name }

// Platform returns the platform that the app is registered with, or nil.
func (a *App) Platform() *Platform { return a.platform }

// Role returns what this node is for the app now; "" before it has joined.
func (a *App) Role() Role {
	if n := a.platform.host(); n != nil {
		return Role(n.Role(a.name))
	}
	return ""
}

// IsLeader reports whether this node leads the app at this very moment; see
// [Election.IsLeader].
func (a *App) IsLeader() bool {
	_, ok := a.lease()
	return ok
}

// Election returns the leadership of a singleton app; nil for another.
func (a *App) Election() *Election {
	if a.mode != ModeSingleton {
		return nil
	}
	return &Election{a}
}

func (a *App) lease() (Lease, bool) {
	n := a.platform.host()
	if n == nil {
		return Lease{}, false
	}
	return n.Lease(a.name)
}

func (a *App) view() core.AppView {
	n := a.platform.host()
	if n == nil {
		return core.AppView{}
	}
	return n.View().Apps[a.name]
}

func (a *App) running() (*host.Node, error) {
	if err := a.registered(); err != nil {
		return nil, err
	}
	return a.platform.running()
}

func (a *App) registered() error {
	if a.platform == nil {
		return fmt.Errorf("%w: app %s is not registered with a platform", ErrInvalid, a.name)
	}
	return nil
}

// OnActive registers a function that is called when this node becomes active:
// it holds the leadership and the backend is ready. Its context ends with the
// hook timeout, or when the leadership is lost; LeaseFrom its context gives the
// epoch. An error or a panic gives the leadership away, and the reason can be
// seen in the app's status.
//
// For all hooks: several functions may be registered; they are called in order
// until one fails. Register them before [Platform.Run].
func (a *App) OnActive(fn func(context.Context) error) {
	a.hook("OnActive", &a.hooks.Active, fn)
}

// OnPassive registers a function that is called once for each OnActive, also
// for one that failed and also on shutdown, when this node ceases to be active:
// before the backend is stopped and before another node can become active. It
// is not called for a node that begins as a standby.
func (a *App) OnPassive(fn func(context.Context) error) {
	a.hook("OnPassive", &a.hooks.Passive, fn)
}

// OnStart registers a function that is called when the app becomes active on
// this node (mode spread).
func (a *App) OnStart(fn func(context.Context) error) { a.hook("OnStart", &a.hooks.Start, fn) }

// OnStop registers a function that is called when the app ends on this node: in
// mode spread before its backend is stopped, else last of all.
func (a *App) OnStop(fn func(context.Context) error) { a.hook("OnStop", &a.hooks.Stop, fn) }

func (a *App) hook(name string, list *[]func(context.Context) error, fn func(context.Context) error) {
	if fn == nil {
		a.fault("%s: the function is nil", name)
		return
	}
	*list = append(*list, fn)
}

// OnLeaderChange registers a function that is told the id of each new leader,
// once for each epoch that this node sees, this node included.
func (a *App) OnLeaderChange(fn func(context.Context, string) error) {
	if fn == nil {
		a.fault("OnLeaderChange: the function is nil")
		return
	}
	a.hooks.LeaderChange = append(a.hooks.LeaderChange, fn)
}

// OnMemberJoin registers a function that is told each other node that joins,
// once; those that are there when this node joins are told too.
func (a *App) OnMemberJoin(fn func(context.Context, Member) error) {
	a.memberHook("OnMemberJoin", &a.hooks.MemberJoin, fn)
}

// OnMemberLeave registers a function that is told each other node that leaves
// or is lost, once.
func (a *App) OnMemberLeave(fn func(context.Context, Member) error) {
	a.memberHook("OnMemberLeave", &a.hooks.MemberLeave, fn)
}

// OnHealthChange registers a function that is told the health of this node, once
// after each change between passing and failing; see [Platform.Health]. A node
// begins as passing. A change that is undone before the function could be told
// of it is left out.
func (a *App) OnHealthChange(fn func(context.Context, HealthStatus) error) {
	if fn == nil {
		a.fault("OnHealthChange: the function is nil")
		return
	}
	a.hooks.HealthChange = append(a.hooks.HealthChange, fn)
}

func (a *App) memberHook(name string, list *[]func(context.Context, Member) error, fn func(context.Context, Member) error) {
	if fn == nil {
		a.fault("%s: the function is nil", name)
		return
	}
	*list = append(*list, fn)
}
