package guard

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ozanturksever/go-cluster/host/clock"
)

const (
	restartFirst = 10 * time.Millisecond // pause before a restart, doubled each time
	restartLast  = 5 * time.Second
	restartFresh = 10 * time.Second // a watchman that lived that long starts the count anew
	firstTries   = 5                // watchmen that may end before one was ever ready
	helloTimeout = 10 * time.Second
	writeTimeout = 2 * time.Second // a watchman that does not read for so long is replaced
)

// errUnfit is a watchman that never will be one.
var errUnfit = errors.New("unfit guard")

// Run keeps a watchman alive until the context ends: one that dies is followed
// by another at once (after a growing pause when it goes on), which is told
// everything again. Then it closes the pipe and returns when the watchman has
// ended. After [Guard.Released] that is at once. Without, the watchman takes the
// host for dead: it kills, gives the session back and watches for one TTL, and
// whoever does not want to wait for that lets the process end.
//
// # Errors
//
// That no watchman can be had: the command cannot be started, or ends five times
// before the first was ready, or speaks another version. Not the context's end.
func (g *Guard) Run(ctx context.Context) error {
	g.mu.Lock()
	again := g.started
	g.started = true
	g.mu.Unlock()
	if again {
		return errors.New("run guard: it has run before: make a new one")
	}
	defer close(g.ended)
	failures := 0
	for {
		began := clock.Now()
		err := g.one(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if clock.Now().Sub(began) > restartFresh {
			failures = 0
		}
		failures++
		if errors.Is(err, errUnfit) || failures >= firstTries && !g.isReady() {
			return fmt.Errorf("run guard %s: %w", g.cfg.Command[0], err)
		}
		g.log.Warn("the guard's watchman has ended, starting another", "err", err)
		if failures > 1 {
			_ = sleep(ctx, min(restartFirst<<min(failures-2, 20), restartLast)) // one sees the end of ctx
		}
	}
}

func (g *Guard) isReady() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.readied
}

// one starts a watchman, talks to it and returns when it has ended.
func (g *Guard) one(ctx context.Context) error {
	p, err := spawn(g.cfg)
	if err != nil {
		if !g.isReady() {
			err = errors.Join(errUnfit, err)
		}
		return err
	}
	heard := make(chan error, 1)
	greeted := make(chan struct{}, 1)
	go func() { heard <- g.listen(p, greeted) }()
	talked := g.talk(ctx, p, greeted)
	p.toWatchman.Close()
	if talked != nil {
		p.kill() // it does not do its work; the next one gets all of it
	}
	listened := <-heard
	exit := p.wait()
	p.fromWatchman.Close()
	if errors.Is(listened, errUnfit) {
		return listened
	}
	return errors.Join(talked, exit, errors.New("watchman ended"))
}

// talk tells the watchman the news until the context or the watchman ends; only
// a watchman that does not listen is an error.
func (g *Guard) talk(ctx context.Context, p *process, greeted <-chan struct{}) error {
	g.mu.Lock()
	g.news.tellAll()
	g.mu.Unlock()
	if err := p.write(g.hello); err != nil {
		return err
	}
	if err := g.tell(p); err != nil {
		return err
	}
	late := time.NewTimer(helloTimeout)
	defer late.Stop()
	for {
		select {
		case <-g.kick:
			if err := g.tell(p); err != nil {
				return err
			}
		case <-greeted:
			greeted = nil
			late.Stop()
		case <-late.C:
			return fmt.Errorf("watchman did not greet within %v", helloTimeout)
		case <-p.silent:
			return nil
		case <-ctx.Done():
			return g.tell(p)
		}
	}
}

// tellAll marks everything as news, for a new watchman.
func (n *news) tellAll() {
	n.newLease = n.lease != nil
	n.newReleased = n.released
	n.newFences = n.id != 0
}

// tell sends the news. To a new watchman the fences go first: it must not give
// the session of a lease back before it knows what to kill. To an old one the
// lease goes first: fences are acknowledged only when the incarnation is watched.
func (g *Guard) tell(p *process) error {
	g.mu.Lock()
	n := g.news
	g.news.newLease, g.news.newReleased, g.news.newFences = false, false, false
	g.mu.Unlock()
	var batch []message
	if n.newLease {
		batch = append(batch, message{Kind: kindLease, Lease: n.lease})
	}
	if n.newReleased && n.released {
		batch = append(batch, message{Kind: kindReleased})
	}
	if n.newFences {
		fences := message{Kind: kindFences, ID: n.id, Fences: n.fences}
		if p.told {
			batch = append(batch, fences)
		} else {
			batch = append([]message{fences}, batch...)
		}
	}
	p.told = true
	for _, m := range batch {
		b, err := encode(m)
		if err != nil {
			return err
		}
		if err := p.write(b); err != nil {
			return err
		}
	}
	return nil
}

// listen takes the watchman's replies until it has ended.
func (g *Guard) listen(p *process, greeted chan<- struct{}) error {
	defer close(p.silent)
	var dec decoder
	buf := make([]byte, 8<<10)
	for {
		n, err := p.fromWatchman.Read(buf)
		if err != nil {
			return nil // its end; how it ended is said by its exit
		}
		dec.feed(buf[:n])
		for {
			m, ok, err := dec.next()
			if err != nil {
				p.kill()
				return errors.Join(errUnfit, err)
			}
			if !ok {
				break
			}
			if err := g.hear(m, greeted); err != nil {
				return err
			}
		}
	}
}

func (g *Guard) hear(m message, greeted chan<- struct{}) error {
	switch m.Kind {
	case kindHello:
		if m.Error != "" {
			return fmt.Errorf("%w: %s", errUnfit, m.Error)
		}
		g.mu.Lock()
		first := !g.readied
		g.readied = true
		g.mu.Unlock()
		if first {
			close(g.ready)
		}
		select {
		case greeted <- struct{}{}:
		default:
		}
	case kindAck:
		g.acknowledged(m)
	case kindFired:
		if m.Fired != nil {
			g.report(*m.Fired)
		}
	}
	return nil
}

// acknowledged answers whoever waits for these fences or for older ones, which
// they have replaced.
func (g *Guard) acknowledged(m message) {
	var err error
	switch {
	case m.Ended:
		err = fmt.Errorf("tell guard fences: %w", ErrFired)
	case m.Error != "":
		err = fmt.Errorf("tell guard fences: refused: %s", m.Error)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for id, answer := range g.waiters {
		if id <= m.ID {
			answer <- err
			delete(g.waiters, id)
		}
	}
}

// report keeps the last one.
func (g *Guard) report(f Fired) {
	g.log.Warn("the guard has ended this incarnation", "reason", f.Reason, "inc", f.Inc)
	for {
		select {
		case g.fired <- f:
			return
		default:
		}
		select {
		case <-g.fired:
		default:
		}
	}
}
