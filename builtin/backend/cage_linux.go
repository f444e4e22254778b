package backend

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// cage holds all processes of a service: a control group where there is one,
// else a process group, and in both cases a mark in the environment.
//
// Its folder stays open from open to remove, and all is done relative to the
// open folder, not to its name. So when a guard removes the folder, this cage is
// dead for good, even if another host makes one with the same name.
//
// Children are cloned into a control group below it, the nest, which is new for
// each child: there are kernels (seen: 6.18) that kill at its birth whatever is
// cloned into a control group that cgroup.kill was ever written to.
type cage struct {
	folder string // of the control group; "" without one
	old    string // the mark of all runs of the instance; "" when it is not bound
	mark   string // the mark of this run

	dir, nest *os.File
}

const nestName = "service"

func newCage(folder, old, mark string) *cage {
	return &cage{folder: folder, old: old, mark: mark}
}

// clean kills what an earlier host left of this instance. Once the cage is open
// it has nothing to do.
func (c *cage) clean() error {
	if c.dir != nil {
		return nil
	}
	deadline := time.Now().Add(killTimeout)
	if err := c.clear(deadline); err != nil {
		return fmt.Errorf("clear control group %s: %w", c.folder, err)
	}
	if c.old == "" {
		return nil
	}
	if err := sweep(deadline, marked(c.old)); err != nil {
		return fmt.Errorf("kill leftovers: %w", err)
	}
	return nil
}

// open makes the cage. clean comes first.
func (c *cage) open() error {
	if c.folder == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(c.folder), 0o755); err != nil {
		return fmt.Errorf("make control group: %w", err)
	}
	if err := os.Mkdir(c.folder, 0o755); err != nil {
		return fmt.Errorf("make control group: %w", err)
	}
	dir, err := os.Open(c.folder)
	if err != nil {
		return errors.Join(fmt.Errorf("open control group: %w", err), os.Remove(c.folder))
	}
	c.dir = dir
	return nil
}

// clear ends and removes a control group that was there before us.
func (c *cage) clear(deadline time.Time) error {
	if c.folder == "" {
		return nil
	}
	dir, err := os.Open(c.folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := killControlGroup(dir, deadline); err != nil {
		return err
	}
	return removeControlGroup(dir, c.folder, deadline)
}

// renew makes the cage ready for a child. It is empty at that time.
func (c *cage) renew() error {
	if c.dir == nil {
		return nil
	}
	if err := c.leaveNest(); err != nil {
		return err
	}
	if err := emptyControlGroup(c.dir, time.Now().Add(killTimeout)); err != nil {
		return fmt.Errorf("renew control group: %w", err)
	}
	if err := unix.Mkdirat(int(c.dir.Fd()), nestName, 0o755); err != nil {
		return fmt.Errorf("renew control group: %w", &fs.PathError{Op: "mkdir", Path: nestName, Err: err})
	}
	nest, err := openAt(c.dir, nestName, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return fmt.Errorf("renew control group: %w", err)
	}
	c.nest = nest
	return nil
}

// attr puts a child into the cage at its birth.
func (c *cage) attr() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true}
	if c.nest != nil {
		attr.UseCgroupFD, attr.CgroupFD = true, int(c.nest.Fd())
	}
	return attr
}

// gone says whether the control group was removed by someone else.
func (c *cage) gone() bool {
	if c.dir == nil {
		return false
	}
	f, err := openAt(c.dir, "cgroup.events", unix.O_RDONLY)
	if err != nil {
		return removed(err)
	}
	f.Close()
	return false
}

// kill ends everything in the cage and returns nil when nothing of it runs any
// more. pgid is the process group of a child that has ended just now or still
// runs; 0 for none.
func (c *cage) kill(pgid int) error {
	deadline := time.Now().Add(killTimeout)
	var err error
	if c.dir != nil {
		if c.gone() {
			return nil // the guard has killed this run; the marks may be a new one's already
		}
		err = killControlGroup(c.dir, deadline)
	}
	match := marked(c.mark)
	if pgid > 0 && (c.dir == nil || err != nil) {
		signalGroup(pgid, syscall.SIGKILL)
		match = func(pid int) bool { return groupOf(pid) == pgid || marked(c.mark)(pid) }
	}
	return errors.Join(err, sweep(deadline, match))
}

// remove takes the empty control group away. The cage cannot be used after it.
func (c *cage) remove() error {
	if c.dir == nil {
		return nil
	}
	if err := c.removeOwn(); err != nil {
		return fmt.Errorf("remove control group: %w", err)
	}
	return c.leave()
}

// removeOwn removes the folder, unless its name has become another's.
func (c *cage) removeOwn() error {
	ours, err := c.dir.Stat()
	if err != nil {
		return err
	}
	named, err := os.Stat(c.folder)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(ours, named) {
		return nil
	}
	if err != nil {
		return err
	}
	return removeControlGroup(c.dir, c.folder, time.Now().Add(killTimeout))
}

// leave gives the cage up as it is.
func (c *cage) leave() error {
	if c.dir == nil {
		return nil
	}
	dir := c.dir
	c.dir = nil
	return errors.Join(c.leaveNest(), dir.Close())
}

func (c *cage) leaveNest() error {
	if c.nest == nil {
		return nil
	}
	nest := c.nest
	c.nest = nil
	return nest.Close()
}
