package guard

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

func fencesSupported() error { return nil }

// checkCgroup refuses a folder that is not inside a cgroup v2, that is the root
// of one, or that the calling process lives in. A folder that is not there (any
// more) is judged by the nearest one above it that is.
func checkCgroup(folder string) error {
	at := folder
	for {
		if _, err := os.Lstat(at); err == nil || !errors.Is(err, fs.ErrNotExist) || at == "/" {
			break
		}
		at = filepath.Dir(at)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(at, &st); err != nil {
		return fmt.Errorf("%w: fence cgroup %.200q: look at %s: %w", pluginapi.ErrInvalid, folder, at, err)
	}
	if st.Type != unix.CGROUP2_SUPER_MAGIC {
		return fmt.Errorf("%w: fence cgroup %.200q: %s is not in a cgroup v2: give a folder below a mounted one", pluginapi.ErrInvalid, folder, at)
	}
	if real, err := filepath.EvalSymlinks(at); err != nil || real != at {
		return fmt.Errorf("%w: fence cgroup %.200q: %s is a link: give the folder's real path", pluginapi.ErrInvalid, folder, at)
	}
	root := cgroupRoot(at)
	if root == folder {
		return fmt.Errorf("%w: fence cgroup %s is the root of its cgroup v2: give a folder below it", pluginapi.ErrInvalid, folder)
	}
	if own := ownCgroup(root); own == folder || strings.HasPrefix(own, folder+"/") {
		return fmt.Errorf("%w: fence cgroup %s holds the guard itself (in %s): give a folder of the backend's own", pluginapi.ErrInvalid, folder, own)
	}
	return nil
}

// cgroupRoot goes up from a folder to the mount point of its file system.
func cgroupRoot(folder string) string {
	var here, above unix.Stat_t
	for folder != "/" {
		parent := filepath.Dir(folder)
		if unix.Stat(folder, &here) != nil || unix.Stat(parent, &above) != nil || here.Dev != above.Dev {
			return folder
		}
		folder = parent
	}
	return folder
}

// ownCgroup is the folder of the calling process in the cgroup v2 mounted at root.
func ownCgroup(root string) string {
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return root
	}
	for line := range strings.Lines(string(b)) {
		if path, ok := strings.CutPrefix(line, "0::"); ok {
			return filepath.Join(root, strings.TrimSpace(path))
		}
	}
	return root
}

// cgroupTarget is the folder of a control group.
type cgroupTarget string

func (c cgroupTarget) strike() (bool, error) {
	folder := string(c)
	if err := writeFile(filepath.Join(folder, "cgroup.kill"), "1"); err != nil {
		if _, err := os.Lstat(folder); errors.Is(err, fs.ErrNotExist) {
			return true, nil
		}
		c.killEach() // a kernel older than 5.14
	}
	events, err := os.ReadFile(filepath.Join(folder, "cgroup.events"))
	if err != nil {
		return false, fmt.Errorf("read cgroup: %w", err)
	}
	if !bytes.Contains(events, []byte("populated 0\n")) {
		return false, nil
	}
	// Removing is also the proof: the kernel refuses it for a group with a live
	// process, or with a child that was made since.
	if err := c.remove(); err != nil {
		return false, fmt.Errorf("remove cgroup: %w", err)
	}
	return true, nil
}

// writeFile writes to a file of the kernel, which must be there.
func writeFile(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(text)
	return err
}

// remove removes the folder and all below it, children first.
func (c cgroupTarget) remove() error {
	for _, d := range c.tree() {
		if err := unix.Rmdir(d); err != nil && err != unix.ENOENT {
			return &fs.PathError{Op: "rmdir", Path: d, Err: err}
		}
	}
	return nil
}

// tree lists the folder and all below it, children first.
func (c cgroupTarget) tree() []string {
	entries, _ := os.ReadDir(string(c)) // unreadable is as good as empty: removing it tells
	var all []string
	for _, e := range entries {
		if e.IsDir() {
			all = append(all, cgroupTarget(filepath.Join(string(c), e.Name())).tree()...)
		}
	}
	return append(all, string(c))
}

func (c cgroupTarget) pids() []int {
	var all []int
	for _, d := range c.tree() {
		b, _ := os.ReadFile(filepath.Join(d, "cgroup.procs"))
		for f := range strings.FieldsSeq(string(b)) {
			if pid, err := strconv.Atoi(f); err == nil && pid > 1 {
				all = append(all, pid)
			}
		}
	}
	return all
}

func (c cgroupTarget) killEach() {
	for _, pid := range c.pids() {
		_ = unix.Kill(pid, unix.SIGKILL) // one that is gone already is what we want
	}
}

func (c cgroupTarget) left() string {
	return fmt.Sprintf("cgroup %s (%s)", string(c), pidList(c.pids()))
}

func (c cgroupTarget) close() {}

func pidList(pids []int) string {
	const most = 10
	s := fmt.Sprintf("%d processes", len(pids))
	for i, pid := range pids {
		if i == most {
			return s + " ..."
		}
		s += " " + strconv.Itoa(pid)
	}
	return s
}

// targetsOf makes one target of each control group and one of all marks.
func targetsOf(fences []pluginapi.Fence) []target {
	var all []target
	var marks []string
	for _, f := range fences {
		switch f.Kind {
		case pluginapi.FenceCgroup:
			all = append(all, cgroupTarget(f.Name))
		case pluginapi.FenceEnv:
			marks = append(marks, f.Name)
		}
	}
	if len(marks) > 0 {
		all = append(all, newMarkTarget(marks))
	}
	return all
}
