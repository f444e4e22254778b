package pluginapi

// Error is a sentinel error. Its text is its code on the wire: an error that
// crosses NATS or a plugin boundary is the same error again on the other side,
// so that errors.Is works there.
type Error string

// Error returns the text, which is the code on the wire.
func (e Error) Error() string { return string(e) }

// The sentinels of the platform. Package cluster exports them again under the
// same names.
const (
	ErrNotLeader          Error = "not leader"
	ErrNoLeader           Error = "no leader"
	ErrTimeout            Error = "operation timed out"
	ErrAppNotFound        Error = "app not found"
	ErrNodeNotFound       Error = "node not found"
	ErrHookTimeout        Error = "hook timed out"
	ErrShuttingDown       Error = "platform is shutting down"
	ErrNodeAlreadyPresent Error = "node already present"
	ErrNoStandby          Error = "no standby"
	ErrInvalid            Error = "invalid argument"
	ErrLockHeld           Error = "lock already held"
	ErrLockNotHeld        Error = "lock not held"
	ErrKeyNotFound        Error = "key not found"
	ErrKeyExists          Error = "key exists"
	ErrConflict           Error = "changed by another"
	ErrFenced             Error = "fenced by a newer epoch"
	ErrTooLarge           Error = "too large"
	ErrBusy               Error = "busy"
	ErrNoMethod           Error = "no such method"
	ErrUnreachable        Error = "nobody answers"
	ErrCircuitOpen        Error = "circuit open"
	ErrUnauthorized       Error = "not allowed"
	ErrUnknownOutcome     Error = "outcome unknown"

	ErrRejected       Error = "rejected"               // a plugin says no
	ErrStale          Error = "stale table"            // a guest does not hold the table of candidates that was asked about
	ErrNotGranted     Error = "capability not granted" // a plugin asks the host for what it may not have
	ErrPluginCrashed  Error = "plugin crashed"
	ErrPluginLimit    Error = "plugin over its limit" // of memory, time, output, host calls
	ErrPluginProtocol Error = "plugin broke the protocol"
	ErrPluginNotFound Error = "plugin not found"
	ErrPluginDisabled Error = "plugin disabled"
)

// Sentinels lists every sentinel, for the code that turns a wire code back
// into an error.
func Sentinels() []Error {
	return []Error{
		ErrNotLeader, ErrNoLeader, ErrTimeout, ErrAppNotFound, ErrNodeNotFound,
		ErrHookTimeout, ErrShuttingDown, ErrNodeAlreadyPresent, ErrNoStandby, ErrInvalid,
		ErrLockHeld, ErrLockNotHeld, ErrKeyNotFound, ErrKeyExists, ErrConflict, ErrFenced, ErrTooLarge,
		ErrBusy, ErrNoMethod, ErrUnreachable, ErrCircuitOpen, ErrUnauthorized, ErrUnknownOutcome,
		ErrRejected, ErrStale, ErrNotGranted, ErrPluginCrashed, ErrPluginLimit, ErrPluginProtocol,
		ErrPluginNotFound, ErrPluginDisabled,
	}
}
