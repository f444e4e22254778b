//go:build !unix

package exec

import (
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

// cage holds a process, and nothing that it starts.
type cage struct{}

func openCage(string, wire.Contract, plugin.Limits, groups) (*cage, string, error) {
	return &cage{}, "memory, tasks and cores are not limited on " + runtime.GOOS, nil
}

func (*cage) attr() *syscall.SysProcAttr { return nil }

func (*cage) hold(int) error { return nil }

func (*cage) kill(p *os.Process) { _ = p.Kill() }

func (*cage) memory(int) int64 { return 0 }

func (*cage) outOfMemory() bool { return false }

func (*cage) close() error { return nil }

func checkPrivate(string) error { return nil }
