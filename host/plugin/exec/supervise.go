package exec

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/ozanturksever/go-cluster/host/guard"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Pauses before a restart. A process that has lived for longLife begins with
// the first one again.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 30 * time.Second
	longLife   = 30 * time.Second
)

// begin starts the plugin and the one who watches it, and returns when it is
// ready or was given up.
func (i *Instance) begin(ctx context.Context) error {
	// The life of the plugin is not that of its start.
	life, cut := context.WithCancel(context.WithoutCancel(ctx))
	i.cut = cut
	stop := context.AfterFunc(ctx, cut)
	first := make(chan error, 1)
	go i.supervise(life, first)
	err := <-first
	if stop() && err == nil {
		return nil
	}
	if err == nil { // the context ended when all was done
		err = context.Cause(ctx)
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	i.end()
	return err
}

// end ends what begin began, without any grace.
func (i *Instance) end() {
	i.mu.Lock()
	i.closed = true
	i.mu.Unlock()
	i.cut()
	close(i.closing)
	<-i.ended
}

// supervise keeps a process running until the instance is closed. It tells the
// outcome of the first start and ends when that is an error.
//
// The kernel kills a process when the thread that started it ends: this
// goroutine keeps its thread for as long as there may be one.
func (i *Instance) supervise(life context.Context, first chan<- error) {
	runtime.LockOSThread()
	defer close(i.ended)
	p, err := i.launch(life)
	first <- err
	if err != nil {
		return
	}
	r := i.runtime
	for pause := r.firstPause; ; {
		if p != nil {
			born := time.Now()
			i.publish(nil, p, nil)
			i.watch(life, p)
			if time.Since(born) > longLife {
				pause = r.firstPause
			}
		}
		if !i.pause(pause) {
			return
		}
		pause = min(2*pause, r.lastPause)
		i.restarts.Add(1)
		if p, err = i.launch(life); err != nil {
			i.options.Logger.Error("a plugin cannot be restarted", "plugin", i.artifact.Name, "error", err, "next_in", pause)
			i.publish(nil, nil, err)
		}
	}
}

// pause waits before a restart. It returns false when there shall be none.
func (i *Instance) pause(d time.Duration) bool {
	select {
	case <-i.closing:
		return false
	default:
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-i.closing:
		return false
	}
}

// watch waits for the end of a process, or brings it about when the instance is
// closed, and ends what it left.
func (i *Instance) watch(life context.Context, p *process) {
	select {
	case <-i.closing:
		p.sentence(fmt.Errorf("%w: it was closed", pluginapi.ErrPluginDisabled))
		p.stop(life)
	case <-p.run.exited:
		why := i.obituary(p)
		i.publish(p, nil, why)
		i.options.Logger.Error("a plugin ended and is restarted", "plugin", i.artifact.Name, "reason", why)
	}
	i.publish(p, nil, nil)
	i.bury(p)
}

// obituary counts the end of a process and says why it came.
func (i *Instance) obituary(p *process) error {
	why := p.why()
	if errors.Is(why, pluginapi.ErrPluginLimit) {
		i.limits.Add(1)
	} else {
		i.crashes.Add(1)
	}
	return why
}

// bury ends all that a process, which has exited or must, has left: other
// processes, pipes, connections, goroutines, files.
func (i *Instance) bury(p *process) {
	p.run.kill()
	ctx, cancel := context.WithTimeout(context.Background(), killTimeout)
	defer cancel()
	if err := guardKill(ctx, i.Fences()); err != nil {
		i.options.Logger.Error("what a plugin started cannot be killed", "plugin", i.artifact.Name, "error", err)
	}
	p.run.finish()
	p.client.Kill() // the process is dead: this only tidies up
	p.mu.Lock()
	p.buried = true
	p.mu.Unlock()
	p.calls.Wait()
	if err := p.run.cage.close(); err != nil {
		i.options.Logger.Error("a plugin's control group is left", "plugin", i.artifact.Name, "error", err)
	}
	i.log.flush()
}

// guardKill kills fences with the code that the guard has for it.
func guardKill(ctx context.Context, fences []pluginapi.Fence) error { return guard.Kill(ctx, fences) }
