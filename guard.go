package cluster

import (
	"context"

	"github.com/ozanturksever/go-cluster/host"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// GuardMain is the main function of a guard, see [WithGuard]: it watches the
// process that started it, and returns the exit code. Call it before anything
// else when the program was started for it.
func GuardMain() int { return host.Watchman(context.Background()) }

// LeaseFrom returns the leadership under which a hook or a backend was called;
// ok is false in an app that is active on every node.
func LeaseFrom(ctx context.Context) (l Lease, ok bool) { return pluginapi.LeaseFrom(ctx) }
