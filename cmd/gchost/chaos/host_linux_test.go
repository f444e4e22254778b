package chaos

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// host is one host of a world.
type host struct {
	w      *world
	name   string
	number int
	dir    string
	proc   *process // nil before its first start
}

func (w *world) newHost(number int) *host {
	h := &host{w: w, name: fmt.Sprintf("n%d", number), number: number}
	h.dir = filepath.Join(w.dir, h.name)
	if err := os.Mkdir(h.dir, 0o700); err != nil {
		w.t.Fatal(err)
	}
	return h
}

func (h *host) logPath() string    { return filepath.Join(h.dir, "log") }
func (h *host) dataPath() string   { return filepath.Join(h.dir, "data") }
func (h *host) configPath() string { return filepath.Join(h.dir, "gchost.yaml") }

// start starts the host's process.
func (h *host) start() {
	h.w.t.Helper()
	argv := []string{gchost, "run", "--config", h.configPath()}
	env := []string{envStop + "=" + h.w.o.stop.String(), envGate + "=" + h.w.gatePath()}
	if h.w.o.library != nil {
		argv = []string{h.w.self, roleLibrary}
		env = append(env, envSpec+"="+h.w.librarySpec(h))
	}
	h.proc = h.w.run(h.name, h.logPath(), append(h.w.o.wrap[h.name], argv...), env)
}

// process is a process that the test has started.
type process struct {
	cmd   *exec.Cmd
	done  chan struct{} // closed when it has ended
	err   error         // how, once done
	asked bool          // to end: a second signal would end it at once
}

// run starts a process in a node's network; what it prints goes to a file.
func (w *world) run(node, logPath string, argv, env []string) *process {
	w.t.Helper()
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		w.t.Fatal(err)
	}
	defer log.Close()
	argv = append(w.enter(node), argv...)
	p := &process{cmd: exec.Command(argv[0], argv[1:]...), done: make(chan struct{})}
	p.cmd.Env = append(cleanEnviron(), envWorld+"="+w.name, envNode+"="+node, envJournal+"="+w.journalPath())
	p.cmd.Env = append(p.cmd.Env, env...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p
}

// cleanEnviron is the environment without what would change a host's
// configuration.
func cleanEnviron() (out []string) {
	for _, e := range os.Environ() {
		if key, _, _ := strings.Cut(e, "="); !strings.HasPrefix(key, "GCHOST_") && !strings.HasPrefix(key, "CHAOS") && key != "NATS_URL" && key != "NODE_ID" && key != "PLATFORM" {
			out = append(out, e)
		}
	}
	return out
}

func (p *process) runs() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// endTime is how long a process that was asked to end may take.
const endTime = 40 * time.Second

// ask asks a process to end and does not wait.
func (p *process) ask() {
	if p.runs() && !p.asked {
		p.asked = true
		_ = p.cmd.Process.Signal(syscall.SIGCONT)
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
	}
}

// end asks a process to end; one that does not is killed.
func (p *process) end() (killed bool) {
	p.ask()
	select {
	case <-p.done:
		return false
	case <-time.After(endTime):
		_ = p.cmd.Process.Signal(syscall.SIGQUIT) // its log then shows where it stands
		<-p.done
		return true
	}
}

func (h *host) runs() bool { return h.proc != nil && h.proc.runs() }

// ask asks the host to end and does not wait.
func (h *host) ask() {
	if h.proc != nil {
		h.proc.ask()
	}
}

// end waits for the end of a host that was asked for it.
func (h *host) end() {
	if h.proc != nil && h.proc.end() {
		h.w.t.Errorf("%s did not end within %v and was killed", h.name, endTime)
	}
}

// signal sends a signal to the host's process alone.
func (h *host) signal(s syscall.Signal) {
	h.w.t.Helper()
	if err := h.proc.cmd.Process.Signal(s); err != nil {
		h.w.t.Fatalf("signal %s: %v", h.name, err)
	}
}

// kill kills the host's process alone, and proves that it is dead.
func (h *host) kill() (at int64) {
	h.w.t.Helper()
	at = h.w.now()
	h.proc.asked = true
	h.signal(syscall.SIGKILL)
	<-h.proc.done
	var exit *exec.ExitError
	if !errors.As(h.proc.err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		h.w.t.Fatalf("%s did not die of SIGKILL: %v", h.name, h.proc.err)
	}
	return at
}

