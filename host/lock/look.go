package lock

import (
	"context"
	"time"

	"github.com/ozanturksever/go-cluster/host/core/election"
	"github.com/ozanturksever/go-cluster/host/core/lock"
)

// look is when the session of a node was looked at last.
type look struct {
	busy bool
	at   time.Time
}

// lookAt reads the session record of a node and tells all who wait what is over.
// It does nothing when that is being done, or was done less than pause ago.
func (k *Keeper) lookAt(node string, pause time.Duration) {
	if !k.beginLook(node, pause) {
		return
	}
	k.spawn(func() {
		h, err := k.readOver(k.life, node)
		k.mu.Lock()
		k.looks[node].busy = false
		k.mu.Unlock()
		if err != nil {
			k.cfg.Logger.Debug("look at session", "session", node, "err", err)
			return
		}
		for _, s := range k.allSlots() {
			s.step(lock.Over{Holder: h})
		}
	})
}

func (k *Keeper) beginLook(node string, pause time.Duration) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	l, now := k.looks[node], k.cfg.Now()
	switch {
	case len(k.slots) == 0 || l != nil && (l.busy || now.Sub(l.at) < pause):
		return false
	case l == nil:
		l = &look{}
		k.looks[node] = l
	}
	l.busy, l.at = true, now
	return true
}

// readOver returns the last incarnation of a node that is over for good. What is
// read may be old: then less is over than could be, never more.
func (k *Keeper) readOver(ctx context.Context, node string) (election.Holder, error) {
	ctx, cancel := context.WithTimeout(ctx, k.cfg.Timeout)
	defer cancel()
	rec, err := k.cfg.Sessions().Get(ctx, node)
	if err != nil || rec.Seq == 0 {
		return election.Holder{Node: node}, err
	}
	r, err := election.DecodeSession(node, rec.Value)
	if err != nil {
		return election.Holder{}, err
	}
	h := r.Holder()
	if !r.Ended() {
		h.Inc--
	}
	return h, nil
}

// findDead looks at the sessions of those who are in the way and reports whether
// one of them is over.
func (s *slot) findDead(ctx context.Context) (found bool) {
	s.mu.Lock()
	rivals := s.machine.Rivals(s.k.cfg.Session().Self)
	s.mu.Unlock()
	looked := map[string]election.Holder{}
	for _, r := range rivals {
		over, done := looked[r.Node]
		if !done {
			over, _ = s.k.readOver(ctx, r.Node) // what cannot be read is not known to be over
			looked[r.Node] = over
			s.step(lock.Over{Holder: over})
		}
		found = found || over.Inc >= r.Inc
	}
	return found
}

// holder reads who holds a lock.
func (k *Keeper) holder(ctx context.Context, name Name) (string, error) {
	r, err := k.open(ctx)
	if err != nil {
		return "", err
	}
	rec, err := r.Get(ctx, name.String())
	if err != nil {
		return "", err
	}
	seen, err := decode(rec)
	if err != nil {
		return "", err
	}
	for _, c := range seen.Record.Holders {
		if k.cfg.Confirms(c.Holder) {
			return c.Node, nil
		}
		if over, err := k.readOver(ctx, c.Node); err != nil || over.Inc < c.Inc {
			return c.Node, err
		}
	}
	return "", nil
}
