//go:build unix && !linux

package exec

import (
	"fmt"
	"os"
	"runtime"
	"syscall"

	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// groups says that there are no control groups here.
type groups struct{}

func (groups) folder(string) string { return "" }

func findGroups() groups { return groups{} }

func fencesOf(_, _ string) []pluginapi.Fence { return nil }

// cage holds a process and its process group.
type cage struct{}

func openCage(string, wire.Contract, plugin.Limits, groups) (*cage, string, error) {
	return &cage{}, "memory, tasks and cores are not limited on " + runtime.GOOS, nil
}

func (*cage) attr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func (*cage) hold(int) error { return nil }

func (*cage) kill(p *os.Process) { _ = syscall.Kill(-p.Pid, syscall.SIGKILL) }

func (*cage) memory(int) int64 { return 0 }

func (*cage) outOfMemory() bool { return false }

func (*cage) close() error { return nil }

// checkPrivate refuses a folder that others can get into.
func checkPrivate(dir string) error {
	st, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("look at folder of plugins: %w", err)
	}
	owner, ok := st.Sys().(*syscall.Stat_t)
	if !st.IsDir() || st.Mode().Perm()&0o077 != 0 || !ok || int(owner.Uid) != os.Geteuid() {
		return fmt.Errorf("%w: folder of plugins %s: it must be a folder of the host's own user with the mode 0700", pluginapi.ErrInvalid, dir)
	}
	return nil
}
