package command

import (
	"errors"
	"fmt"
	"os/exec"

	"golang.org/x/sys/unix"
)

// finish waits for a command and kills what it leaves in its group. It does so
// before the command is waited for: until then its number, which is also its
// group's, is nobody else's. What is killed no longer holds the pipes.
func finish(cmd *exec.Cmd) error {
	err := unix.EINTR
	for errors.Is(err, unix.EINTR) {
		err = waitid(cmd.Process.Pid)
	}
	killGroup(cmd.Process)
	if waited := cmd.Wait(); waited != nil {
		return waited
	}
	if err != 0 {
		return fmt.Errorf("wait for command: %w", err)
	}
	return nil
}

func waitid(pid int) unix.Errno {
	var no unix.Errno
	errors.As(unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil), &no)
	return no
}
