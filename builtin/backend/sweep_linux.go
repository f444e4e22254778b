package backend

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// sweep kills all processes that match until there are none. What is born while
// it looks has the mark of its parent and is found in the next round.
func sweep(deadline time.Time, match func(pid int) bool) error {
	for {
		found, err := killMatching(match)
		if err != nil || found == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d processes still run %v after SIGKILL", found, killTimeout)
		}
		<-time.After(stepTime)
	}
}

func killMatching(match func(pid int) bool) (int, error) {
	proc, err := os.Open("/proc")
	if err != nil {
		return 0, fmt.Errorf("list processes: %w", err)
	}
	names, err := proc.Readdirnames(-1)
	if err := errors.Join(err, proc.Close()); err != nil {
		return 0, fmt.Errorf("list processes: %w", err)
	}
	self, found := os.Getpid(), 0
	var dying []unix.PollFd
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil || pid == self || !match(pid) {
			continue
		}
		fd, matched := killProcess(pid, match)
		if matched {
			found++
		}
		if fd >= 0 {
			dying = append(dying, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
		}
	}
	awaitDeath(dying)
	return found, nil
}

// killProcess kills a process by its pidfd, so that it cannot be another one
// with a reused id. It returns false when there is none any more. One that may
// not be killed counts too: sweep must not say that it is gone. The pidfd, or
// -1, is the caller's to close.
func killProcess(pid int, match func(int) bool) (fd int, found bool) {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return -1, false
	}
	if err != nil { // a sandbox that forbids pidfds
		return -1, unix.Kill(pid, unix.SIGKILL) != unix.ESRCH
	}
	if !match(pid) {
		return fd, false
	}
	return fd, unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) != unix.ESRCH
}

// awaitDeath waits a moment for each process, and closes the pidfds.
func awaitDeath(dying []unix.PollFd) {
	for i := range dying {
		for {
			_, err := unix.Poll(dying[i:i+1], int(killTimeout.Milliseconds())/20)
			if err != unix.EINTR {
				break
			}
		}
		unix.Close(int(dying[i].Fd))
	}
}

// marked matches the living processes that were started with KEY=VALUE in
// their environment. A dead one that nobody has reaped has no environment.
func marked(mark string) func(pid int) bool {
	first, later := []byte(mark+"\x00"), []byte("\x00"+mark+"\x00")
	return func(pid int) bool {
		env, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
		if err != nil {
			return false // gone, or not ours to read: then it is not ours to kill either
		}
		return bytes.HasPrefix(env, first) || bytes.Contains(env, later)
	}
}

// groupOf returns the process group of a living process; 0 for a dead one.
func groupOf(pid int) int {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	// pid (name) state ppid pgrp ...; the name may have anything in it.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 3 || bytes.ContainsAny(fields[0], "ZX") {
		return 0
	}
	group, err := strconv.Atoi(string(fields[2]))
	if err != nil {
		return 0
	}
	return group
}

// groupLives says whether a process group has a living member. Dead ones that
// nobody has reaped count for the kernel, but not here.
func groupLives(pgid int) bool {
	if errors.Is(unix.Kill(-pgid, 0), unix.ESRCH) {
		return false
	}
	proc, err := os.Open("/proc")
	if err != nil {
		return true
	}
	defer proc.Close()
	names, err := proc.Readdirnames(-1)
	for _, name := range names {
		if pid, errPid := strconv.Atoi(name); errPid == nil && groupOf(pid) == pgid {
			return true
		}
	}
	return err != nil
}
