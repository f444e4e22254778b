package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Where a cgroup v2 is mounted, and the mark of a service's processes.
const (
	cgroupMount   = "/sys/fs/cgroup"
	cgroupUnified = "/sys/fs/cgroup/unified"
	cgroupFolder  = "gchost" // the folder whose folders are instances, here or in a unit's own group
	instanceMark  = "GCHOST_INSTANCE="
)

// findVictims looks for the services of a platform: their control groups, and
// the processes that carry a mark of an instance of it.
func findVictims(platform string) ([]victim, error) {
	found := []victim{}
	for _, mount := range []string{cgroupMount, cgroupUnified} {
		groups, err := controlGroups(mount, platform)
		if err != nil {
			return nil, err
		}
		found = append(found, groups...)
	}
	marks, err := marks(platform)
	if err != nil {
		return nil, err
	}
	for mark, pids := range sorted(marks) {
		found = append(found, victim{pluginapi.Fence{Kind: pluginapi.FenceEnv, Name: mark}, pids})
	}
	return found, nil
}

// controlGroups finds the folders gchost/<platform>.<node>.<app> of a cgroup v2.
func controlGroups(mount, platform string) (found []victim, err error) {
	if _, err := os.Stat(filepath.Join(mount, "cgroup.procs")); err != nil {
		return nil, nil // no cgroup v2 is mounted here
	}
	err = filepath.WalkDir(mount, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist): // a group that has just ended
			return nil
		case err != nil:
			return err
		case !d.IsDir():
			return nil
		case filepath.Base(filepath.Dir(path)) == cgroupFolder && isInstance(d.Name(), platform):
			found = append(found, victim{pluginapi.Fence{Kind: pluginapi.FenceCgroup, Name: path}, pidsIn(path)})
			return fs.SkipDir
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list control groups: %w", err)
	}
	return found, nil
}

// isInstance says whether a name is <platform>.<node>.<app> of the platform.
func isInstance(name, platform string) bool {
	parts := strings.Split(name, ".")
	if len(parts) != 3 || parts[0] != platform {
		return false
	}
	return pluginapi.CheckName("node", parts[1]) == nil && pluginapi.CheckName("app", parts[2]) == nil
}

// pidsIn lists the processes of a control group and of those below it.
func pidsIn(folder string) []int {
	pids := []int{}
	_ = filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "cgroup.procs" {
			return nil // what cannot be read is not counted; the killing does not depend on it
		}
		text, _ := os.ReadFile(path)
		for f := range strings.FieldsSeq(string(text)) {
			if pid, err := strconv.Atoi(f); err == nil {
				pids = append(pids, pid)
			}
		}
		return nil
	})
	slices.Sort(pids)
	return pids
}

// marks finds the marks of instances of the platform, with their processes.
func marks(platform string) (map[string][]int, error) {
	procs, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	found := map[string][]int{}
	for _, p := range procs {
		pid, err := strconv.Atoi(p.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		env, err := os.ReadFile("/proc/" + p.Name() + "/environ")
		if err != nil {
			continue // ended, or another user's: then it is not ours to kill
		}
		for kv := range bytes.SplitSeq(env, []byte{0}) {
			if name, ok := strings.CutPrefix(string(kv), instanceMark); ok && isInstance(name, platform) {
				found[string(kv)] = append(found[string(kv)], pid)
				break
			}
		}
	}
	return found, nil
}
