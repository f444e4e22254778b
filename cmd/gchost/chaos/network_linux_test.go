package chaos

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// makeNetwork makes what the hosts are connected by. With a machine for each,
// that is a bridge with faults between them; else one network that nobody else
// is in, so that its ports are free at all times.
func (w *world) makeNetwork() {
	w.t.Helper()
	if w.o.machines {
		w.net("up", strconv.Itoa(w.o.hosts))
		return
	}
	w.command("ip", "netns", "add", w.name)
	w.command("ip", "-n", w.name, "link", "set", "lo", "up")
}

func (w *world) removeNetwork() {
	if w.o.machines {
		w.net("down")
		return
	}
	w.command("ip", "netns", "del", w.name)
}

// net runs the script that makes the faults. It verifies each by a probe and
// fails if the fault did not happen.
func (w *world) net(args ...string) {
	w.t.Helper()
	script, err := filepath.Abs("../../../testenv/netns.sh")
	if err != nil {
		w.t.Fatal(err)
	}
	w.command("env", append([]string{"P=" + w.name, script}, args...)...)
}

func (w *world) command(name string, args ...string) {
	w.t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		w.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// enter is what makes a command run in a node's network, and only its network:
// ip netns exec would hide the control groups from it.
func (w *world) enter(node string) []string {
	ns := w.name
	if w.o.machines {
		ns = w.name + "-" + node
	}
	return []string{"nsenter", "--net=/run/netns/" + ns, "--"}
}

func (h *host) address() string {
	if h.w.o.machines {
		return fmt.Sprintf("10.77.0.%d", h.number)
	}
	return "127.0.0.1"
}

// The ports of a host. In one network each host needs its own.
func (h *host) client() string { return fmt.Sprintf("%s:%d", h.address(), 4300+10*h.number) }
func (h *host) routes() string { return fmt.Sprintf("%s:%d", h.address(), 4301+10*h.number) }
func (h *host) mesh() string   { return fmt.Sprintf("%s:%d", h.address(), 4302+10*h.number) }

// link is the number of the host as the script has it.
func (h *host) link() string { return strconv.Itoa(h.number) }
