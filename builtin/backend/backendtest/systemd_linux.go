package backendtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// StartSystemd starts a systemd by a script, testenv/systemd.sh, and returns its
// folder, which the script describes. boxed is in its /srv. stop ends it; call it
// also after an error.
func StartSystemd(script string) (dir string, stop func() error, err error) {
	if dir, err = os.MkdirTemp("", "gcsd"); err != nil {
		return "", func() error { return nil }, err
	}
	do := func(verb string) error {
		cmd := exec.Command(script, verb, dir)
		cmd.WaitDelay = time.Second
		if text, err := cmd.CombinedOutput(); err != nil && !errors.Is(err, exec.ErrWaitDelay) {
			return fmt.Errorf("%s systemd: %w: %s", verb, err, text)
		}
		return nil
	}
	stop = func() error { return do("stop") }
	if err := do("boot"); err != nil {
		return "", stop, err
	}
	_, err = BuildBoxed(filepath.Join(dir, "share"))
	return dir, stop, errors.Join(err, os.MkdirAll(filepath.Join(dir, "run/systemd/system"), 0o755))
}
