package backend

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// openAt opens a file of an open folder, whatever the folder's name is by now.
func openAt(dir *os.File, name string, flags int) (*os.File, error) {
	fd, err := unix.Openat(int(dir.Fd()), name, flags|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: filepath.Join(dir.Name(), name), Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}

// removed says whether an error means that the control group is not there.
func removed(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV)
}

// killControlGroup kills everything in a control group and below it, however
// fast it forks, and waits until the kernel says that it is empty.
func killControlGroup(dir *os.File, deadline time.Time) error {
	f, err := openAt(dir, "cgroup.kill", unix.O_WRONLY)
	if removed(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("kill control group: %w", err)
	}
	_, err = f.WriteString("1")
	if err := errors.Join(err, f.Close()); err != nil && !removed(err) {
		return fmt.Errorf("kill control group: %w", err)
	}
	return awaitEmpty(dir, deadline)
}

// awaitEmpty waits until cgroup.events says "populated 0". The kernel wakes the
// poll on each change of the file.
func awaitEmpty(dir *os.File, deadline time.Time) error {
	f, err := openAt(dir, "cgroup.events", unix.O_RDONLY)
	if removed(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("watch control group: %w", err)
	}
	defer f.Close()
	buf := make([]byte, 256)
	for {
		n, err := f.ReadAt(buf, 0)
		if removed(err) || bytes.Contains(buf[:n], []byte("populated 0")) {
			return nil
		}
		if err != nil && err != io.EOF {
			return fmt.Errorf("watch control group: %w", err)
		}
		left := time.Until(deadline)
		if left <= 0 {
			return fmt.Errorf("control group %s is not empty %v after SIGKILL", dir.Name(), killTimeout)
		}
		poll := []unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLPRI}}
		if _, err := unix.Poll(poll, int(min(left, 100*time.Millisecond).Milliseconds())+1); err != nil && err != unix.EINTR {
			return fmt.Errorf("watch control group: %w", err)
		}
	}
}

// removeControlGroup removes an empty control group, open as dir, and all below it.
func removeControlGroup(dir *os.File, folder string, deadline time.Time) error {
	if err := emptyControlGroup(dir, deadline); err != nil {
		return err
	}
	return removeDir(folder, deadline, func() error { return unix.Rmdir(folder) })
}

// emptyControlGroup removes the control groups below another one: the nest, and
// what the service made itself.
func emptyControlGroup(dir *os.File, deadline time.Time) error {
	list, err := openAt(dir, ".", unix.O_RDONLY|unix.O_DIRECTORY)
	if removed(err) {
		return nil
	}
	if err != nil {
		return err
	}
	entries, err := list.ReadDir(-1)
	if err := errors.Join(err, list.Close()); err != nil && !removed(err) {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeBelow(dir, e.Name(), deadline); err != nil {
				return err
			}
		}
	}
	return nil
}

func removeBelow(dir *os.File, name string, deadline time.Time) error {
	below, err := openAt(dir, name, unix.O_RDONLY|unix.O_DIRECTORY)
	if removed(err) {
		return nil
	}
	if err != nil {
		return err
	}
	err = emptyControlGroup(below, deadline)
	if err := errors.Join(err, below.Close()); err != nil {
		return err
	}
	return removeDir(filepath.Join(dir.Name(), name), deadline, func() error {
		return unix.Unlinkat(int(dir.Fd()), name, unix.AT_REMOVEDIR)
	})
}

// removeDir tries until the kernel has quite let go of the last process.
func removeDir(path string, deadline time.Time, rmdir func() error) error {
	for {
		err := rmdir()
		if err == nil || removed(err) {
			return nil
		}
		if err != unix.EBUSY || time.Now().After(deadline) {
			return &fs.PathError{Op: "rmdir", Path: path, Err: err}
		}
		<-time.After(stepTime)
	}
}

// controlGroups finds the folder below which instances get their control
// groups, and proves by a clone that it can be used.
func controlGroups() (string, error) {
	mount, err := findMount("/sys/fs/cgroup", "/sys/fs/cgroup/unified")
	if err != nil {
		return "", err
	}
	base := filepath.Join(mount, "gchost")
	errRoot := probe(base)
	if errRoot == nil {
		return base, nil
	}
	own, err := ownControlGroup() // where a unit with Delegate=yes may make some
	if err != nil {
		return "", errors.Join(errRoot, err)
	}
	base = filepath.Join(mount, own, "gchost")
	if err := probe(base); err != nil {
		return "", errors.Join(errRoot, err)
	}
	return base, nil
}

func findMount(candidates ...string) (string, error) {
	for _, dir := range candidates {
		var st unix.Statfs_t
		if err := unix.Statfs(dir, &st); err == nil && st.Type == unix.CGROUP2_SUPER_MAGIC {
			return dir, nil
		}
	}
	return "", fmt.Errorf("no cgroup v2 at %s", strings.Join(candidates, " or "))
}

func ownControlGroup() (string, error) {
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", fmt.Errorf("find own control group: %w", err)
	}
	for l := range strings.Lines(string(b)) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(l), "0::"); ok && filepath.IsLocal("."+path) {
			return path, nil
		}
	}
	return "", errors.New("find own control group: it is outside of what this process sees")
}

// probe makes a control group, looks for cgroup.kill (Linux 5.14) and clones a
// child into it. The child's program is not there on purpose: when the error
// says so, the clone worked, and no program was needed for the proof.
func probe(base string) (err error) {
	if err := os.MkdirAll(base, 0o755); err != nil {
		return fmt.Errorf("probe control groups: %w", err)
	}
	// No instance can have this name: a platform's does not begin with "_".
	folder, err := os.MkdirTemp(base, "_probe.")
	if err != nil {
		return fmt.Errorf("probe control groups: %w", err)
	}
	defer func() { err = errors.Join(err, os.Remove(folder)) }()
	dir, err := os.Open(folder)
	if err != nil {
		return fmt.Errorf("probe control groups: %w", err)
	}
	defer dir.Close()
	if _, err := os.Stat(filepath.Join(folder, "cgroup.kill")); err != nil {
		return fmt.Errorf("probe control groups: kernel older than 5.14: %w", err)
	}
	return probeClone(dir)
}

func probeClone(dir *os.File) error {
	absent := filepath.Join(dir.Name(), "absent")
	attr := &os.ProcAttr{Sys: &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}}
	p, err := os.StartProcess(absent, []string{absent}, attr)
	if err == nil { // no word of the child came back
		_, err = p.Wait()
		return errors.Join(errors.New("probe control groups: what is cloned into one is killed at its birth"), err)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("probe control groups: clone: %w", err)
	}
	return nil
}
