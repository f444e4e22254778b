package backend

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// watchAgain is the pause before a watch that broke off begins anew.
const watchAgain = time.Second

// attention calls look at each hint of a watch, and after each interval even
// without one, until it returns done or an error, or the context ends. look is
// told whether it is the interval's turn. The watch has ended when attention returns.
func attention(ctx context.Context, watch func(context.Context, func()) error, interval time.Duration,
	look func(routine bool) (done bool, err error)) error {
	hints := make(chan struct{}, 1)
	hint := func() {
		select {
		case hints <- struct{}{}:
		default: // there is one already
		}
	}
	watchCtx, cancel := context.WithCancel(ctx)
	var watcher sync.WaitGroup
	watcher.Go(func() {
		for watchCtx.Err() == nil {
			_ = watch(watchCtx, hint) // why it broke off is told by the looks, if it matters
			select {
			case <-time.After(watchAgain):
			case <-watchCtx.Done():
			}
		}
	})
	defer watcher.Wait()
	defer cancel()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		routine := false
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-hints:
		case <-tick.C:
			routine = true
		}
		if done, err := look(routine); done || err != nil {
			return err
		}
	}
}

// beginVigil begins the supervision of a service that has just become ready.
func (k *keeper) beginVigil() {
	ctx, cancel := context.WithCancel(context.Background())
	v := &vigil{cancel: cancel, done: make(chan struct{})}
	k.mu.Lock()
	k.vigil = v
	k.mu.Unlock()
	go func() {
		defer close(v.done)
		k.keep(ctx, v)
	}()
}

// endVigil ends the supervision, and says whether there was one.
func (k *keeper) endVigil() bool {
	k.mu.Lock()
	v := k.vigil
	k.mu.Unlock()
	if v == nil {
		return false
	}
	v.cancel()
	<-v.done
	k.mu.Lock()
	defer k.mu.Unlock()
	k.vigil = nil
	return true
}

// keep is the goroutine of a vigil.
func (k *keeper) keep(ctx context.Context, v *vigil) {
	b := budget{policy: k.restart}
	for {
		cause := k.tend(ctx)
		if ctx.Err() == nil {
			cause = k.revive(ctx, &b, cause)
		}
		if ctx.Err() != nil {
			return // a stop or a restart goes on from here
		}
		if cause != nil {
			k.giveUp(v, cause)
			return
		}
	}
}

// tend looks after the service until something has to be done, and returns what
// the matter is.
func (k *keeper) tend(ctx context.Context) error {
	bad := 0
	return attention(ctx, k.remote.watch, k.interval, func(routine bool) (bool, error) {
		s, err := k.see(ctx)
		switch {
		case err != nil && ctx.Err() != nil:
			return true, nil
		case err == nil && !s.alive:
			return true, fmt.Errorf("it has ended: %s", s.message)
		case err == nil && s.sick:
			return true, fmt.Errorf("it is unhealthy: %s", s.message)
		}
		if err == nil && s.status != pluginapi.StatusUnhealthy {
			bad = 0
			k.noteSight(s)
			return false, nil
		}
		if err != nil {
			s = sight{status: pluginapi.StatusUnhealthy, message: err.Error()}
		}
		if routine { // hints come in bursts
			bad++
		}
		k.noteSight(s)
		if bad < k.failures {
			return false, nil
		}
		if err != nil {
			return true, fmt.Errorf("%w: %d times in a row: %w", errUnseen, bad, err)
		}
		return true, fmt.Errorf("unhealthy: %d checks in a row went wrong: %s", bad, s.message)
	})
}

func (k *keeper) see(ctx context.Context) (sight, error) {
	slow := fmt.Errorf("%w: no answer after %v", pluginapi.ErrTimeout, k.lookFor)
	ctx, cancel := context.WithTimeoutCause(ctx, k.lookFor, slow)
	defer cancel()
	return k.remote.look(ctx)
}

// revive starts the service again until it is up, or until there is no use in
// trying. It returns nil when it is up.
func (k *keeper) revive(ctx context.Context, b *budget, cause error) error {
	for cause != nil {
		if hopeless(cause) || errors.Is(cause, errUnseen) {
			return cause
		}
		delay, ok := b.next(time.Now(), rand.Float64())
		if !ok && k.restart.Disabled {
			return cause
		}
		if !ok {
			return fmt.Errorf("%d restarts within %v were not enough: %w", k.restart.MaxRestarts, k.restart.Window, cause)
		}
		k.note(pluginapi.StatusUnhealthy, fmt.Sprintf("restart in %v: %v", delay.Round(time.Millisecond), cause))
		timer := time.NewTimer(delay)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return errStopped
		}
		k.note(pluginapi.StatusStarting, "restarting after: "+cause.Error())
		k.count()
		cause = k.replace(ctx)
	}
	return nil
}

// replace ends what is left of the service and brings it up.
func (k *keeper) replace(ctx context.Context) error {
	if err := k.leads(); err != nil {
		return err
	}
	grace, cancel := context.WithTimeout(ctx, k.stopFor)
	defer cancel()
	if err := k.remote.bringDown(grace); err != nil {
		return err
	}
	return k.bringUp(ctx)
}

// giveUp is the last word of a vigil: the service is ended and the host told.
func (k *keeper) giveUp(v *vigil, cause error) {
	err := errors.Join(fmt.Errorf("%s cannot be kept alive: %w", k.what, cause), k.force())
	k.mu.Lock()
	v.over = true
	k.status, k.message, k.born = pluginapi.StatusUnhealthy, err.Error(), time.Time{}
	k.mu.Unlock()
	k.failed <- err // there is room: the start of this vigil has emptied it
}

// leads says whether the service may run: the lease that it was started under
// holds, or there is none.
func (k *keeper) leads() error {
	k.mu.Lock()
	lease := k.lease
	k.mu.Unlock()
	if lease != nil && (lease.Valid == nil || !lease.Valid()) {
		return fmt.Errorf("%w: the lease of epoch %d does not hold", pluginapi.ErrNotLeader, lease.Epoch)
	}
	return nil
}

func (k *keeper) drainFailed() {
	select {
	case <-k.failed:
	default:
	}
}

func (k *keeper) count() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.restarts++
}

func (k *keeper) restartCount() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.restarts
}

func (k *keeper) note(status, message string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if status == pluginapi.StatusRunning && k.born.IsZero() {
		k.born = time.Now()
	} else if status != pluginapi.StatusRunning {
		k.born = time.Time{}
	}
	k.status, k.message = status, message
}

func (k *keeper) noteSight(s sight) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.status, k.message = s.status, s.message
	if !s.since.IsZero() {
		k.born = s.since
	}
}

// health is the state as it was last seen; it asks nobody.
func (k *keeper) health() Health {
	k.mu.Lock()
	defer k.mu.Unlock()
	h := Health{Status: k.status, Message: k.message}
	if !k.born.IsZero() {
		h.Uptime = max(0, time.Since(k.born))
	}
	return h
}
