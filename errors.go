package cluster

import "github.com/ozanturksever/go-cluster/pluginapi"

// The errors that callers can act on, by errors.Is. They stay themselves across
// the network.
var (
	ErrNotLeader          error = pluginapi.ErrNotLeader
	ErrNoLeader           error = pluginapi.ErrNoLeader
	ErrTimeout            error = pluginapi.ErrTimeout
	ErrAppNotFound        error = pluginapi.ErrAppNotFound
	ErrNodeNotFound       error = pluginapi.ErrNodeNotFound
	ErrHookTimeout        error = pluginapi.ErrHookTimeout
	ErrShuttingDown       error = pluginapi.ErrShuttingDown
	ErrNodeAlreadyPresent error = pluginapi.ErrNodeAlreadyPresent
	ErrNoStandby          error = pluginapi.ErrNoStandby
	ErrInvalid            error = pluginapi.ErrInvalid
)
