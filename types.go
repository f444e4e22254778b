package cluster

import (
	"github.com/ozanturksever/go-cluster/builtin/backend"
	"github.com/ozanturksever/go-cluster/host/control"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Member is a node of the platform, see [pluginapi.Member].
type Member = pluginapi.Member

// Epoch is the fencing number of a leadership: it rises with each change of
// owner and never goes down.
type Epoch = pluginapi.Epoch

// Lease is a leadership at the moment of use, see [pluginapi.Lease].
type Lease = pluginapi.Lease

// Backend controls the service that an app makes highly available, see
// [pluginapi.Backend].
type Backend = pluginapi.Backend

// BackendHealth is what a [Backend] says of its service, see
// [pluginapi.BackendHealth].
type BackendHealth = pluginapi.BackendHealth

// ProcessConfig configures [Process], see [backend.ProcessConfig].
type ProcessConfig = backend.ProcessConfig

// OutputHandler gets the output of a process line by line.
type OutputHandler = backend.OutputHandler

// RestartPolicy says how a backend that ends by itself is restarted.
type RestartPolicy = backend.RestartPolicy

// Process returns a backend that runs a program as a child of this process. Its
// mistakes are reported by [Platform.Run].
func Process(config ProcessConfig) *backend.ProcessBackend { return backend.NewProcess(config) }

// DockerConfig configures [Docker], see [backend.DockerConfig].
type DockerConfig = backend.DockerConfig

// DockerHealthCheck is a health check of a container.
type DockerHealthCheck = backend.DockerHealthCheck

// DockerResources limits a container.
type DockerResources = backend.DockerResources

// Docker returns a backend that runs a container of Docker, or of an engine that
// serves Docker's API. Its mistakes are reported by [Platform.Run].
func Docker(config DockerConfig) *backend.DockerBackend { return backend.NewDocker(config) }

// Systemd returns a backend that runs a unit of systemd; its options are in
// package backend, see [backend.SystemdOption]. Its mistakes are reported by
// [Platform.Run].
func Systemd(serviceName string, opts ...backend.SystemdOption) *backend.SystemdBackend {
	return backend.NewSystemd(serviceName, opts...)
}

// Role is what this node is for an app. It is "" before the node has joined.
type Role string

// The roles.
const (
	RoleLeader  Role = control.RoleLeader
	RoleStandby Role = control.RoleStandby
	RoleActive  Role = control.RoleActive // of an app that is active on every node
)

// Mode is how an app is spread over the nodes.
type Mode int

// The modes.
const (
	ModeSingleton Mode = iota // one node leads, the others stand by
	ModeSpread                // every node is active
)

// LabelWatcherFunc is told the labels of a node after they have changed.
type LabelWatcherFunc func(nodeID string, labels map[string]string)
