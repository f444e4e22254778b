package backend

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Health is the state of a backend's service.
type Health = pluginapi.BackendHealth

// Words of [ProcessBackend.Isolation].
const (
	IsolationCgroup       = "cgroup"
	IsolationProcessGroup = "process group"
)

// ProcessBackend runs a service as a child process of the host, restarts it
// when it ends by itself, and ends it with everything that it started. All its
// methods may be called at the same time.
//
// Its goroutines live from Start to Stop; a service that was started must be
// stopped, also when it has failed.
type ProcessBackend struct {
	cfg    ProcessConfig
	failed chan error

	// Who holds a turn may write the log or call the handler.
	logTurn, handlerTurn chan struct{}

	mu       sync.Mutex
	bound    *pluginapi.Instance
	folder   string // of the control group; "" without one
	why      string // why there is no control group
	run      *run   // nil when nothing runs
	out      *output
	lease    *pluginapi.Lease
	access   *pluginapi.Access
	status   string
	message  string
	main     *os.Process // nil when there is no main process
	born     time.Time
	code     int
	exited   bool
	launches int // since Start
}

var (
	_ pluginapi.Backend    = (*ProcessBackend)(nil)
	_ pluginapi.Supervised = (*ProcessBackend)(nil)
	_ pluginapi.Killable   = (*ProcessBackend)(nil)
)

// NewProcess returns a backend that runs a process. It starts nothing and never
// fails; [ProcessBackend.Validate] tells what is wrong with the configuration.
func NewProcess(cfg ProcessConfig) *ProcessBackend {
	return &ProcessBackend{
		cfg:         cfg.withDefaults(),
		failed:      make(chan error, 1),
		logTurn:     make(chan struct{}, 1),
		handlerTurn: make(chan struct{}, 1),
		status:      pluginapi.StatusStopped,
		why:         "the backend is not bound to an instance",
	}
}

// Bind says whose the service is, and returns what must be gone for it to be
// dead: its control group, where there is one, and the mark GCHOST_INSTANCE in
// the environment of its processes. Call it before the first Start.
//
// # Errors
//
// Names that [pluginapi.CheckName] refuses, a service that runs already, and a
// host that carries the mark itself because this very instance started it.
func (p *ProcessBackend) Bind(in pluginapi.Instance) ([]pluginapi.Fence, error) {
	err := errors.Join(pluginapi.CheckName("platform", in.Platform),
		pluginapi.CheckName("node", in.Node), pluginapi.CheckName("app", in.App))
	if err != nil {
		return nil, fmt.Errorf("bind process: %w", err)
	}
	name := instanceName(in)
	if os.Getenv(envInstance) == name {
		return nil, fmt.Errorf("bind process: %w: this host was started by instance %s itself", pluginapi.ErrInvalid, name)
	}
	base, errGroups := controlGroups()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.run != nil {
		return nil, fmt.Errorf("bind process: %w: the service runs already", pluginapi.ErrInvalid)
	}
	p.bound, p.folder, p.why = &in, "", ""
	mark := pluginapi.Fence{Kind: pluginapi.FenceEnv, Name: envInstance + "=" + name}
	if errGroups != nil {
		p.why = strings.ReplaceAll(errGroups.Error(), "\n", "; ")
		return []pluginapi.Fence{mark}, nil
	}
	p.folder = filepath.Join(base, name)
	return []pluginapi.Fence{{Kind: pluginapi.FenceCgroup, Name: p.folder}, mark}, nil
}

// Isolation says what holds the processes of the service: [IsolationCgroup], or
// [IsolationProcessGroup] when there are no control groups to be used or the
// backend is not bound. See [ProcessBackend.IsolationReason].
func (p *ProcessBackend) Isolation() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.folder != "" {
		return IsolationCgroup
	}
	return IsolationProcessGroup
}

// IsolationReason says why there is no control group; "" when there is one.
func (p *ProcessBackend) IsolationReason() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.why
}

