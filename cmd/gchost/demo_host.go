package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"text/template"
	"time"
)

// demoHost is one host of the demo: a gchost process and its log.
type demoHost struct {
	name, program, dir   string
	client, routes, mesh string
	config               string
	cmd                  *exec.Cmd
	done                 chan struct{} // closed when the process and its log have ended
	mu                   sync.Mutex
	exited               time.Time // zero while it runs
	asked                bool
}

// demoEvent is something that happened: a line of a host's log, the end of a
// process, or an answer of the service.
type demoEvent struct {
	at    time.Time
	host  string
	kind  string // event word of the log, or one of the words below
	app   string
	text  string
	reply *reply
}

const (
	eventExit  = "exit"  // a host's process has ended
	eventReply = "reply" // the service answered
	eventFail  = "fail"  // it did not
)

// demoTemplate is the configuration of one host, as a person would write it.
const demoTemplate = `platform: {{.Platform}}
node: {{.Host.Name}}
address: 127.0.0.1
data_dir: {{.Host.Dir}}
cluster:
  listen: {{.Host.Client}}
  routes: {{.Host.Routes}}
  mesh: {{.Host.Mesh}}
  secret: {{.Secret}}
  peers:
{{- range .Peers}}
    - {name: {{.Name}}, routes: "{{.Routes}}", mesh: "{{.Mesh}}", client: "{{.Client}}"}
{{- end}}
log: {format: json}
apps:
  - name: {{.App}}
    mode: singleton
    sqlite: {path: {{.Host.Database}}}
    backend:
      process:
        command: {{.Service}}
        args: [-addr, "{{.Address}}"]
        env: {QUICKSTART_DB: {{.Host.Database}}}
        ready: {http: "http://{{.Address}}/health", interval: 20ms}
`

// demoPlace is a host as the template needs it.
type demoPlace struct{ Name, Dir, Client, Routes, Mesh, Database string }

func (h *demoHost) place() demoPlace {
	return demoPlace{h.name, filepath.Join(h.dir, "data"), h.client, h.routes, h.mesh, filepath.Join(h.dir, "web.db")}
}

// configure writes the configuration of one host.
func (d *demo) configure(h *demoHost, secret string) error {
	t, err := template.New("config").Parse(demoTemplate)
	if err != nil {
		return fmt.Errorf("read template: %w", err)
	}
	var peers []demoPlace
	for _, o := range d.hosts {
		if o != h {
			peers = append(peers, o.place())
		}
	}
	var text strings.Builder
	err = t.Execute(&text, map[string]any{
		"Platform": demoPlatform, "App": demoApp, "Host": h.place(), "Peers": peers, "Secret": secret, "Service": d.service, "Address": d.address,
	})
	if err == nil {
		err = os.MkdirAll(h.dir, 0o700)
	}
	h.config = filepath.Join(h.dir, "gchost.yaml")
	if err == nil {
		err = os.WriteFile(h.config, []byte(text.String()), 0o600)
	}
	if err != nil {
		return fmt.Errorf("write configuration of %s: %w", h.name, err)
	}
	return nil
}

// start starts the host's process and follows its log.
func (h *demoHost) start(events chan<- demoEvent) error {
	logFile, err := os.OpenFile(filepath.Join(h.dir, "gchost.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open log of %s: %w", h.name, err)
	}
	cmd := exec.Command(h.program, "run", "--config", h.config)
	cmd.Env = cleanEnviron()
	ownGroup(cmd) // Ctrl-C in the terminal is for the demo, which stops the hosts in order
	pipe, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return errors.Join(fmt.Errorf("start host %s: %w", h.name, err), logFile.Close())
	}
	h.mu.Lock()
	h.cmd, h.exited, h.done = cmd, time.Time{}, make(chan struct{})
	done := h.done
	h.mu.Unlock()
	go func() {
		defer close(done)
		defer logFile.Close()
		var read sync.WaitGroup
		read.Go(func() { h.follow(pipe, logFile, events) })
		state, _ := cmd.Process.Wait()
		at := time.Now()
		h.mu.Lock()
		h.exited = at
		asked := h.asked
		h.mu.Unlock()
		if !asked {
			offer(events, demoEvent{at: at, host: h.name, kind: eventExit, text: state.String()})
		}
		read.Wait()
	}()
	return nil
}

// cleanEnviron is the environment without what would change a host's
// configuration.
func cleanEnviron() []string {
	var out []string
	for _, e := range os.Environ() {
		if key, _, _ := strings.Cut(e, "="); !strings.HasPrefix(key, "GCHOST_") && key != "NATS_URL" && key != "NODE_ID" && key != "PLATFORM" {
			out = append(out, e)
		}
	}
	return out
}

// follow copies the log to its file and tells the events in it.
func (h *demoHost) follow(from io.Reader, to io.Writer, events chan<- demoEvent) {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fmt.Fprintln(to, lines.Text())
		var line struct {
			Time  time.Time `json:"time"`
			Text  string    `json:"detail"`
			Event string    `json:"event"`
			App   string    `json:"app"`
		}
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Event != "" {
			offer(events, demoEvent{at: line.Time, host: h.name, kind: line.Event, app: line.App, text: line.Text})
		}
	}
	_, _ = io.Copy(to, from) // a line that is too long ends the reading, not the host
}

// offer tells an event unless nobody has listened for very long.
func offer(events chan<- demoEvent, e demoEvent) {
	select {
	case events <- e:
	default:
	}
}

// pid returns the host's process, 0 if it does not run.
func (h *demoHost) pid() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.cmd == nil || !h.exited.IsZero() {
		return 0
	}
	return h.cmd.Process.Pid
}

// ask asks the host to end.
func (h *demoHost) ask() {
	h.mu.Lock()
	h.asked = true
	h.mu.Unlock()
	if pid := h.pid(); pid != 0 {
		resume(h.cmd.Process) // one that was stopped by hand cannot end otherwise
		_ = h.cmd.Process.Signal(syscall.SIGTERM)
	}
}

// wait waits for the end of the host; one that does not end is killed.
func (h *demoHost) wait() error {
	h.mu.Lock()
	done := h.done
	h.mu.Unlock()
	if done == nil {
		return nil
	}
	select {
	case <-done:
		return nil
	case <-time.After(demoFailover):
		err := h.cmd.Process.Kill()
		<-done
		return errors.Join(fmt.Errorf("host %s did not end in %v and was killed: see its log", h.name, demoFailover), err)
	}
}
