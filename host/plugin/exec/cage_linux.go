package exec

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// groups is where control groups for plugins are made.
type groups struct {
	base        string   // "" where none can be made
	controllers []string // that limit what is below it
	why         string   // there are none, or not all
}

const groupsName = "gchost-plugins"

// wanted are the controllers that the limits need.
var wanted = [...]string{"memory", "pids", "cpu"}

func (g groups) folder(name string) string {
	if g.base == "" {
		return ""
	}
	return filepath.Join(g.base, name)
}

func fencesOf(group, mark string) []pluginapi.Fence {
	f := []pluginapi.Fence{{Kind: pluginapi.FenceEnv, Name: mark}}
	if group != "" {
		f = append(f, pluginapi.Fence{Kind: pluginapi.FenceCgroup, Name: group})
	}
	return f
}

// findGroups looks for a control group v2 below which some can be made: at the
// top, or in the host's own, as in a systemd unit with Delegate=yes.
func findGroups() groups {
	var why []string
	for _, mount := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		var st unix.Statfs_t
		if unix.Statfs(mount, &st) != nil || st.Type != unix.CGROUP2_SUPER_MAGIC {
			continue
		}
		for _, parent := range []string{mount, filepath.Join(mount, ownGroup())} {
			g, err := makeGroups(parent)
			if err == nil {
				return g
			}
			why = append(why, err.Error())
		}
	}
	if len(why) == 0 {
		why = []string{"there is no cgroup v2"}
	}
	return groups{why: strings.Join(why, "; ")}
}

// ownGroup is the path of the host's own control group below the mount.
func ownGroup() string {
	b, _ := os.ReadFile("/proc/self/cgroup")
	for l := range strings.Lines(string(b)) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(l), "0::"); ok && filepath.IsLocal("."+path) {
			return path
		}
	}
	return ""
}

func makeGroups(parent string) (groups, error) {
	g := groups{base: filepath.Join(parent, groupsName)}
	if err := os.MkdirAll(g.base, 0o755); err != nil {
		return groups{}, fmt.Errorf("make control group: %w", err)
	}
	if err := probeClone(g.base); err != nil {
		return groups{}, err
	}
	var lacking []string
	for _, c := range wanted {
		err := errors.Join(enable(parent, c), enable(g.base, c))
		if err != nil {
			lacking = append(lacking, c)
			continue
		}
		g.controllers = append(g.controllers, c)
	}
	if len(lacking) > 0 {
		g.why = "the control group " + parent + " does not give " + strings.Join(lacking, ", ")
	}
	return g, nil
}

func enable(folder, controller string) error {
	file := filepath.Join(folder, "cgroup.subtree_control")
	b, err := os.ReadFile(file)
	if err == nil && bytes.Contains(append([]byte(" "), bytes.ReplaceAll(b, []byte("\n"), []byte(" "))...), []byte(" "+controller+" ")) {
		return nil
	}
	return set(file, "+"+controller)
}

// set writes to a file of the kernel, which must be there.
func set(file, text string) error {
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// probeClone proves that a process can be born into a group, without running
// one: the program is not there, and the error has to say that.
func probeClone(base string) (err error) {
	folder, err := os.MkdirTemp(base, "_probe.")
	if err != nil {
		return fmt.Errorf("probe control group: %w", err)
	}
	defer func() { err = errors.Join(err, os.Remove(folder)) }()
	dir, err := os.Open(folder)
	if err != nil {
		return fmt.Errorf("probe control group: %w", err)
	}
	defer dir.Close()
	absent := filepath.Join(folder, "absent")
	p, err := os.StartProcess(absent, []string{absent}, &os.ProcAttr{Sys: &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}})
	if err == nil {
		_, err = p.Wait()
		return errors.Join(errors.New("probe control group: a child died at its birth"), err)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("probe control group: %w", err)
	}
	return nil
}

// cage holds one process and all that it starts: a control group that is new
// for each process, because what is born into one that was killed may die at its
// birth.
type cage struct {
	mu    sync.Mutex
	dir   *os.File // of the control group; nil without one, and at the end
	rough int64    // bytes of memory that only RLIMIT_DATA bounds; 0: the group does
}

