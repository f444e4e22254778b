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
	ErrLockHeld           error = pluginapi.ErrLockHeld
	ErrLockNotHeld        error = pluginapi.ErrLockNotHeld
	ErrKeyNotFound        error = pluginapi.ErrKeyNotFound
	ErrKeyExists          error = pluginapi.ErrKeyExists
	ErrConflict           error = pluginapi.ErrConflict // somebody else has changed it since it was read
	ErrFenced             error = pluginapi.ErrFenced   // a newer leader has written: this one's time is over
	ErrTooLarge           error = pluginapi.ErrTooLarge // the error names the limit
	ErrBusy               error = pluginapi.ErrBusy     // the receiver has no room for more at this moment
	ErrNoMethod           error = pluginapi.ErrNoMethod
	ErrUnreachable        error = pluginapi.ErrUnreachable // nobody listens: nothing was done
	ErrCircuitOpen        error = pluginapi.ErrCircuitOpen // the last calls could not be delivered; tried again in a while
	ErrUnauthorized       error = pluginapi.ErrUnauthorized
	ErrRejected           error = pluginapi.ErrRejected
	ErrNotGranted         error = pluginapi.ErrNotGranted
	ErrPluginCrashed      error = pluginapi.ErrPluginCrashed
	ErrPluginLimit        error = pluginapi.ErrPluginLimit // of memory, time, output or calls of the host
	ErrPluginProtocol     error = pluginapi.ErrPluginProtocol
	ErrPluginNotFound     error = pluginapi.ErrPluginNotFound
	ErrPluginDisabled     error = pluginapi.ErrPluginDisabled
	ErrUnknownOutcome     error = pluginapi.ErrUnknownOutcome // it may have been done, and may still be
)
