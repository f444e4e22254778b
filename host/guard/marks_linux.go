package guard

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ozanturksever/go-cluster/host/clock"
)

const (
	// freshFor is how long it is remembered that a process has no mark: shorter
	// than the kernel takes to give its pid to another one.
	freshFor = 250 * time.Millisecond
	// doubtFor bounds how long a process that cannot be judged holds up the end: a
	// stranger that hangs in its exit must not stop a failover. It must be less
	// than killTry, or no doubt would ever be given up.
	doubtFor = 500 * time.Millisecond
)

// markTarget is every process that was started with one of some marks in its
// environment.
type markTarget struct {
	look    looker
	list    func() ([]int, error) // of the processes there are
	struck  map[int]int           // pid -> pidfd of what was killed and is not yet dead
	doubts  map[int]time.Time     // pid -> since when it cannot be judged
	clean   map[int]bool          // pids without a mark
	cleaned time.Time             // when clean was begun
}

func newMarkTarget(marks []string) *markTarget {
	t := &markTarget{list: allPids, struck: map[int]int{}, doubts: map[int]time.Time{}, clean: map[int]bool{}, cleaned: clock.Now()}
	for _, m := range marks {
		t.look.marks = append(t.look.marks, []byte("\x00"+m+"\x00"))
	}
	return t
}

// strike kills all it finds. Nothing is left when each process of a listing was
// judged to have no mark, and all that was killed has died. A process that was
// gone when its turn came may have forked after the listing, so another one is
// needed; only what is new is looked at then, which closes the gap soon.
func (t *markTarget) strike() (bool, error) {
	const chase = 10 // scans without a pause, for what forks and ends all the time
	now := clock.Now()
	if now.Sub(t.cleaned) > freshFor {
		clear(t.clean)
		t.cleaned = now
	}
	var seen scan
	for range chase {
		var err error
		if seen, err = t.scan(now); err != nil {
			return false, err
		}
		if seen.moving == 0 {
			break
		}
	}
	t.reap()
	return seen == scan{} && len(t.struck) == 0, nil
}

// scan counts what a listing left open.
type scan struct {
	moving  int // killed or vanished just now: there may be children
	waiting int // cannot be judged yet, or killed before and dying
}

func (t *markTarget) scan(now time.Time) (scan, error) {
	pids, err := t.list()
	if err != nil {
		return scan{}, err
	}
	var s scan
	for _, pid := range pids {
		if pid == os.Getpid() || t.clean[pid] {
			continue
		}
		switch t.judge(pid, now) {
		case unmarked:
			t.clean[pid] = true
		case unsure:
			s.waiting++
		case vanished:
			s.moving++
		case marked:
			killed, e := t.kill(pid)
			if e != nil {
				err = e
			}
			if killed {
				s.moving++
			} else {
				s.waiting++
			}
		}
	}
	return s, err
}

// judge looks at a process and gives up doubting in time.
func (t *markTarget) judge(pid int, now time.Time) sight {
	s := t.look.at(pid)
	since, doubted := t.doubts[pid]
	switch {
	case s == ended && doubted, s == unsure && doubted && now.Sub(since) > doubtFor:
		return unmarked
	case s == ended, s == unsure && !doubted:
		t.doubts[pid] = now
		return unsure
	}
	return s
}

// allPids lists the processes, in the order of their pids: a child forked during
// the listing comes after its parent.
func allPids() ([]int, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var pids []int
	for _, n := range names {
		if pid, err := strconv.Atoi(n); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// kill kills the process by a handle, after a second look: the pid may have
// become another process since the first.
func (t *markTarget) kill(pid int) (killed bool, err error) {
	if fd, ok := t.struck[pid]; ok {
		if !dead(fd) {
			return false, nil // dying
		}
		_ = unix.Close(fd)
		delete(t.struck, pid)
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err == unix.ESRCH {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("open process %d: %w", pid, err)
	}
	if t.look.at(pid) != marked {
		return true, unix.Close(fd) // it is another one, or it is ending
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && err != unix.ESRCH {
		_ = unix.Close(fd)
		return false, fmt.Errorf("kill process %d: %w", pid, err)
	}
	t.struck[pid] = fd
	t.doubts[pid] = clock.Now() // what it forked is in the next listing: its end leaves no question
	return true, nil
}

// reap forgets what has died.
func (t *markTarget) reap() {
	for pid, fd := range t.struck {
		if dead(fd) {
			_ = unix.Close(fd)
			delete(t.struck, pid)
		}
	}
}

// dead says whether the process of a pidfd has ended, with all its threads.
func dead(pidfd int) bool {
	p := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	n, err := unix.Poll(p, 0)
	return err == nil && n == 1
}

func (t *markTarget) close() {
	for _, fd := range t.struck {
		_ = unix.Close(fd)
	}
	clear(t.struck)
}

func (t *markTarget) left() string {
	var pids []int
	for pid := range t.struck {
		pids = append(pids, pid)
	}
	var marks []string
	for _, m := range t.look.marks {
		marks = append(marks, strings.Trim(string(m), "\x00"))
	}
	return fmt.Sprintf("%s (%s)", strings.Join(marks, ", "), pidList(pids))
}
