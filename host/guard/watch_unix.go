//go:build unix

package guard

import (
	"context"
	"io"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ozanturksever/go-cluster/host/clock"
)

// Exit codes of the watchman.
const (
	exitOK     = 0
	exitFailed = 1 // the session could not be given back: it ends by its TTL
	exitUnfit  = 2 // nothing was watched: no pipe, no valid hello
)

// watchman is the whole state of the process. One loop owns it; a job works
// beside the loop, so that the pipe and the host are watched at all times.
type watchman struct {
	log   *slog.Logger
	dial  Dial
	in    int // fd of the pipe; -1 when it is not read any more
	out   int
	host  int // pidfd; -1 when there is none
	alarm alarm
	wake  *waker
	dec   decoder
	buf   []byte

	init    *Init
	link    *link
	fences  fenceSet
	lease   Lease // the last one taken; incarnation 0 is none
	actAt   int64 // when to act on it, in ns of the clock; 0 is never
	armed   bool  // the lease is watched; false from the deadline's job to a newer incarnation
	planned bool  // the host gave the session of the lease back itself
	next    *Lease
	nextAt  int64
	waiting []uint64 // fences that are not answered yet

	gone string // why the host is no more; "" while it lives
	job  *job
}

// watch is the watchman's life: in and out are the two pipes. It returns the
// exit code; with the context's end it stops at once, without acting.
func watch(ctx context.Context, in, out *os.File, dial Dial, log *slog.Logger) int {
	w := &watchman{log: log, dial: dial, host: -1, buf: make([]byte, 64<<10)}
	var err error
	if w.in, err = nonblockFD(in); err == nil {
		w.out, err = nonblockFD(out)
	}
	if err == nil {
		w.wake, err = newWaker()
	}
	if err == nil {
		w.alarm, err = newAlarm()
	}
	if err != nil {
		log.Error("guard cannot start", "err", err)
		return exitUnfit
	}
	defer w.close()
	defer context.AfterFunc(ctx, w.wake.wake)()
	code := w.loop(ctx)
	in.Close() // also keeps both files open until here
	out.Close()
	return code
}

func (w *watchman) close() {
	if w.link != nil {
		w.link.close()
	}
	if w.host >= 0 {
		_ = unix.Close(w.host)
	}
	w.alarm.close()
	w.wake.close()
}

func (w *watchman) loop(ctx context.Context) int {
	for {
		w.wait()
		if ctx.Err() != nil {
			if w.job != nil {
				<-w.job.done
			}
			return exitOK
		}
		w.read()
		w.lookAtHost()
		if w.init == nil && w.gone != "" {
			return exitUnfit
		}
		if over, code := w.step(ctx); over {
			return code
		}
	}
}

// wait returns when there may be something to do.
func (w *watchman) wait() {
	fds := []unix.PollFd{
		{Fd: int32(w.in), Events: unix.POLLIN},
		{Fd: int32(w.host), Events: unix.POLLIN},
		{Fd: int32(w.wake.r), Events: unix.POLLIN},
		{Fd: int32(w.alarm.fd), Events: unix.POLLIN},
	}
	if _, err := unix.Poll(fds, w.alarm.timeout()); err != nil && err != unix.EINTR {
		w.log.Error("guard cannot poll", "err", err)
		_ = sleep(context.Background(), 10*time.Millisecond) // go on by time alone
	}
	w.wake.drain()
}

// read takes what is in the pipe. All of it is read before anything is decided:
// the last word of a dead host counts, and a renewal that lay in the pipe while
// the watchman itself stood still moves the deadline.
func (w *watchman) read() {
	const atOnce = 4 << 20 // a host that writes without end does not hold up the rest
	for total := 0; w.in >= 0 && total < atOnce; {
		n, err := unix.Read(w.in, w.buf)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return
		case err != nil || n == 0:
			if err == nil {
				err = io.EOF
			}
			w.in = -1
			w.leave(reasonClosed, err)
			return
		}
		total += n
		w.dec.feed(w.buf[:n])
		w.take()
	}
}

// leave notes that the host is no more, or cannot be understood any more.
func (w *watchman) leave(reason string, err error) {
	if w.gone == "" {
		w.gone = reason
		w.log.Info("guard has lost the host", "reason", reason, "err", err)
	}
}

// lookAtHost asks whether the host's process has ended.
func (w *watchman) lookAtHost() {
	if w.host < 0 || !exited(w.host) {
		return
	}
	_ = unix.Close(w.host)
	w.host = -1
	w.read() // what it wrote right before
	w.leave(reasonExited, nil)
}

// step decides what to do now; over is the end of the watchman.
func (w *watchman) step(ctx context.Context) (over bool, code int) {
	defer w.setAlarm()
	defer w.answer()
	if w.job != nil && !w.job.over() {
		// A job is never cut short in its killing. After that it makes room for a
		// newer incarnation, or for the last job of a host that has died since.
		if w.job.killed.Load() && (w.next != nil || w.gone != "" && !w.job.final) {
			w.job.cancel()
		}
		return false, 0
	}
	if w.job != nil && w.job.final && w.next == nil {
		if w.job.failed.Load() {
			return true, exitFailed
		}
		return true, exitOK
	}
	w.job = nil
	if w.due() && w.gone == "" {
		w.fire(ctx, reasonDeadline, false) // also when a newer incarnation is there: it comes to the old one's things
		return false, 0
	}
	if w.next != nil {
		w.arm()
	}
	if w.gone != "" {
		w.fire(ctx, w.gone, true)
	}
	return false, 0
}

func (w *watchman) due() bool {
	return w.armed && w.actAt != 0 && clock.Now().UnixNano() >= w.actAt
}

func (w *watchman) setAlarm() {
	if w.armed && w.job == nil {
		w.alarm.set(w.actAt)
		return
	}
	w.alarm.set(0)
}

// fire starts a job.
func (w *watchman) fire(ctx context.Context, reason string, final bool) {
	w.armed = false
	if !w.planned {
		w.send(message{Kind: kindFired, Fired: &Fired{Reason: reason, Inc: w.lease.Inc}})
	}
	after, cancel := context.WithCancel(ctx)
	w.job = &job{
		log: w.log, reason: reason, lease: w.lease, fences: &w.fences, link: w.link,
		final: final, give: !w.planned && w.lease.Inc != 0, wake: w.wake.wake, cancel: cancel, done: make(chan struct{}),
		strikes: make(chan struct{}, 1),
	}
	go w.job.run(ctx, after)
}
