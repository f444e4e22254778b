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
)

// Sentinels lists every sentinel, for the code that turns a wire code back
// into an error.
func Sentinels() []Error {
	return []Error{
		ErrNotLeader, ErrNoLeader, ErrTimeout, ErrAppNotFound, ErrNodeNotFound,
		ErrHookTimeout, ErrShuttingDown, ErrNodeAlreadyPresent, ErrNoStandby, ErrInvalid,
		ErrLockHeld, ErrLockNotHeld, ErrKeyNotFound, ErrKeyExists, ErrConflict, ErrFenced, ErrTooLarge,
		ErrBusy, ErrNoMethod, ErrUnreachable, ErrCircuitOpen, ErrUnauthorized, ErrUnknownOutcome,
	}
}
