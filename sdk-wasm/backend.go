package sdk

import (
	"math"
	"slices"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// Words of a [Status].
const (
	Running   = pluginapi.StatusRunning
	Starting  = pluginapi.StatusStarting
	Unhealthy = pluginapi.StatusUnhealthy
	Stopped   = pluginapi.StatusStopped
)

// Status is the state of a backend's service.
type Status struct {
	Status  string // Running, Starting, Unhealthy, Stopped
	Message string
	Uptime  time.Duration
	Failed  string // why the service is given up for good; "" while it is not
}

// Service is what a backend controls, through what its host grants. A start of a
// running service and a stop of a stopped one do nothing and return nil.
type Service interface {
	// Start returns when the service is ready. The epoch is the leadership's, 0
	// without one.
	Start(c *Call, epoch uint64) error
	// Stop returns when nothing of the service runs any more: gracefully for so long,
	// by force then.
	Stop(c *Call, grace time.Duration) error
	Status(c *Call) (Status, error)
}

// Fence names something that can be killed from outside; see pluginapi.Fence.
type Fence = pluginapi.Fence

// Instance says to a backend whose it is.
type Instance = pluginapi.Instance

// Fenced is a service that the guard of the host can end when the host is dead
// or frozen. Bind is called once, before the first start.
type Fenced interface {
	Bind(c *Call, in Instance) ([]Fence, error)
}

// Backend makes a backend. A service may be [Fenced].
func Backend(a About, s Service) *Guest {
	return newGuest(a, wire.Description{Contract: wire.ContractBackend}, backend{s})
}

type backend struct{ Service }

func (b backend) do(c *Call, op string, in, dst []byte) ([]byte, error) {
	switch op {
	case wire.OpBind:
		return b.bind(c, in, dst)
	case wire.OpStart:
		var m wire.Start
		if err := m.Decode(in); err != nil {
			return dst, err
		}
		return dst, b.Start(c, m.Epoch)
	case wire.OpStop:
		var m wire.Stop
		if err := m.Decode(in); err != nil {
			return dst, err
		}
		ms := min(max(m.GraceMS, 0), math.MaxInt64/int64(time.Millisecond))
		return dst, b.Stop(c, time.Duration(ms)*time.Millisecond)
	case wire.OpStatus:
		s, err := b.Status(c)
		if err != nil {
			return dst, err
		}
		m := wire.Status{Status: s.Status, Message: s.Message, UptimeMS: s.Uptime.Milliseconds(), Failed: s.Failed}
		return m.Append(dst), nil
	}
	return dst, pluginapi.ErrNoMethod
}

func (b backend) bind(c *Call, in, dst []byte) ([]byte, error) {
	f, ok := b.Service.(Fenced)
	if !ok {
		return dst, pluginapi.ErrNoMethod
	}
	var m wire.Bind
	if err := m.Decode(slices.Clone(in)); err != nil {
		return dst, err
	}
	fences, err := f.Bind(c, Instance{Platform: m.Platform, Node: m.Node, App: m.App, Dir: m.Dir})
	if err != nil {
		return dst, err
	}
	return (&wire.Fences{Fences: fences}).Append(dst), nil
}
