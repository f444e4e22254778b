package backend

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// sweepMark kills every process with KEY=VALUE in its environment. Who is not
// root cannot see the environment of others' processes, and proves nothing.
func sweepMark(mark string) error {
	if os.Geteuid() != 0 {
		return errors.New("find processes by their mark: this takes root")
	}
	return sweep(time.Now().Add(killTimeout), marked(mark))
}

// unifiedMount is where cgroup v2 is mounted.
func unifiedMount() (string, error) { return findMount("/sys/fs/cgroup", "/sys/fs/cgroup/unified") }

// killFolder kills what is in a control group, if that is there.
func killFolder(folder string) error {
	if folder == "" {
		return nil
	}
	dir, err := os.Open(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	return killControlGroup(dir, time.Now().Add(killTimeout))
}

// emptyFolder says whether a control group is not there, or holds no process.
func emptyFolder(folder string) bool {
	events, err := os.ReadFile(filepath.Join(folder, "cgroup.events"))
	return removed(err) || err == nil && bytes.Contains(events, []byte("populated 0\n"))
}
