package cluster

import (
	"context"

	"github.com/ozanturksever/go-cluster/host/audit"
)

// AuditEntry is something that happened. Time and NodeID are filled in when it
// is written: Time if it is zero, NodeID always. Category is one part of A-Z a-z
// 0-9 - _, Action one or more joined by dots, Data at most 16 KiB as JSON.
type AuditEntry = audit.Entry

// AuditFilter says which entries are asked for; what is zero does not matter,
// but Since, which is then an hour ago.
type AuditFilter = audit.Filter

// Audit is the audit log of the platform: what was done, by which node, kept for
// 7 days and at most 64 MiB, the oldest dropped first. The platform writes what
// it does itself, as docs/events.md lists.
type Audit struct{ p *Platform }

// Audit returns the audit log.
func (p *Platform) Audit() *Audit { return &Audit{p} }

// Log writes an entry and returns when it is stored. While the log has no leader
// it tries again until the context ends, 5 s without a deadline.
//
// # Errors
//
// ErrInvalid for a bad entry or before the node is connected; ErrTooLarge;
// ErrShuttingDown; ErrUnknownOutcome or ErrTimeout when it may have been stored.
func (a *Audit) Log(ctx context.Context, entry AuditEntry) error {
	l, err := a.log()
	if err != nil {
		return err
	}
	return l.Write(ctx, entry)
}

// Query returns the entries that match, the newest first; of more than 1000 the
// newest.
//
// # Errors
//
// As of Log.
func (a *Audit) Query(ctx context.Context, filter AuditFilter) ([]AuditEntry, error) {
	l, err := a.log()
	if err != nil {
		return nil, err
	}
	return l.Query(ctx, filter)
}

// Stream returns a channel with each entry that is written from now on, in
// order. It is closed when the context or the node ends. A reader that is slow
// misses nothing: entries wait in the log, as long as they are kept there.
//
// # Errors
//
// As of Log.
func (a *Audit) Stream(ctx context.Context) (<-chan AuditEntry, error) {
	l, err := a.log()
	if err != nil {
		return nil, err
	}
	return l.Stream(ctx)
}

func (a *Audit) log() (*audit.Log, error) {
	n, err := a.p.running()
	if err != nil {
		return nil, err
	}
	return n.Audit(), nil
}
