package chaos

import (
	"bytes"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/ozanturksever/go-cluster/host/clock"
)

// What the processes of a world are told by their environment. gchost hands it
// on to services and hooks.
const (
	envWorld   = "CHAOS_WORLD"   // the platform's name
	envNode    = "CHAOS_NODE"    // whose process it is
	envJournal = "CHAOS_JOURNAL" // file
	envGate    = "CHAOS_GATE"    // folder of the gate
	envStop    = "CHAOS_STOP"    // how long the actor takes to stop, acting all the while
	envSpec    = "CHAOS_SPEC"    // what a library node is
)

const actEvery = 2 * time.Millisecond

// clockShift is how far this process's boot clock is ahead of the machine's: a
// process in a time namespace of its own has another zero.
func clockShift() (int64, error) {
	text, err := os.ReadFile("/proc/self/timens_offsets")
	if os.IsNotExist(err) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) != 3 || f[0] != "boottime" {
			continue
		}
		s, err := strconv.ParseInt(f[1], 10, 64)
		if err != nil {
			return 0, err
		}
		ns, err := strconv.ParseInt(f[2], 10, 64)
		return s*int64(time.Second) + ns, err
	}
	return 0, fmt.Errorf("no line boottime in %q", text)
}

// writer is a pen with what all its entries have in common.
type writer struct {
	pen
	shift int64
	self  entry
}

func newWriter(self entry) (*writer, error) {
	p, err := openPen(os.Getenv(envJournal))
	if err != nil {
		return nil, err
	}
	shift, err := clockShift()
	return &writer{p, shift, self}, err
}

func (w *writer) now() int64 { return clock.Now().UnixNano() - w.shift }

func (w *writer) note(kind, text string) error {
	e := w.self
	e.T, e.Kind, e.Text = w.now(), kind, text
	return w.write(e)
}

// backendWriter is for a process that gchost has started.
func backendWriter(pid int) (*writer, error) {
	var epoch uint64
	if s := os.Getenv("GCHOST_EPOCH"); s != "" {
		var err error
		if epoch, err = strconv.ParseUint(s, 10, 64); err != nil {
			return nil, err
		}
	}
	return newWriter(entry{Node: os.Getenv("GCHOST_NODE"), App: os.Getenv("GCHOST_APP"), Epoch: epoch, PID: pid})
}

// runActor is the service of most tests: it acts until it is asked to stop, and
// for as long as it is told after that.
func runActor() error {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGTERM)
	w, err := backendWriter(os.Getpid())
	if err != nil {
		return err
	}
	if err := w.note(kindStart, ""); err != nil {
		return err
	}
	gate("start", func() error { return w.note(kindAct, "") })
	// The file is what its ready check looks for.
	if err := writeWhole(filepath.Join(os.Getenv(envGate), os.Getenv("GCHOST_RUN")), ""); err != nil {
		return err
	}
	tick := time.NewTicker(actEvery)
	defer tick.Stop()
	var last <-chan time.Time
	for {
		select {
		case <-tick.C:
		case <-asked:
			gate("stop", func() error { return w.note(kindAct, "") })
			slow, err := time.ParseDuration(os.Getenv(envStop))
			if err != nil {
				return err
			}
			last = time.After(slow)
		case <-last:
			return w.note(kindStop, "")
		}
		if err := w.note(kindAct, ""); err != nil {
			return err
		}
	}
}

// runHook is the hook of every event.
func runHook() error {
	w, err := backendWriter(os.Getppid())
	if err != nil {
		return err
	}
	name := map[string]string{
		"on_active": "OnActive", "on_passive": "OnPassive", "on_start": "OnStart", "on_stop": "OnStop",
		"on_leader_change": "OnLeaderChange", "on_member_join": "OnMemberJoin", "on_member_leave": "OnMemberLeave",
	}[os.Getenv("GCHOST_HOOK")]
	kind := kindHook
	if strings.HasPrefix(name, "OnMember") || name == "OnLeaderChange" {
		kind = kindTold
		w.self.About = os.Getenv("GCHOST_MEMBER") + os.Getenv("GCHOST_LEADER")
	}
	if err := w.note(kind, name); err != nil {
		return err
	}
	if kind == kindHook {
		gate(name, func() error { return w.note(kindAct, name) })
	}
	return nil
}

// gate holds a process in a phase as long as the gate's file hold names it, and
// says in the file at that it is there.
func gate(phase string, meanwhile func() error) {
	dir := os.Getenv(envGate)
	if dir == "" {
		return
	}
	tick := time.NewTicker(actEvery)
	defer tick.Stop()
	for told := false; ; <-tick.C {
		hold, err := os.ReadFile(filepath.Join(dir, "hold"))
		if err != nil || !bytes.Equal(hold, []byte(phase)) {
			return
		}
		if !told {
			told = writeWhole(filepath.Join(dir, "at"), os.Getenv("GCHOST_NODE")) == nil
		}
		if meanwhile() != nil {
			return
		}
	}
}

// writeWhole writes a file so that nobody reads half of it.
func writeWhole(path, text string) error {
	temp := path + "." + strconv.Itoa(os.Getpid())
	if err := os.WriteFile(temp, []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(temp, path)
}
