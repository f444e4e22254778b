package host

import (
	"fmt"
	"io"
	"net"
	"runtime"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// lockName takes the name of a node on this machine. It is an abstract socket:
// the kernel gives it back when the process ends, in whatever way, and it leaves
// no file. Elsewhere than on Linux nothing is killed by name, and nothing is
// locked.
func lockName(platform, node string) (io.Closer, error) {
	if runtime.GOOS != "linux" {
		return nil, nil
	}
	l, err := net.Listen("unix", "@gchost/"+platform+"/"+node)
	if err != nil {
		return nil, fmt.Errorf("start node %s of platform %s: %w: another process of this machine is it (%w): stop that one, or give this node another id",
			node, platform, pluginapi.ErrNodeAlreadyPresent, err)
	}
	return l, nil
}

// unlockName gives the name back.
func (n *Node) unlockName() {
	if n.name != nil {
		n.name.Close()
	}
}
