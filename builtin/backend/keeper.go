package backend

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// remote is a service that another program runs for us: a container engine, or
// systemd. The keeper calls one of bringUp and bringDown at a time.
type remote interface {
	// bringUp ends what is there of the service, starts it, and returns when it
	// is ready. After an error it may be in any state.
	bringUp(ctx context.Context, t told) error
	// bringDown ends the service: gracefully as long as the context lasts, then
	// by force. nil means that nothing of it runs any more.
	bringDown(ctx context.Context) error
	// look tells the state of the service.
	look(ctx context.Context) (sight, error)
	// watch sends a hint when it has begun and after each change, until the
	// context ends or there is nothing more to hear.
	watch(ctx context.Context, hint func()) error
}

// told is what the host tells a service by its environment.
type told struct {
	instance []string
	access   []string // has a secret
}

// sight is a service at one moment.
type sight struct {
	alive   bool
	status  string
	message string
	since   time.Time // when it was started
	sick    bool      // whoever runs it has judged that it must be started again
}

// keeper starts and stops a remote, watches it, starts it again when it ends by
// itself, and says when that is of no use.
type keeper struct {
	what     string // for messages: "container web"
	remote   remote
	restart  RestartPolicy
	startFor time.Duration // how long a start may take
	stopFor  time.Duration // how long a stop may take before force
	interval time.Duration // between two looks without a hint
	lookFor  time.Duration // how long a look may take
	failures int           // looks without an answer, or with a bad one, in a row

	failed chan error
	turn   chan struct{} // who has put something in may start or stop

	mu       sync.Mutex
	bound    *pluginapi.Instance
	lease    *pluginapi.Lease
	access   *pluginapi.Access
	status   string
	message  string
	born     time.Time
	restarts int
	stops    int                     // stops that wait or are under way
	abort    context.CancelCauseFunc // ends the start that is under way
	hurry    context.CancelFunc      // takes the grace from the stop that is under way
	vigil    *vigil
}

// vigil is the supervision of a service that was started.
type vigil struct {
	cancel context.CancelFunc
	done   chan struct{}
	over   bool // it has given up; keeper.mu guards it
}

func newKeeper(what string, r remote, restart RestartPolicy) *keeper {
	return &keeper{
		what: what, remote: r, restart: withRestartDefaults(restart), failed: make(chan error, 1), turn: make(chan struct{}, 1),
		startFor: DefaultStartTimeout, stopFor: DefaultGracefulTimeout, interval: DefaultHealthInterval,
		lookFor: DefaultHealthTimeout, failures: DefaultReadyFailures, status: pluginapi.StatusStopped,
	}
}

// bind remembers whose the service is, and returns its mark.
func (k *keeper) bind(in pluginapi.Instance) (pluginapi.Fence, error) {
	err := errors.Join(pluginapi.CheckName("platform", in.Platform),
		pluginapi.CheckName("node", in.Node), pluginapi.CheckName("app", in.App))
	if err != nil {
		return pluginapi.Fence{}, err
	}
	if name := instanceName(in); os.Getenv(envInstance) == name {
		return pluginapi.Fence{}, fmt.Errorf("%w: this host was started by instance %s itself", pluginapi.ErrInvalid, name)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.vigil != nil {
		return pluginapi.Fence{}, fmt.Errorf("%w: the service runs already", pluginapi.ErrInvalid)
	}
	k.bound = &in
	return pluginapi.Fence{Kind: pluginapi.FenceEnv, Name: envInstance + "=" + instanceName(in)}, nil
}

func (k *keeper) start(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	select {
	case k.turn <- struct{}{}:
		defer func() { <-k.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if k.resume(ctx) {
		return nil
	}
	k.endVigil()
	return k.begin(ctx)
}

// begin starts the service and its supervision. After an error nothing of the
// service runs, or the error says so.
func (k *keeper) begin(ctx context.Context) error {
	ctx, done := k.abortable(ctx)
	defer done()
	k.note(pluginapi.StatusStarting, "")
	k.drainFailed()
	err := k.leads() // it kills what is there: not in another leader's time
	if err == nil {
		if err = k.bringUp(ctx); err != nil {
			err = errors.Join(err, k.force())
		}
	}
	if err != nil {
		k.note(pluginapi.StatusStopped, "start: "+err.Error())
		return err
	}
	k.beginVigil()
	return nil
}

// resume says whether the service is being supervised, and gives it the lease of
// the context.
func (k *keeper) resume(ctx context.Context) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	lease, ok := pluginapi.LeaseFrom(ctx)
	running := k.vigil != nil && !k.vigil.over
	if !running {
		k.lease, k.access, k.restarts = nil, nil, 0
		if access, ok := pluginapi.AccessFrom(ctx); ok {
			k.access = &access
		}
	}
	if ok {
		k.lease = &lease
	}
	return running
}

// abortable bounds a start and lets a Stop end it.
func (k *keeper) abortable(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, abort := context.WithCancelCause(ctx)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.abort = abort
	if k.stops > 0 {
		abort(errStopped)
	}
	return ctx, func() {
		abort(nil)
		k.mu.Lock()
		defer k.mu.Unlock()
		k.abort = nil
	}
}

// bringUp starts the service under a lease that holds, before and after.
func (k *keeper) bringUp(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := k.leads(); err != nil {
		return err
	}
	slow := fmt.Errorf("%w: not ready after %v", pluginapi.ErrTimeout, k.startFor)
	ctx, cancel := context.WithTimeoutCause(ctx, k.startFor, slow)
	defer cancel()
	if err := k.remote.bringUp(ctx, k.tell()); err != nil {
		return err
	}
	if err := k.leads(); err != nil { // this process may have stood still meanwhile
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	k.note(pluginapi.StatusRunning, "")
	return nil
}

// force ends the service without grace.
func (k *keeper) force() error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := k.remote.bringDown(ctx); err != nil {
		return fmt.Errorf("end %s: %w", k.what, err)
	}
	return nil
}

func (k *keeper) stop(ctx context.Context) error {
	defer k.announceStop()()
	select {
	case k.turn <- struct{}{}:
	case <-ctx.Done():
		k.hurryUp()
		k.turn <- struct{}{} // whoever has it is bounded now
	}
	defer func() { <-k.turn }()
	k.endVigil()
	return k.end(ctx)
}

// end ends the service, gracefully at first.
func (k *keeper) end(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, k.stopFor)
	defer cancel()
	k.setHurry(cancel)
	defer k.setHurry(nil)
	err := k.remote.bringDown(ctx)
	k.drainFailed()
	if err != nil {
		k.note(pluginapi.StatusUnhealthy, err.Error())
		return err
	}
	k.note(pluginapi.StatusStopped, "")
	return nil
}

// announceStop ends a start that is under way and keeps the ones that wait from
// beginning: they came before this stop.
func (k *keeper) announceStop() (done func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stops++
	if k.abort != nil {
		k.abort(errStopped)
	}
	return func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.stops--
	}
}

func (k *keeper) setHurry(fn context.CancelFunc) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.hurry = fn
}

func (k *keeper) hurryUp() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.hurry != nil {
		k.hurry()
	}
}

// again ends the running service and starts it.
func (k *keeper) again(ctx context.Context) error {
	select {
	case k.turn <- struct{}{}:
		defer func() { <-k.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if !k.endVigil() {
		return errNotRunning
	}
	if err := k.end(ctx); err != nil {
		return err
	}
	k.count()
	return k.begin(ctx)
}

func (k *keeper) tell() told {
	k.mu.Lock()
	defer k.mu.Unlock()
	return told{toldInstance(k.bound, k.lease), toldAccess(k.access)}
}