// freeze stops the host's process, and proves that it stands still.
func (h *host) freeze() (at int64) {
	h.w.t.Helper()
	at = h.w.now()
	h.signal(syscall.SIGSTOP)
	h.w.froze[h.proc.cmd.Process.Pid] = true
	h.w.await(2*time.Second, h.name+" stands still", func() bool { return h.state() == "T" })
	return at
}

// state is the state of the host's process, as proc(5) has it.
func (h *host) state() string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", h.proc.cmd.Process.Pid))
	if err != nil {
		return ""
	}
	f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	return f[0]
}

// event is a line of a host's log that says that something happened.
type event struct {
	Event, App, Detail string
}

// events returns those of a host, from all its lives.
func (h *host) events(word string) (out []event) {
	text, err := os.ReadFile(h.logPath())
	if err != nil {
		h.w.t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		var e event
		if bytes.Contains(line, []byte(word)) && json.Unmarshal(line, &e) == nil && e.Event == word {
			out = append(out, e)
		}
	}
	return out
}

// story is what a host's log says of what happened, without the rest.
func (h *host) story() string {
	text, _ := os.ReadFile(h.logPath()) // one that never started has none
	var b strings.Builder
	for line := range bytes.Lines(text) {
		var e struct{ Time, Level, Event, App, Msg, Err, Detail string }
		switch err := json.Unmarshal(line, &e); {
		case err != nil:
			b.Write(line)
		case e.Event != "" || e.Level != "DEBUG" && !strings.HasPrefix(e.Msg, "nats: "):
			fmt.Fprintf(&b, "%s %s %s %s %s %s\n", strings.TrimPrefix(e.Time, time.Now().UTC().Format("2006-01-02T")), e.Level, e.App, e.Msg, e.Detail, e.Err)
		}
	}
	return b.String()
}

// found is a process of a world that the machine shows.
type found struct {
	pid  int
	argv []string
}

func (f found) kill() { _ = syscall.Kill(f.pid, syscall.SIGKILL) }

// processes finds the processes of a world, or of one node of it, by their
// environment.
func (w *world) processes(node string) (out []found) {
	mark := "\x00" + envWorld + "=" + w.name + "\x00"
	of := "\x00" + envNode + "=" + node + "\x00"
	procs, _ := os.ReadDir("/proc")
	for _, d := range procs {
		pid, err := strconv.Atoi(d.Name())
		if err != nil {
			continue
		}
		env, _ := os.ReadFile("/proc/" + d.Name() + "/environ") // one that has just ended has none
		env = append([]byte{0}, env...)
		if !bytes.Contains(env, []byte(mark)) || node != "" && !bytes.Contains(env, []byte(of)) {
			continue
		}
		argv, _ := os.ReadFile("/proc/" + d.Name() + "/cmdline")
		out = append(out, found{pid, strings.Split(strings.TrimRight(string(argv), "\x00"), "\x00")})
	}
	return out
}

// guards are the watchmen of a node.
func (h *host) guards() (out []found) {
	for _, p := range h.w.processes(h.name) {
		if len(p.argv) == 2 && p.argv[1] == "guard" {
			out = append(out, p)
		}
	}
	return out
}

// cgroups are the control groups of a world, or of one node of it.
func (w *world) cgroups(node string) (out []string) {
	pattern := w.name + ".*"
	if node != "" {
		pattern = w.name + "." + node + ".*"
	}
	out, _ = filepath.Glob(filepath.Join(cgroupMount(), "gchost", pattern))
	return out
}

// thaw lets a frozen host go on, and proves that it was frozen until now.
func (h *host) thaw() {
	h.w.t.Helper()
	if got := h.state(); got != "T" {
		h.w.t.Fatalf("%s is in state %s: it was not frozen all the time", h.name, got)
	}
	h.signal(syscall.SIGCONT)
}

// runTwice starts another host with the name of one that runs.
func (w *world) runTwice(double *host) {
	w.t.Helper()
	if err := os.Mkdir(double.dir, 0o700); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(double.configPath(), []byte(double.config()), 0o600); err != nil {
		w.t.Fatal(err)
	}
	double.start()
}

// read returns a file that must be there.
func (w *world) read(path string) string {
	w.t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(text)
}
