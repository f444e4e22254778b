package chaos

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/ozanturksever/go-cluster/host/control"
)

// status is the answer of gchost status, asked on a host.
type status struct {
	control.Status
	Healthy  bool              `json:"healthy"`
	Problems []control.Problem `json:"problems"`
	code     int               // exit code
	text     string
}

// command runs a command of gchost on a host and returns its exit code and what
// it printed.
func (h *host) command(args ...string) (code int, stdout string) {
	h.w.t.Helper()
	argv := append(h.w.enter(h.name), gchost, "--platform", h.w.name, "--node", h.name)
	if h.w.o.external {
		argv = append(argv, "--nats", fmt.Sprintf("nats://127.0.0.1:%d", natsPort))
	} else {
		argv = append(argv, "--data-dir", h.dataPath())
	}
	argv = append(argv, args...)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = cleanEnviron()
	out, err := cmd.Output()
	if cmd.ProcessState == nil {
		h.w.t.Fatalf("%s: %v", strings.Join(argv, " "), err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

func (h *host) status() (s status) {
	h.w.t.Helper()
	s.code, s.text = h.command("status", "--json")
	if err := json.Unmarshal([]byte(s.text), &s); err != nil && s.code == 0 {
		h.w.t.Fatalf("status of %s: %v in %s", h.name, err, s.text)
	}
	return s
}

// settleTime is how long a platform may take to be well again after a fault has
// ended: replicas catch up, and a node that failed stands back for a while.
const settleTime = 60 * time.Second

// settle waits until all is well: every host that runs says so, each is a
// member, each app has one leader, and that one acts.
func (w *world) settle() {
	w.t.Helper()
	why := "nothing was asked"
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(settleTime); ; {
		w.revive()
		if why = w.unsettled(); why == "" {
			return
		}
		select {
		case <-tick.C:
		case <-late:
			w.t.Fatalf("not well within %v: %s", settleTime, why)
		}
	}
}

// revive starts hosts again that ended themselves, because the machine was too
// slow for them to stop their work before the lease ended. Any other end that
// nobody asked for is a fault.
func (w *world) revive() {
	w.t.Helper()
	for _, h := range w.hosts {
		if h.proc == nil || h.proc.runs() || h.proc.asked {
			continue
		}
		story := h.story()
		if i := strings.LastIndex(story, "session joined"); !strings.Contains(story[max(i, 0):], "this process ends itself") {
			w.t.Errorf("%s has ended by itself: %v", h.name, h.proc.err)
		}
		w.t.Logf("%s has ended itself, as it must when its work does not stop in time: it is started again", h.name)
		h.start()
	}
}

// unsettled says what is not well, "" if all is.
func (w *world) unsettled() string {
	asked := w.now()
	leaders := map[string]string{}
	running := 0
	for _, h := range w.hosts {
		if h.runs() {
			running++
		}
	}
	for _, h := range w.hosts {
		if !h.runs() {
			continue
		}
		s := h.status()
		if s.code != 0 || !s.Healthy {
			return fmt.Sprintf("status on %s exits with %d: %s", h.name, s.code, s.text)
		}
		warnings := slices.DeleteFunc(s.NATS.Warnings, func(text string) bool { return w.o.wan && strings.HasPrefix(text, "stock Raft timers") })
		if len(s.Nodes) != running || len(warnings) > 0 {
			return fmt.Sprintf("%s says that %d of %d are members, warnings %v", h.name, len(s.Nodes), running, warnings)
		}
		for _, a := range s.Apps {
			if was, known := leaders[a.Name]; known && was != a.Leader {
				return fmt.Sprintf("the leader of %s is %s, or %s", a.Name, was, a.Leader)
			}
			leaders[a.Name] = a.Leader
		}
	}
	if len(leaders) != len(w.o.apps) {
		return fmt.Sprintf("apps with a leader: %v", leaders)
	}
	if w.o.library != nil && !w.o.library.Acts {
		return ""
	}
	for app, leader := range leaders {
		acts := w.acts(app, asked)
		if len(acts) == 0 {
			return fmt.Sprintf("%s of %s does not act", leader, app)
		}
		for _, e := range acts {
			if e.Node != leader {
				return fmt.Sprintf("%s leads %s, and %s acts", leader, app, e.Node)
			}
		}
	}
	return ""
}

// natsAnswers says whether the existing NATS accepts connections.
func (w *world) natsAnswers() bool {
	argv := append(w.enter("nats"), "bash", "-c", fmt.Sprintf("exec 3<>/dev/tcp/127.0.0.1/%d && head -c 4 <&3", natsPort))
	out, err := exec.Command(argv[0], argv[1:]...).Output()
	return err == nil && string(out) == "INFO"
}
