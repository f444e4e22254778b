package replica

import (
	"context"
	"errors"
	"fmt"

	"github.com/ozanturksever/go-cluster/replication"
)

// errUnknown is why a lag is not known.
var errUnknown = errors.New("not known at the moment")

// Lag is how many transactions the feed does not have of this database, or this
// copy does not have of the feed.
//
// # Errors
//
// When it is not known: the database is not open, or the feed does not answer.
func (k *Keeper) Lag(ctx context.Context) (transactions uint64, err error) {
	s := k.State()
	switch {
	case s.Primary != nil:
		return s.Primary.Emitted - min(s.Primary.Emitted, s.Primary.Durable.TX), nil
	case s.Standby == nil || !s.Follows:
		return 0, fmt.Errorf("lag of database %s: %w: %w", k.cfg.Path, errUnknown, errors.Join(s.Err, errors.New(string(s.Role))))
	}
	tools, _, err := k.Tools()
	if err != nil {
		return 0, err
	}
	head, err := tools.Feed.Head(ctx)
	if err != nil {
		return 0, fmt.Errorf("lag of database %s: %w: %w", k.cfg.Path, errUnknown, err)
	}
	last, err := replication.LastTX(head)
	if err != nil {
		return 0, fmt.Errorf("lag of database %s: %w: %w", k.cfg.Path, errUnknown, err)
	}
	return last - min(last, s.TX), nil
}
