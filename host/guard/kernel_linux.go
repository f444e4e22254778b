package guard

import (
	"fmt"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// sharedClock: two processes read the same clock, so a deadline means the same
// to both.
const sharedClock = true

// alarm is a timer that counts suspend: after a resume it goes off at once.
type alarm struct{ fd int }

func newAlarm() (alarm, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_BOOTTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return alarm{-1}, fmt.Errorf("make timer: %w", err)
	}
	return alarm{fd}, nil
}

// set sets the time of package clock, in ns, at which the alarm goes off; 0 is
// never. It also silences one that has gone off.
func (a *alarm) set(at int64) {
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(at)}
	if err := unix.TimerfdSettime(a.fd, unix.TFD_TIMER_ABSTIME, &spec, nil); err != nil {
		panic("guard: set timer: " + err.Error()) // cannot be; the host starts another watchman
	}
}

// timeout is the timeout of a poll, in ms; -1 because the alarm is polled itself.
func (a *alarm) timeout() int { return -1 }

func (a *alarm) close() {
	if a.fd >= 0 {
		_ = unix.Close(a.fd)
	}
}

// openProcess returns a handle that polls readable when the process has ended.
func openProcess(pid int) (int, error) { return unix.PidfdOpen(pid, 0) }

func exited(pidfd int) bool { return dead(pidfd) }

// takePriority makes this process one of the last to be killed for memory and one of
// the first to get a processor. All of it is a wish: without the rights for it
// the watchman works as well, only later under pressure. Locking its memory was
// tried and made it slower.
func takePriority() {
	_ = writeFile("/proc/self/oom_score_adj", "-1000")
	_ = writeFile("/proc/self/autogroup", "-20") // a session of its own is a group of its own
	tasks, _ := filepath.Glob("/proc/self/task/*")
	for _, t := range tasks { // priority is per thread; later ones inherit it
		if tid, err := strconv.Atoi(filepath.Base(t)); err == nil {
			_ = unix.Setpriority(unix.PRIO_PROCESS, tid, -20)
		}
	}
}
