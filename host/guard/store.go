package guard

import (
	"context"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// ErrReplaced is what [Store].Release returns when a newer life of the node has
// joined. It has killed what the old one left before that, and what runs now is
// its own: the guard of the old life must not touch it any more.
const ErrReplaced pluginapi.Error = "a newer incarnation has joined"

// Store is the watchman's port to the platform: how a session is given back. It
// is used by one caller at a time, except that a call whose context has ended is
// not waited for. A store that uses a network must bound each of its requests
// to some tens of milliseconds and come back with an error rather than wait: it
// is called again at once.
type Store interface {
	// Release marks the session of the incarnation as released, by compare-and-set,
	// if it is still the live record of that incarnation. l.Seq is the last known
	// sequence, a hint only: on a conflict the record is read again. Release
	// returns nil when the incarnation has ended, by whomever. ErrReplaced says
	// that a newer incarnation is there; every other error, such as that the record
	// that was read is older than the lease, is worth another try.
	Release(ctx context.Context, l Lease) error
	// Gone tells the other nodes to look at the session at once.
	Gone(ctx context.Context, l Lease) error
	// Close ends the connection.
	Close() error
}

// Dial connects to the store that init names. Its context bounds the dialling
// only, not the life of the store. It is called again after an error, for ever.
type Dial func(ctx context.Context, init Init) (Store, error)
