//go:build !linux

package command

import "os/exec"

// finish waits for a command and kills what it leaves in its group. Here the end
// of a command cannot be told without giving its number back; in the moment
// between, a new group could have it.
func finish(cmd *exec.Cmd) error {
	err := cmd.Wait()
	killGroup(cmd.Process)
	return err
}
