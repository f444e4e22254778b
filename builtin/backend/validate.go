package backend

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

const (
	maxLogFiles  = 1000                  // each rotation renames them all
	minReadyWait = 10 * time.Millisecond // less would be a busy loop
	maxBackoff   = 1000
)

// faults collects what is wrong with a configuration, so that a user gets all
// of it at once.
type faults []error

func (f *faults) add(format string, args ...any) {
	*f = append(*f, fmt.Errorf("%w: process: "+format, append([]any{pluginapi.ErrInvalid}, args...)...))
}

// Validate returns every fault of the configuration at once, each one wrapping
// [pluginapi.ErrInvalid]; nil when there is none. It does not look at the
// machine: whether the program and the folders are there is seen by Start.
func (p *ProcessBackend) Validate() error {
	var f faults
	c := p.cfg
	f.command(c)
	f.positive("GracefulTimeout", c.GracefulTimeout)
	f.positive("StartTimeout", c.StartTimeout)
	if c.LogMaxSize < 0 {
		f.add("LogMaxSize is %d: give a size in bytes, or 0 for %d", c.LogMaxSize, DefaultLogMaxSize)
	}
	if c.LogMaxFiles < 0 || c.LogMaxFiles > maxLogFiles {
		f.add("LogMaxFiles is %d: give 1 to %d, or 0 for %d", c.LogMaxFiles, maxLogFiles, DefaultLogMaxFiles)
	}
	f.restart(c.Restart)
	if c.Ready != nil {
		f.ready(*c.Ready)
	}
	return errors.Join(f...)
}

func (f *faults) positive(field string, d time.Duration) {
	if d < 0 {
		f.add("%s is %v: give a duration above 0, or 0 for the default", field, d)
	}
}

func (f *faults) command(c ProcessConfig) {
	if c.Command == "" {
		f.add("Command is empty: give the program to run")
	}
	for _, s := range append([]string{c.Command, c.Dir, c.LogFile}, c.Args...) {
		if strings.ContainsRune(s, 0) {
			f.add("%q has a zero byte: no program, argument or path can have one", s)
		}
	}
	for _, e := range c.Env {
		if key, _, ok := strings.Cut(e, "="); !ok || key == "" || strings.ContainsRune(e, 0) {
			f.add("Env entry %q is not KEY=VALUE", e)
		} else if ownVariable(key) {
			f.add("Env entry %q: the host sets this variable, leave it out", e)
		}
	}
}

func (f *faults) restart(r RestartPolicy) {
	if r.MaxRestarts < 0 {
		f.add("Restart.MaxRestarts is %d: give 1 or more, or set Restart.Disabled", r.MaxRestarts)
	}
	f.positive("Restart.Window", r.Window)
	f.positive("Restart.Delay", r.Delay)
	if !(r.Backoff >= 1 && r.Backoff <= maxBackoff) {
		f.add("Restart.Backoff is %v: give 1 to %d, or 0 for %v", r.Backoff, maxBackoff, DefaultRestartBackoff)
	}
}

func (f *faults) ready(r ReadyCheck) {
	if r.HTTP == "" && r.TCP == "" && len(r.Exec) == 0 {
		f.add("Ready has nothing to check: set HTTP, TCP or Exec, or leave Ready out")
	}
	if r.HTTP != "" {
		u, err := url.Parse(r.HTTP)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			f.add("Ready.HTTP is %q: give a URL like http://127.0.0.1:8080/healthz", r.HTTP)
		}
	}
	if s := r.ExpectedStatus; s != 0 && (s < 100 || s > 599) {
		f.add("Ready.ExpectedStatus is %d: give an HTTP status, or 0 for any 2xx", s)
	}
	if r.TCP != "" {
		_, port, err := net.SplitHostPort(r.TCP)
		if n, errPort := strconv.Atoi(port); err != nil || errPort != nil || n < 1 || n > 65535 {
			f.add("Ready.TCP is %q: give host:port like 127.0.0.1:5432", r.TCP)
		}
	}
	if len(r.Exec) > 0 && r.Exec[0] == "" {
		f.add("Ready.Exec has an empty command: its first entry is the program")
	}
	if r.Interval < minReadyWait {
		f.add("Ready.Interval is %v: give at least %v", r.Interval, minReadyWait)
	}
	if r.Timeout < minReadyWait {
		f.add("Ready.Timeout is %v: give at least %v", r.Timeout, minReadyWait)
	}
	if r.Failures < 0 {
		f.add("Ready.Failures is %d: give 1 or more", r.Failures)
	}
}
