package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	cluster "github.com/ozanturksever/go-cluster"
)

// What the clients in a library node can be asked by a signal.
const (
	askLeader   = syscall.SIGUSR1 // who leads the stream of locks? The answer is journaled
	askStepDown = syscall.SIGUSR2 // the leader of that stream is to step down
)

// clients are what a library node does beside leading apps.
type clients struct {
	p    *cluster.Platform
	app  *cluster.App
	spec librarySpec
	w    *writer
	work sync.WaitGroup
}

// begin starts the clients that the spec asks for. They end with ctx, and wait
// waits for that.
func (c *clients) begin(ctx context.Context) {
	asked := make(chan os.Signal, 10)
	signal.Notify(asked, askLeader, askStepDown)
	c.work.Go(func() {
		defer signal.Stop(asked)
		if c.p.WaitReady(ctx) != nil {
			return
		}
		for i, lock := range c.spec.Locks {
			for k := range c.spec.Clients {
				c.work.Go(func() { c.user(lock, 1+i*c.spec.Clients+k).run(ctx) })
			}
		}
		if c.spec.Keeps != "" {
			c.work.Go(func() { c.user(c.spec.Keeps, 0).keep(ctx) })
		}
		if c.spec.Events != "" {
			c.work.Go(func() { c.publish(ctx) })
			c.work.Go(func() { c.consume(ctx) })
		}
		for ctx.Err() == nil {
			select {
			case s := <-asked:
				c.answer(ctx, s)
			case <-ctx.Done():
			}
		}
	})
}

func (c *clients) answer(ctx context.Context, s os.Signal) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	stream := "gc_locks_" + c.spec.Platform
	text := ""
	if s == askStepDown {
		if m, err := c.p.NATS().RequestWithContext(ctx, "$JS.API.STREAM.LEADER.STEPDOWN."+stream, nil); err == nil {
			text = string(m.Data)
		}
	} else if st, err := c.p.JetStream().Stream(ctx, stream); err == nil && st.CachedInfo().Cluster != nil {
		text = st.CachedInfo().Cluster.Leader
	}
	c.must(c.w.note(kindAsked, text))
}

// must ends the process when the journal cannot be written: what is not known
// must not look like what did not happen.
func (*clients) must(err error) {
	if err != nil {
		panic(fmt.Sprintf("write journal: %v", err))
	}
}

// lockUser is one client of a lock.
type lockUser struct {
	c    *clients
	lock *cluster.Lock
	self entry
}

func (c *clients) user(lock string, client int) *lockUser {
	e := c.w.self
	e.Kind, e.About, e.Client = kindLock, lock, client
	return &lockUser{c, c.app.Lock(lock), e}
}

func (u *lockUser) write(text string, since int64, token cluster.Epoch) {
	e := u.self
	e.Since, e.T, e.Text, e.Epoch = since, u.c.w.now(), text, uint64(token)
	u.c.must(u.c.w.write(e))
}

// run takes the lock, looks at its token for a while, now and then for a long
// one, and gives it back, again and again.
func (u *lockUser) run(ctx context.Context) {
	for ctx.Err() == nil {
		since := u.c.w.now()
		token := u.take(ctx, rand.IntN(3) == 0)
		if token == 0 {
			u.write(lockRefused, since, 0)
			_ = pause(ctx, 10*time.Millisecond)
			continue
		}
		u.write(lockHeld, since, token)
		looks := rand.IntN(4)
		if rand.IntN(8) == 0 {
			looks = 100
		}
		for ; looks > 0 && u.look(token); looks-- {
			_ = pause(ctx, time.Millisecond)
		}
		u.give(token)
	}
}

// take returns the token with which the lock is held now, or 0.
func (u *lockUser) take(ctx context.Context, try bool) cluster.Epoch {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if try && !u.lock.TryLock(ctx) || !try && u.lock.Lock(ctx) != nil {
		return 0
	}
	token := u.lock.Token()
	if token == 0 {
		_ = u.lock.Unlock(context.Background()) // it was lost at once
	}
	return token
}

// look writes whether the lock is held still.
func (u *lockUser) look(token cluster.Epoch) (held bool) {
	since := u.c.w.now()
	now := u.lock.Token()
	if now != 0 && now != token {
		panic(fmt.Sprintf("the token of one hold was %d and is %d", token, now))
	}
	if now != 0 {
		u.write(lockSeen, since, token)
	}
	return now != 0
}

func (u *lockUser) give(token cluster.Epoch) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	since := u.c.w.now()
	switch err := u.lock.Unlock(ctx); {
	case err == nil:
		u.write(lockGiven, since, token)
	case errors.Is(err, cluster.ErrLockNotHeld):
		u.write(lockLost, since, token)
	default:
		u.write(lockUnsure, since, token)
	}
}

// keep takes the lock and holds it until it is lost.
func (u *lockUser) keep(ctx context.Context) {
	for ctx.Err() == nil {
		since := u.c.w.now()
		if u.lock.Lock(ctx) != nil {
			_ = pause(ctx, 10*time.Millisecond)
			continue
		}
		token := u.lock.Token()
		if token != 0 {
			u.write(lockHeld, since, token)
		}
		for ctx.Err() == nil && token != 0 && u.look(token) {
			_ = pause(ctx, actEvery)
		}
		if token != 0 {
			u.give(token)
		} else {
			_ = u.lock.Unlock(context.Background())
		}
	}
}
