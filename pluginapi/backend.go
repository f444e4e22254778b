package pluginapi

import (
	"context"
	"time"
)

// Backend controls the service that an app makes highly available: a process,
// a container, a unit.
//
// Start returns when the service is ready to do its work; its context bounds
// the start only, not the life of the service. Stop returns when nothing of the
// service runs any more: gracefully as long as its context allows, by force
// after that. Both may be called again at any time: a start of a running
// service and a stop of a stopped one do nothing and return nil.
type Backend interface {
	Start(ctx context.Context) error
	Stop(ctx context.Context) error
	Health(ctx context.Context) (BackendHealth, error)
}

// Status words of [BackendHealth].
const (
	StatusRunning   = "running"
	StatusStarting  = "starting"
	StatusUnhealthy = "unhealthy"
	StatusStopped   = "stopped"
)

// BackendHealth is the state of a backend's service.
type BackendHealth struct {
	Status  string        `json:"status"`
	Message string        `json:"message,omitempty"`
	Uptime  time.Duration `json:"uptime_ns"`
}

// Supervised is a backend that restarts its service by itself and says when it
// gives up. Failed returns the channel on which one error arrives when the
// service, started and not stopped, cannot be kept alive; the host then gives
// leadership away.
type Supervised interface {
	Failed() <-chan error
}

// Instance says to a backend whose it is.
type Instance struct {
	Platform, Node, App string
	Dir                 string // a folder that this instance may write to; "" when the node has none
}

// Killable is a backend whose service can be ended from outside, by a process
// that knows nothing but a [Fence]: the guard, when the host is dead or frozen.
// Bind is called once, before the first Start, and returns what must be gone
// for the service to be dead.
type Killable interface {
	Bind(Instance) ([]Fence, error)
}

// Kinds of [Fence].
const (
	FenceCgroup = "cgroup" // Name is the folder of a cgroup v2; it is killed and removed
	FenceEnv    = "env"    // Name is KEY=VALUE; every process started with it in its environment is killed
)

// Fence names something that a guard can kill without the help of the one who
// made it.
type Fence struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
}
