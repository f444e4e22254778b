package backend

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

const errNotRunning fault = "the service does not run"

// Health tells the state of the service as the supervisor knows it; it asks
// nobody and does not wait. The message has the last trouble, and how many
// lines of output were dropped since Start. Uptime is the age of the main
// process.
func (p *ProcessBackend) Health(context.Context) (Health, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := Health{Status: p.status}
	if p.main != nil {
		h.Uptime = time.Since(p.born)
	}
	var words []string
	if p.message != "" {
		words = append(words, p.message)
	}
	if p.out != nil {
		if s := p.out.losses(); s != "" {
			words = append(words, s)
		}
	}
	h.Message = strings.Join(words, "; ")
	return h, nil
}

// PID is the id of the main process; 0 when there is none.
func (p *ProcessBackend) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.main == nil {
		return 0
	}
	return p.main.Pid
}

// RestartCount is how often the service was restarted since Start, by the
// supervisor or by Restart.
func (p *ProcessBackend) RestartCount() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(0, p.launches-1)
}

// ExitCode is the exit code of the main process that ended last since Start;
// false when none has. As in a shell it is 128+n when signal n ended it.
func (p *ProcessBackend) ExitCode() (int, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.code, p.exited
}

// Signal sends a signal to the main process.
//
// # Errors
//
// The service does not run, or the system refuses the signal.
func (p *ProcessBackend) Signal(sig os.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.main == nil {
		return fmt.Errorf("signal process %s: %w", p.cfg.Command, errNotRunning)
	}
	if err := p.main.Signal(sig); err != nil {
		return fmt.Errorf("signal process %s: %w", p.cfg.Command, err)
	}
	return nil
}

// Restart ends the running service, gracefully, and starts it again; it returns
// when the service is ready. It does not use up the budget of restarts. When
// the context ends first, Restart returns and the restart goes on. A Stop wins
// over it.
//
// # Errors
//
// The service does not run, was stopped meanwhile, or did not come up; in the
// last case the supervisor goes on trying.
func (p *ProcessBackend) Restart(ctx context.Context) error {
	if err := p.restart(ctx); err != nil {
		return fmt.Errorf("restart process %s: %w", p.cfg.Command, err)
	}
	return nil
}

func (p *ProcessBackend) restart(ctx context.Context) error {
	p.mu.Lock()
	r := p.run
	p.mu.Unlock()
	if r == nil {
		return errNotRunning
	}
	reply := make(chan error, 1)
	select {
	case r.restart <- reply:
	case <-r.done:
		return errNotRunning
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case err := <-reply:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// environ is the environment of the next child.
func (r *run) environ() []string {
	r.p.mu.Lock()
	defer r.p.mu.Unlock()
	return environ(r.cfg.Env, r.p.bound, r.p.access, r.p.lease, r.mark)
}

func (p *ProcessBackend) currentLease() *pluginapi.Lease {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lease
}

// The supervisor writes down what it does by the methods below.

func (p *ProcessBackend) note(status, message string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status, p.message = status, message
}

func (p *ProcessBackend) noteLaunch(main *os.Process) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.main, p.born = main, time.Now()
	p.launches++
}

func (p *ProcessBackend) noteExit(code int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.main, p.code, p.exited = nil, code, true
}

// noteEnd is the last word of a run. One that left something behind stays, for
// the next Stop or Start to try again.
func (p *ProcessBackend) noteEnd(r *run, failed error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status, p.message = pluginapi.StatusStopped, ""
	if r.startErr != nil {
		p.message = "start: " + r.startErr.Error()
	}
	if r.dirty == nil {
		p.run = nil
	} else {
		p.status, p.message = pluginapi.StatusUnhealthy, r.dirty.Error()
	}
	if failed == nil {
		return
	}
	failed = errors.Join(failed, r.dirty)
	p.status, p.message = pluginapi.StatusUnhealthy, failed.Error()
	p.failed <- failed // there is room: the start of this run has emptied it
}