// Start starts the service and returns when it is ready. Its context bounds the
// start only. What an earlier host left of the same instance is killed first.
// Start of a running service returns nil and takes over the lease of the
// context; Start of a failed one begins with a fresh budget of restarts.
//
// # Errors
//
// A configuration that is not valid; a program that cannot be run; a process
// that ends, or is not ready in time: with the reason and its last lines on
// stderr; [pluginapi.ErrNotLeader] when the lease in the context does not hold;
// a control group that was removed meanwhile: a guard has ended the instance.
// After an error nothing of the service runs.
func (p *ProcessBackend) Start(ctx context.Context) error {
	if err := p.start(ctx); err != nil {
		return fmt.Errorf("start process %s: %w", p.cfg.Command, err)
	}
	return nil
}

func (p *ProcessBackend) start(ctx context.Context) error {
	if err := p.Validate(); err != nil {
		return err
	}
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		r, mine := p.claimStart(ctx)
		if !r.stopping() {
			return p.awaitStart(ctx, r, mine)
		}
		select { // an earlier Stop comes first
		case <-r.done:
		case <-ctx.Done():
		}
	}
}

// claimStart returns the run that is there, or a new one that has just begun.
func (p *ProcessBackend) claimStart(ctx context.Context) (r *run, mine bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	lease, ok := pluginapi.LeaseFrom(ctx)
	if p.run != nil && !p.run.ended() {
		if ok && !p.run.stopping() {
			p.lease = &lease
		}
		return p.run, false
	}
	if p.run != nil { // it left something behind; the new one kills it first
		p.run.cage.leave()
	}
	p.lease, p.access = nil, nil
	if ok {
		p.lease = &lease
	}
	if access, ok := pluginapi.AccessFrom(ctx); ok {
		p.access = &access
	}
	p.drainFailed()
	p.status, p.message, p.launches, p.exited = pluginapi.StatusStarting, "", 0, false
	old := ""
	if p.bound != nil {
		old = envInstance + "=" + instanceName(*p.bound)
	}
	mark := envRun + "=" + rand.Text()
	r = newRun(p, newCage(p.folder, old, mark), mark)
	r.out = newOutput(p.cfg, p.logTurn, p.handlerTurn)
	p.run, p.out = r, r.out
	go r.live()
	return r, true
}

// awaitStart waits for the outcome of a start. The one who began it ends it
// when its context ends.
func (p *ProcessBackend) awaitStart(ctx context.Context, r *run, mine bool) error {
	select {
	case <-r.started:
		return r.startOutcome()
	case <-ctx.Done():
	}
	select {
	case <-r.started: // it was a close finish
		return r.startOutcome()
	default:
	}
	if !mine {
		return context.Cause(ctx)
	}
	r.askForce()
	r.askStop()
	<-r.done
	return errors.Join(context.Cause(ctx), r.startOutcome())
}

// Stop ends the service: SIGTERM, then, after GracefulTimeout or when the
// context ends, SIGKILL to everything that it started, also to what has left
// its process group. It returns nil only when nothing of it runs any more. It
// may be called in every state, also while a start or a restart is under way.
//
// # Errors
//
// Processes that do not die of SIGKILL within 10 s, because they hang in the
// kernel. Another Stop tries again.
func (p *ProcessBackend) Stop(ctx context.Context) error {
	r := p.claimStop()
	if r == nil {
		return nil
	}
	r.askStop()
	select {
	case <-r.done:
	case <-ctx.Done():
		r.askForce()
		<-r.done
	}
	p.settleStop()
	if r.dirty != nil {
		return fmt.Errorf("stop process %s: %w", p.cfg.Command, r.dirty)
	}
	return nil
}

// claimStop returns the run to be stopped, nil when there is none. A run that
// ended but left something behind is followed by one that only cleans up.
func (p *ProcessBackend) claimStop() *run {
	p.settleStop()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.run == nil || !p.run.ended() {
		return p.run
	}
	r := newRun(p, p.run.cage, p.run.mark)
	r.askStop()
	p.run = r
	go r.liveClean()
	return r
}

// settleStop forgets a failure, when nothing runs.
func (p *ProcessBackend) settleStop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.run == nil {
		p.drainFailed()
		p.status = pluginapi.StatusStopped
	}
}

func (p *ProcessBackend) drainFailed() {
	select {
	case <-p.failed:
	default:
	}
}

// Failed returns the channel on which one error arrives when the service was
// started and cannot be kept alive: too many restarts, a lease that no longer
// holds, a control group that a guard has removed. It is the same channel for
// the life of the backend; Start and Stop take an error back that nobody read.
func (p *ProcessBackend) Failed() <-chan error { return p.failed }
