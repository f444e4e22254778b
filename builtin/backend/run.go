package backend

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// run is one service from its start until nothing of it runs any more. Its
// goroutine is the supervisor and the only one that touches child, budget and
// the cage's state; the others talk to it through channels.
type run struct {
	p    *ProcessBackend
	cfg  ProcessConfig
	cage *cage
	mark string // of the environment of all its processes
	out  *output

	stop    chan struct{} // closed: end the service
	force   chan struct{} // closed: and do not wait for it
	restart chan chan error
	started chan struct{} // closed when the start has succeeded or not
	done    chan struct{} // closed when the goroutine ends

	stopOnce, forceOnce sync.Once

	child  *child
	budget budget

	startErr error // why the start did not succeed; read it after started
	dirty    error // what could not be killed or removed; read it after done, or after a failed start
}

func newRun(p *ProcessBackend, c *cage, mark string) *run {
	return &run{
		p: p, cfg: p.cfg, cage: c, mark: mark,
		stop: make(chan struct{}), force: make(chan struct{}), restart: make(chan chan error),
		started: make(chan struct{}), done: make(chan struct{}),
		budget: budget{policy: p.cfg.Restart},
	}
}

func (r *run) askStop()  { r.stopOnce.Do(func() { close(r.stop) }) }
func (r *run) askForce() { r.forceOnce.Do(func() { close(r.force) }) }

// stopping says whether a stop was asked for.
func (r *run) stopping() bool {
	select {
	case <-r.stop:
		return true
	default:
		return false
	}
}

// ended says whether the goroutine has ended.
func (r *run) ended() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// startOutcome is what Start returns; call it after started or done.
func (r *run) startOutcome() error {
	if r.startErr == nil {
		return nil
	}
	return errors.Join(r.startErr, r.dirty)
}

// live is the goroutine of a run.
func (r *run) live() {
	r.startErr = r.begin()
	if r.startErr != nil {
		r.finish(nil)
		close(r.started)
		return
	}
	close(r.started)
	err := r.tend()
	for err == nil {
		err = r.tend()
	}
	if errors.Is(err, errStopped) {
		r.finish(nil)
		return
	}
	r.finish(fmt.Errorf("process %s cannot be kept alive: %w", r.cfg.Command, err))
}

// begin makes the cage and brings the service up in it.
func (r *run) begin() error {
	if err := r.p.leads(); err != nil { // cleaning kills: not in another leader's time
		return err
	}
	if r.dirty = r.cage.clean(); r.dirty != nil {
		return errLeftovers
	}
	if err := r.cage.open(); err != nil {
		return err
	}
	return r.bringUp()
}

// bringUp launches a child and waits until it is ready. After an error nothing
// of it runs, or dirty is set.
func (r *run) bringUp() error {
	if r.stopping() {
		return errStopped
	}
	c, err := r.launch()
	if err != nil {
		return err
	}
	r.child = c
	r.p.noteLaunch(c.cmd.Process)
	if err = r.awaitReady(c); err == nil {
		r.p.note(pluginapi.StatusRunning, "")
		return nil
	}
	grace := time.Duration(0)
	if errors.Is(err, errStopped) {
		grace = r.cfg.GracefulTimeout
	}
	r.dirty = r.endChild(c, grace)
	return fmt.Errorf("%w%s", err, c.tail.String())
}

func (r *run) awaitReady(c *child) error {
	if c.prober == nil {
		return nil
	}
	timer := time.NewTimer(r.cfg.StartTimeout)
	defer timer.Stop()
	last := error(fault("no check has ended yet"))
	for {
		select {
		case <-r.stop:
			return fmt.Errorf("%w: %w", errStopped, last)
		case <-c.exited:
			return fmt.Errorf("process ended before it was ready: %s", c.end)
		case err := <-c.results():
			if err == nil {
				return nil
			}
			last = err
			r.p.note(pluginapi.StatusStarting, err.Error())
		case <-timer.C:
			return fmt.Errorf("not ready after %v: %w", r.cfg.StartTimeout, last)
		}
	}
}

// tend watches the child until it must be ended. It returns nil when the
// service is up again after that.
func (r *run) tend() error {
	c, bad := r.child, 0
	for {
		select {
		case <-r.stop:
			r.dirty = r.endChild(c, r.cfg.GracefulTimeout)
			return errStopped
		case <-c.exited:
			return r.replace(c, 0, c.died)
		case reply := <-r.restart:
			err := r.again(c)
			reply <- err
			return r.revive(err)
		case err := <-c.results():
			if err == nil {
				if bad > 0 {
					r.p.note(pluginapi.StatusRunning, "")
				}
				bad = 0
				continue
			}
			if bad++; bad >= r.cfg.Ready.Failures {
				sick := fmt.Errorf("unhealthy: %d checks in a row went wrong: %w", bad, err)
				return r.replace(c, r.cfg.GracefulTimeout, func() error { return sick })
			}
			r.p.note(pluginapi.StatusRunning, err.Error())
		}
	}
}

// replace ends what is left of a child and brings the service up again. why is
// asked when the child's last lines have been read.
func (r *run) replace(c *child, grace time.Duration, why func() error) error {
	r.p.note(pluginapi.StatusUnhealthy, "ending what is left of the process")
	r.dirty = r.endChild(c, grace)
	return r.revive(why())
}

// again is a restart that was asked for.
func (r *run) again(c *child) error {
	r.p.note(pluginapi.StatusStarting, "restart was asked for")
	if r.dirty = r.endChild(c, r.cfg.GracefulTimeout); r.dirty != nil {
		return r.dirty
	}
	return r.bringUp()
}

// revive restarts the service until it is up, until it is stopped, or until
// there is no use in trying. Without a cause it is up already.
func (r *run) revive(cause error) error {
	for cause != nil {
		if r.dirty != nil || hopeless(cause) {
			return cause
		}
		delay, ok := r.budget.next(time.Now(), rand.Float64())
		if !ok && r.cfg.Restart.Disabled {
			return cause
		}
		if !ok {
			return fmt.Errorf("%d restarts within %v were not enough: %w", r.cfg.Restart.MaxRestarts, r.cfg.Restart.Window, cause)
		}
		r.p.note(pluginapi.StatusUnhealthy, fmt.Sprintf("restart in %v: %v", delay.Round(time.Millisecond), cause))
		reply, err := r.pause(delay)
		if err != nil {
			return err
		}
		r.p.note(pluginapi.StatusStarting, "restarting after: "+cause.Error())
		cause = r.bringUp()
		reply <- cause
	}
	return nil
}

// pause waits before a restart. A restart that is asked for shortens it, and
// gets its outcome through reply.
func (r *run) pause(delay time.Duration) (reply chan<- error, err error) {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return make(chan error, 1), nil
	case reply := <-r.restart:
		return reply, nil
	case <-r.stop:
		return nil, errStopped
	}
}

// hopeless says whether another try would end the same way.
func hopeless(err error) bool {
	return errors.Is(err, errStopped) || errors.Is(err, errFenced) || errors.Is(err, pluginapi.ErrNotLeader)
}

// finish takes the cage and the output away and tells how it ended. failed is
// nil when the service was stopped or did not start.
func (r *run) finish(failed error) {
	if r.out != nil {
		r.out.close()
	}
	if r.dirty == nil {
		r.dirty = r.cage.remove()
	}
	r.p.noteEnd(r, failed)
	close(r.done)
}

// liveClean is the goroutine of a run that only ends what an earlier one left.
func (r *run) liveClean() {
	close(r.started)
	r.dirty = errors.Join(r.cage.kill(0), r.cage.clean())
	r.finish(nil)
}
