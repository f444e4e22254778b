//go:build unix

package guard

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"golang.org/x/sys/unix"

	"github.com/ozanturksever/go-cluster/host/clock"
)

// take handles the messages that are whole. One that makes no sense is the end:
// a host that cannot be understood cannot be trusted to renew either.
func (w *watchman) take() {
	for {
		m, ok, err := w.dec.next()
		if err == nil && ok {
			err = w.handle(m)
		}
		if err != nil {
			w.in = -1
			w.leave(reasonProtocol, err)
			return
		}
		if !ok {
			return
		}
	}
}

func (w *watchman) handle(m message) error {
	if (w.init == nil) != (m.Kind == kindHello) {
		return fmt.Errorf("guard message %.20q out of order", m.Kind)
	}
	switch m.Kind {
	case kindHello:
		return w.hello(m)
	case kindFences:
		w.setFences(m)
		return nil
	case kindLease:
		return w.renew(m.Lease)
	case kindReleased:
		w.released()
		return nil
	}
	return fmt.Errorf("guard message of unknown kind %.20q", m.Kind)
}

// hello begins the watching, and says why not if it cannot.
func (w *watchman) hello(m message) error {
	err := errors.New("hello without init")
	if m.Init != nil {
		err = m.Init.check()
	}
	if m.Version != version {
		err = fmt.Errorf("guard speaks protocol %d, the host %d: use the gchost binary of the host's release", version, m.Version)
	}
	if err != nil {
		w.send(message{Kind: kindHello, Version: version, Error: err.Error()})
		return err
	}
	w.init = m.Init
	w.host, err = openProcess(m.Init.HostPID)
	switch {
	case errors.Is(err, unix.ESRCH):
		w.leave(reasonExited, err)
	case err != nil:
		w.log.Warn("guard has no handle on the host's process and goes by the pipe alone", "err", err)
	}
	w.log = w.log.With("platform", w.init.Platform, "node", w.init.Node, "host", w.init.HostPID)
	w.link = newLink(context.Background(), w.dial, *w.init, w.log)
	debug.FreeOSMemory() // what the start took is not needed again
	w.send(message{Kind: kindHello, Version: version})
	return nil
}

// setFences takes the whole set, or refuses it when a name in it is not to be
// killed. A set that comes while the watchman acts, or is about to, is added:
// what is in the last one may be alive.
func (w *watchman) setFences(m message) {
	for _, f := range m.Fences {
		if err := checkOwn(f, *w.init); err != nil {
			w.send(message{Kind: kindAck, ID: m.ID, Error: err.Error()})
			return
		}
	}
	w.fences.replace(m.Fences, w.job != nil || w.fired() || w.due())
	w.waiting = append(w.waiting, m.ID)
}

// answer acknowledges fences, when a backend may be started: not while the
// watchman kills for an incarnation that has ended.
func (w *watchman) answer() {
	if w.next != nil {
		return // about to be armed
	}
	for _, id := range w.waiting {
		m := message{Kind: kindAck, ID: id}
		if w.fired() {
			m.Error, m.Ended = ErrFired.Error(), true
		}
		w.send(m)
	}
	w.waiting = nil
}

// fired says whether the watchman has acted on the last lease it took.
func (w *watchman) fired() bool { return w.lease.Inc != 0 && !w.armed && !w.planned }

// renew takes a lease: of the incarnation that is watched, or of a newer one. An
// incarnation that is over stays over.
func (w *watchman) renew(l *Lease) error {
	if l == nil {
		return errors.New("guard message lease without a lease")
	}
	if err := l.check(w.init.Node); err != nil {
		return err
	}
	var at int64
	if sharedClock {
		at = l.actAt(clock.Now())
	}
	switch {
	case l.Inc == w.lease.Inc && w.armed && w.next == nil:
		w.lease, w.actAt = *l, at
	case w.next != nil && l.Inc >= w.next.Inc, w.next == nil && l.Inc > w.lease.Inc:
		w.next, w.nextAt = l, at
	}
	return nil
}

// arm begins to watch a newer incarnation. All that the older ones started is
// dead.
func (w *watchman) arm() {
	w.lease, w.actAt = *w.next, w.nextAt
	w.next, w.nextAt = nil, 0
	w.armed, w.planned = true, false
	w.fences.armed()
}

// released is the planned end: nothing to give back, nothing to wait for.
func (w *watchman) released() {
	if w.next != nil {
		w.lease = *w.next // it never came to be watched, and must not be any more
		w.next, w.nextAt = nil, 0
	}
	w.armed, w.planned = false, true
}

// send writes to the host and does not wait for it. Whoever does not read, or
// is dead, has no use for it: what was missed is sent again to the next watchman.
func (w *watchman) send(m message) {
	b, err := encode(m)
	if err == nil {
		_, err = unix.Write(w.out, b)
	}
	if err != nil {
		w.log.Debug("guard could not tell the host", "kind", m.Kind, "err", err)
	}
}
