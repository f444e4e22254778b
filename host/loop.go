package host

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/ozanturksever/go-cluster/host/core"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// tickFloor is the shortest time between two ticks.
const tickFloor = time.Millisecond

// loop tells the core what happened, in order, and begins what it wants. It
// ends when the core has finished, or cannot go on. stop and failed begin the
// shutdown; if that takes too long, it is hurried.
func (n *Node) loop(stop, failed <-chan struct{}) error {
	n.in.putFirst(core.Tick{Wall: time.Now()}) // the core must know the time before anything else
	timer, late := time.NewTimer(0), time.NewTimer(time.Hour)
	late.Stop()
	defer timer.Stop()
	defer late.Stop()
	for {
		var inputs []core.Input
		select {
		case <-n.in.signal:
		case <-timer.C:
			inputs = append(inputs, core.Tick{Wall: time.Now()})
		case <-stop:
			stop = nil
			late.Reset(n.cfg.ShutdownTimeout)
			inputs = append(inputs, core.Shutdown{})
		case <-failed:
			failed = nil
			late.Reset(n.cfg.ShutdownTimeout)
			inputs = append(inputs, core.Shutdown{})
		case <-late.C:
			inputs = append(inputs, core.Hurry{})
		}
		inputs = append(inputs, n.in.take()...)
		done, err := n.turn(inputs)
		if done || err != nil {
			return err
		}
		wait := time.Hour
		if next := n.core.Next(); !next.IsZero() {
			wait = max(tickFloor, next.Sub(n.cfg.now()))
		}
		timer.Reset(wait)
	}
}

// turn takes a batch of inputs. The view is published before any effect
// begins, so that code which an effect starts sees why it was started.
func (n *Node) turn(inputs []core.Input) (done bool, err error) {
	var effects []core.Effect
	for _, in := range inputs {
		effects = append(effects, n.core.Step(n.cfg.now(), in)...)
	}
	n.publish()
	for _, e := range effects {
		switch e := e.(type) {
		case core.Finished:
			done = true
		case core.Fatal:
			return true, e.Err
		default:
			n.do(e)
		}
	}
	return done, nil
}

// publish stores the view and wakes those who watch it.
func (n *Node) publish() {
	v := n.core.View()
	if v == n.view.Load() {
		return
	}
	n.view.Store(v)
	if v.Session == "live" {
		select {
		case <-n.ready:
		default:
			close(n.ready)
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.tellLeaders(v)
	for ch := range n.watchers {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

// do begins an effect. None of them waits here.
func (n *Node) do(e core.Effect) {
	n.auditEffect(e)
	switch e := e.(type) {
	case core.Write:
		n.task(func() { n.write(e) })
	case core.Read:
		n.task(func() { n.read(e) })
	case core.Observe:
		n.startObserving(e)
	case core.Run:
		n.run(e)
	case core.Cancel:
		n.apps[e.App].cancelStep(e.ID)
	case core.Overrun:
		n.overrun(e)
	case core.Renewed:
		n.renewed(e)
	case core.SayGone:
		n.task(func() { n.say(n.names.Hint("gone"), []byte(e.Node)) })
	case core.SayDigest:
		n.task(func() { n.say(n.names.Digest(), e.Value) })
	case core.MemberJoined, core.MemberLeft, core.LeaderChanged, core.LabelsChanged:
		n.notify(e)
	case core.Note:
		n.note(e)
	case core.Reply:
		n.reply(e)
	default:
		panic(fmt.Sprintf("host: unknown effect %T", e))
	}
}

func (n *Node) task(fn func()) {
	n.tasks.Add(1)
	go func() {
		defer n.tasks.Done()
		fn()
	}()
}

func (n *Node) say(subject string, data []byte) {
	ctx, cancel := context.WithTimeout(n.life, n.writeTimeout())
	defer cancel()
	if err := n.Bus().Publish(ctx, subject, data); err != nil {
		n.log.Debug("publish", "subject", subject, "err", err)
	}
}

func (n *Node) reply(r core.Reply) {
	n.mu.Lock()
	ch, wish := n.replies[r.ID], n.wishes[r.ID]
	delete(n.wishes, r.ID)
	n.mu.Unlock()
	switch {
	case ch != nil:
		ch <- r // it has room for the one answer
	case wish != nil && r.Err == nil:
		wish(r)
	case r.Err != nil:
		n.log.Warn("a wish that nobody waits for", "err", r.Err)
	}
}

func (n *Node) note(e core.Note) {
	args := []any{"event", e.Kind}
	if e.App != "" {
		args = append(args, "app", e.App)
	}
	if e.Text != "" {
		args = append(args, "detail", e.Text)
	}
	level := slog.LevelInfo
	if e.Warn {
		level = slog.LevelWarn
	}
	n.log.Log(n.life, level, strings.ReplaceAll(e.Kind, "-", " "), args...)
}

// overrun ends the process: code of an app still runs although the lease is
// about to end, and nothing else can stop it.
func (n *Node) overrun(e core.Overrun) {
	n.log.Error("a step did not come back before the lease ends: this process ends itself", "app", e.App, "step", e.Step.String())
	if n.cfg.Overrun != nil {
		n.cfg.Overrun(e.App, e.Step.String())
		return
	}
	endProcess()
}

// failAll answers every wish that is still open.
func (n *Node) failAll() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for id, ch := range n.replies {
		ch <- core.Reply{ID: id, Err: pluginapi.ErrShuttingDown}
		delete(n.replies, id)
	}
}
