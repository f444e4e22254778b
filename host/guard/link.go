package guard

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

const (
	dialTimeout  = 5 * time.Second
	dialFirst    = 20 * time.Millisecond // pause after a failed dial, doubled each time
	dialLast     = time.Second
	closeTimeout = time.Second
)

// link is the watchman's way to the store. It is made in the background, and
// nothing that kills ever waits for it. A store that does not come back when its
// context ends is left behind: the watchman must go on, and ends soon.
type link struct {
	log    *slog.Logger
	cancel context.CancelFunc
	ready  chan struct{} // closed when store is set
	store  Store
}

// newLink begins to dial. A nil dial is a store that never comes.
func newLink(ctx context.Context, dial Dial, init Init, log *slog.Logger) *link {
	ctx, cancel := context.WithCancel(ctx)
	l := &link{log: log, cancel: cancel, ready: make(chan struct{})}
	if dial != nil {
		go l.dial(ctx, dial, init)
	}
	return l
}

func (l *link) dial(ctx context.Context, dial Dial, init Init) {
	for pause := dialFirst; ; pause = min(2*pause, dialLast) {
		once, done := context.WithTimeout(ctx, dialTimeout)
		store, err := dial(once, init)
		done()
		if err == nil && ctx.Err() != nil {
			_ = store.Close() // came too late, nobody waits for it
			return
		}
		if err == nil {
			l.store = store
			close(l.ready)
			return
		}
		if pause == dialFirst {
			l.log.Warn("guard cannot reach another host's server yet", "err", err)
		}
		if sleep(ctx, pause) != nil {
			return
		}
	}
}

// call waits for the store and calls f with it, for no longer than the timeout
// altogether, whatever f does.
func (l *link) call(ctx context.Context, timeout time.Duration, f func(context.Context, Store) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	select {
	case <-l.ready:
	case <-ctx.Done():
		return errors.Join(errors.New("no store yet"), ctx.Err())
	}
	result := make(chan error, 1)
	go func() { result <- f(ctx, l.store) }()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return errors.Join(errors.New("store did not answer"), ctx.Err())
	}
}

// close stops dialling and closes the store, if there is one.
func (l *link) close() {
	l.cancel()
	select {
	case <-l.ready:
		err := l.call(context.Background(), closeTimeout, func(_ context.Context, s Store) error { return s.Close() })
		if err != nil {
			l.log.Debug("guard could not close its store", "err", err)
		}
	default:
	}
}
