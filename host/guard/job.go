package guard

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ozanturksever/go-cluster/host/clock"
)

const (
	killTry      = time.Second // one Kill; what is not dead by then is logged and tried again
	releaseFirst = 2 * time.Millisecond
	releaseLast  = 20 * time.Millisecond
	shortestTry  = 100 * time.Millisecond // of a call to the store
	longestTry   = time.Second
)

// job is one time that the watchman acts: kill, then give the session back, then
// watch what is left of both.
type job struct {
	log    *slog.Logger
	reason string
	lease  Lease
	fences *fenceSet
	link   *link
	final  bool   // the host is gone: come to an end
	give   bool   // there is a session to give back
	wake   func() // called when struck and when ended

	cancel   context.CancelFunc // ends all but the first killing
	killed   atomic.Bool        // the first killing is through
	failed   atomic.Bool        // the session could not be given back
	strikes  chan struct{}      // asks for another killing
	replaced bool               // a newer life of the node has joined
	done     chan struct{}
}

func (j *job) over() bool {
	select {
	case <-j.done:
		return true
	default:
		return false
	}
}

// run acts. root bounds the first killing, ctx what comes after it.
func (j *job) run(root, ctx context.Context) {
	defer j.wake()
	defer close(j.done)
	began := clock.Now()
	j.killAll(root)
	if root.Err() != nil {
		return
	}
	j.log.Warn("guard has killed what the host started", "reason", j.reason, "inc", j.lease.Inc,
		"fences", len(j.fences.all()), "took", clock.Now().Sub(began))
	j.killed.Store(true)
	j.wake()
	if !j.give {
		return
	}
	if j.awaitDeadline(ctx) != nil {
		return
	}
	var killing sync.WaitGroup
	killing.Go(func() { j.killAgain(ctx) })
	j.settle(ctx)
	close(j.strikes)
	killing.Wait()
}

// awaitDeadline waits until the lease of a host that may only stand still has
// ended: should it wake before that, it still leads, and so must nobody else.
func (j *job) awaitDeadline(ctx context.Context) error {
	if j.reason != reasonDeadline {
		return nil
	}
	return sleep(ctx, time.Duration(j.lease.Deadline-clock.Now().UnixNano()))
}

// killAll returns when all fences are dead, however long that takes: a session
// must never be given back before.
func (j *job) killAll(ctx context.Context) {
	for ctx.Err() == nil {
		once, done := context.WithTimeout(ctx, killTry)
		err := Kill(once, j.fences.all())
		done()
		if err == nil || ctx.Err() != nil {
			return
		}
		j.log.Error("guard cannot kill all that the host started, trying on", "err", err)
		_ = sleep(ctx, lastPause) // its error is the loop's condition
	}
}

// killAgain kills late children: those of a host that was about to start them
// when it died or stood still.
func (j *job) killAgain(ctx context.Context) {
	for range j.strikes {
		j.killAll(ctx)
	}
}

// strike asks for another killing, unless one is due already. It comes right
// after a look at the session: what a newer life of the node has started must
// not be killed, and a newer life kills what is left of this one before it joins.
func (j *job) strike() {
	select {
	case j.strikes <- struct{}{}:
	default:
	}
}

// settle gives the session back, tells the others, and looks again for one TTL
// for a late write that brought the session back. With the host alive it goes on
// until the session is given back, and then until the context ends. A newer life
// of the node ends it at once.
func (j *job) settle(ctx context.Context) {
	given := j.giveBack(ctx)
	until := clock.Now().Add(j.lease.TTL)
	for !j.replaced && sleep(ctx, j.pause()) == nil {
		over := given && !clock.Now().Before(until) // the host is alive: only the killing goes on
		if !over && j.lookHard(ctx) == nil && !given {
			given = true
			j.tell(ctx)
		}
		if j.replaced {
			break
		}
		j.strike()
		if j.final && !clock.Now().Before(until) {
			break
		}
	}
	j.failed.Store(!given && !j.replaced)
}

// giveBack tries for three TTLs: by then the session has ended by itself.
func (j *job) giveBack(ctx context.Context) bool {
	window, cancel := context.WithTimeout(ctx, 3*j.lease.TTL)
	defer cancel()
	struck := clock.Now()
	for pause := releaseFirst; ; pause = min(2*pause, releaseLast) {
		err := j.look(window)
		if err == nil {
			j.tell(ctx)
			return true
		}
		if j.replaced {
			return false
		}
		if now := clock.Now(); now.Sub(struck) >= j.pause() {
			struck = now
			j.strike()
		}
		if sleep(window, pause) == nil {
			continue
		}
		if ctx.Err() == nil {
			j.log.Error("guard could not give the session back", "inc", j.lease.Inc, "err", err)
		}
		return false
	}
}

// look gives the session back if it is not over, and notes whether a newer life
// of the node has a session already.
func (j *job) look(ctx context.Context) error {
	err := j.link.call(ctx, j.try(), j.release)
	if errors.Is(err, ErrReplaced) {
		j.replaced = true
		j.log.Info("a newer life of the node has joined: the guard of the old one ends", "inc", j.lease.Inc)
	}
	return err
}

// lookHard looks until the store answers, for one pause at most. Streams that
// stand still for a moment, because another host has died, do not hide a newer
// life of the node: a strike that does not know of it would kill its service.
func (j *job) lookHard(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, j.pause())
	defer cancel()
	for {
		err := j.look(ctx)
		if err == nil || j.replaced || sleep(ctx, releaseLast) != nil {
			return err
		}
	}
}

// pause is the time between two looks, and between two strikes.
func (j *job) pause() time.Duration { return j.lease.TTL / 5 }

func (j *job) release(ctx context.Context, s Store) error { return s.Release(ctx, j.lease) }

// tell is a hint to the others; they find out without it, only later.
func (j *job) tell(ctx context.Context) {
	err := j.link.call(ctx, j.try(), func(ctx context.Context, s Store) error { return s.Gone(ctx, j.lease) })
	if err != nil {
		j.log.Warn("guard could not tell the other nodes", "err", err)
	}
	j.log.Info("guard has given the session back", "inc", j.lease.Inc)
}

func (j *job) try() time.Duration { return min(max(j.lease.TTL/3, shortestTry), longestTry) }
