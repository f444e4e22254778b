package replica

import (
	"context"

	"github.com/ozanturksever/go-cluster/replication/snapshot"
)

// source is what a snapshot can be taken of.
type source interface {
	Snapshot(ctx context.Context, m snapshot.Manifest, last *snapshot.Manifest) (snapshot.Manifest, error)
}

// source returns what a snapshot can be taken of now, and where it stands: the
// copy that follows, or the original; nil when there is neither.
func (k *Keeper) source() (from source, epoch, tx uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if s := k.standby; s != nil {
		if at, _, follows := s.Position(); follows && at.TX > 0 {
			return s, at.Epoch, at.TX
		}
	}
	if p := k.primary; p != nil {
		if at := p.Stats().Durable; at.TX > 0 {
			return p, at.Epoch, at.TX
		}
	}
	return nil, 0, 0
}
