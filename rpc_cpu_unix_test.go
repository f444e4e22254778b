//go:build unix

package cluster_test

import (
	"syscall"
	"time"
)

// cpuTime is the time that the process has computed, here and in the kernel.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