// openCage makes a cage. note says which limits do not hold in it.
func openCage(folder string, contract wire.Contract, l plugin.Limits, g groups) (c *cage, note string, err error) {
	c = &cage{rough: l.Memory}
	if contract == wire.ContractBackend {
		c.rough = 0 // its service would inherit it
	}
	if folder == "" {
		return c, c.words() + g.why, nil
	}
	if err := os.Mkdir(folder, 0o755); err != nil {
		return nil, "", fmt.Errorf("make control group: %w", err)
	}
	if c.dir, err = os.Open(folder); err != nil {
		return nil, "", errors.Join(fmt.Errorf("open control group: %w", err), os.Remove(folder))
	}
	if note = g.why; note != "" {
		note = c.words() + note
	}
	for _, s := range settings(l, g.controllers) {
		err := set(filepath.Join(folder, s.file), s.text)
		switch {
		case err != nil && !s.optional:
			note = strings.TrimPrefix(note+"; "+err.Error(), "; ")
		case s.file == "memory.max":
			c.rough = 0
		}
	}
	return c, note, nil
}

// words say what bounds a process where not all controllers are given.
func (c *cage) words() string {
	if c.rough == 0 {
		return "not all of memory, tasks and cores are limited: "
	}
	return "not all of memory, tasks and cores are limited, or memory only roughly: "
}

type setting struct {
	file, text string
	optional   bool
}

// settings are what the limits are to the kernel.
func settings(l plugin.Limits, controllers []string) (all []setting) {
	const period = 100_000 // µs
	for _, c := range controllers {
		switch c {
		case "memory":
			all = append(all, setting{"memory.max", strconv.FormatInt(l.Memory, 10), false},
				setting{"memory.swap.max", "0", true}, setting{"memory.oom.group", "1", true})
		case "pids":
			all = append(all, setting{"pids.max", strconv.Itoa(l.Tasks), false})
		case "cpu":
			all = append(all, setting{"cpu.max", fmt.Sprintf("%d %d", int64(math.Ceil(l.CPU*period)), period), false})
		}
	}
	return all
}

// attr puts a process into the cage at its birth. The kernel kills it when the
// thread that started it ends.
func (c *cage) attr() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if c.dir != nil {
		attr.UseCgroupFD, attr.CgroupFD = true, int(c.dir.Fd())
	}
	return attr
}

// hold bounds what a process has begun already, where the group does not.
func (c *cage) hold(pid int) error {
	if c.rough == 0 {
		return nil
	}
	most := uint64(c.rough) * 4
	err := unix.Prlimit(pid, unix.RLIMIT_DATA, &unix.Rlimit{Cur: most, Max: most}, nil)
	if err != nil && err != unix.ESRCH {
		return fmt.Errorf("limit memory: %w", err)
	}
	return nil
}

// kill kills the process. What it has started is killed by its fences.
func (c *cage) kill(p *os.Process) { _ = p.Kill() }

// memory returns the bytes that the cage uses, or the process alone.
func (c *cage) memory(pid int) int64 {
	if b, err := c.read("memory.current"); err == nil {
		n, _ := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
		return n
	}
	b, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm")
	if f := strings.Fields(string(b)); len(f) > 1 {
		pages, _ := strconv.ParseInt(f[1], 10, 64)
		return pages * int64(os.Getpagesize())
	}
	return 0
}

func (c *cage) outOfMemory() bool {
	b, err := c.read("memory.events")
	if err != nil {
		return false
	}
	for l := range strings.Lines(string(b)) {
		if n, ok := strings.CutPrefix(l, "oom_kill "); ok {
			return strings.TrimSpace(n) != "0"
		}
	}
	return false
}

// read reads a file of the group, also when its name has become another's.
func (c *cage) read(name string) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dir == nil {
		return nil, fs.ErrNotExist
	}
	fd, err := unix.Openat(int(c.dir.Fd()), name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	b := make([]byte, 4096)
	n, err := f.Read(b)
	return b[:n], err
}

// close lets go of the group; whoever killed it has removed it.
func (c *cage) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	dir := c.dir
	if c.dir = nil; dir == nil {
		return nil
	}
	return dir.Close()
}

// checkPrivate refuses a folder that others can get into.
func checkPrivate(dir string) error {
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil {
		return fmt.Errorf("look at folder of plugins: %w", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR || st.Mode&0o077 != 0 || int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("%w: folder of plugins %s: it must be a folder of the host's own user with the mode 0700", pluginapi.ErrInvalid, dir)
	}
	return nil
}
