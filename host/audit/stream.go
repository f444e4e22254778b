package audit

import (
	"context"

	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Stream returns a channel with each entry that is stored from now on, in order.
// It is closed when ctx ends or Run does. What is not read waits in the log.
//
// # Errors
//
// ErrShuttingDown; what keeps it from beginning.
func (l *Log) Stream(ctx context.Context) (<-chan Entry, error) {
	log, err := l.open(ctx)
	if err != nil {
		return nil, ending(err)
	}
	f, err := log.Follow(ctx, l.cfg.Names.Audit()+".>", bus.Start{})
	if err != nil {
		return nil, ending(err)
	}
	out := make(chan Entry)
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(l.life, cancel)
	run := func() {
		defer close(out)
		defer cancel()
		defer stop()
		err := f.Run(ctx, func(m bus.Stored) {
			e, ok := l.entry(m)
			if !ok {
				return
			}
			select {
			case out <- e:
			case <-ctx.Done():
			}
		})
		if err != nil {
			l.cfg.Logger.Debug("stream of audit log", "err", err)
		}
	}
	if l.spawn(run) {
		return out, nil
	}
	cancel()
	run() // ends at once
	return nil, pluginapi.ErrShuttingDown
}

// spawn runs fn on a goroutine that Run waits for; false when Run has ended.
func (l *Log) spawn(fn func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.life.Err() != nil {
		return false
	}
	l.following.Go(fn)
	return true
}

// stop ends what follows the log.
func (l *Log) stop() {
	l.mu.Lock()
	l.end()
	l.mu.Unlock()
	l.following.Wait()
}
