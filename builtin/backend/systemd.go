package backend

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// SystemdBackend runs a service as a unit of systemd that is there already. It
// watches the unit, starts it again when it ends by itself, and never leaves
// that to systemd, which would do it without leadership: a drop-in in
// /run/systemd/system sets Restart=no and adds to the unit's environment, by a
// file that only root may read and without which the unit does not start, what
// the host tells each service: GCHOST_INSTANCE and the others, and the login for
// the app's data. So the host has to be root. All its methods may be called at
// the same time.
//
// Its goroutines live from Start to Stop; a service that was started must be
// stopped, also when it has failed.
type SystemdBackend struct {
	unit   *unit
	keeper *keeper
	notify bool
	faults systemdFaults
}

var (
	_ pluginapi.Backend    = (*SystemdBackend)(nil)
	_ pluginapi.Supervised = (*SystemdBackend)(nil)
	_ pluginapi.Killable   = (*SystemdBackend)(nil)
)

// SystemdOption changes a [SystemdBackend] before it is used.
type SystemdOption func(*SystemdBackend)

// WithHealthEndpoint sets a URL (http or https) that must answer 2xx for the
// service to be ready and to stay healthy. Default none: it is ready when
// systemd says so.
func WithHealthEndpoint(url string) SystemdOption {
	return func(s *SystemdBackend) { s.unit.endpoint = url }
}

// WithHealthInterval sets the time between two looks at the service; what
// systemd tells of it is seen at once. Default 5 s, at least 10 ms.
func WithHealthInterval(d time.Duration) SystemdOption {
	return func(s *SystemdBackend) { s.keeper.interval = or(d, DefaultHealthInterval) }
}

// WithHealthTimeout sets how long the health endpoint may take. Default 3 s.
func WithHealthTimeout(d time.Duration) SystemdOption {
	return func(s *SystemdBackend) { s.unit.lookFor = or(d, DefaultHealthTimeout) }
}

// WithStartTimeout sets how long a start may take, with its dependencies.
// Default 60 s; the unit's own TimeoutStartSec holds beside it.
func WithStartTimeout(d time.Duration) SystemdOption {
	return func(s *SystemdBackend) { s.keeper.startFor = or(d, DefaultStartTimeout) }
}

// WithStopTimeout sets the time after which a stop goes on with SIGKILL.
// Default 30 s; the unit's own TimeoutStopSec holds beside it.
func WithStopTimeout(d time.Duration) SystemdOption {
	return func(s *SystemdBackend) { s.keeper.stopFor = or(d, DefaultStopTimeout) }
}

// WithNotify makes the host tell its own systemd, if it runs as a unit with
// Type=notify, READY=1 when the service has been started, and by STATUS= what
// becomes of it. Default false.
func WithNotify(on bool) SystemdOption {
	return func(s *SystemdBackend) { s.notify = on }
}

// WithDependencies names other units that are started before the service, in
// this order, if they do not run. They are not stopped: others may use them.
func WithDependencies(deps ...string) SystemdOption {
	return func(s *SystemdBackend) {
		for _, d := range deps {
			s.unit.deps = append(s.unit.deps, unitName(d))
		}
	}
}

// WithJournalLines sets how many lines [SystemdBackend.JournalLogs] returns.
// Default 100, at most 10000.
func WithJournalLines(n int) SystemdOption {
	return func(s *SystemdBackend) { s.unit.lines = or(n, DefaultJournalLines) }
}

// WithSystemdRestart says what happens when the service ends by itself, or is
// unhealthy three times in a row. Default: see [RestartPolicy].
func WithSystemdRestart(policy RestartPolicy) SystemdOption {
	return func(s *SystemdBackend) { s.keeper.restart = withRestartDefaults(policy) }
}

// NewSystemd returns a backend for a unit of systemd; ".service" is added to a
// name without it. It asks systemd for nothing yet and never fails;
// [SystemdBackend.Validate] tells what is wrong.
func NewSystemd(serviceName string, opts ...SystemdOption) *SystemdBackend {
	u := &unit{name: unitName(serviceName), dropIns: "/run/systemd/system", lookFor: DefaultHealthTimeout, lines: DefaultJournalLines, dial: dialSystemd}
	s := &SystemdBackend{unit: u, keeper: newKeeper("unit "+u.name, u, RestartPolicy{})}
	s.keeper.stopFor = DefaultStopTimeout
	for i, o := range opts {
		if o == nil {
			s.faults.add("option %d is nil", i+1)
			continue
		}
		o(s)
	}
	s.keeper.lookFor = u.lookFor + DefaultHealthTimeout // it asks systemd as well
	return s
}

func unitName(s string) string {
	if i := strings.LastIndexByte(s, '.'); i >= 0 && slices.Contains(unitTypes(), s[i+1:]) {
		return s
	}
	return s + ".service"
}

func unitTypes() []string {
	return []string{"service", "socket", "target", "mount", "path", "timer", "device", "swap", "slice", "scope", "automount"}
}

var unitNames = regexp.MustCompile(`^[A-Za-z0-9:_.\\-]+(@[A-Za-z0-9:_.\\-]+)?\.[a-z]+$`)

type systemdFaults struct{ faults }

func (f *systemdFaults) add(format string, args ...any) {
	f.faults = append(f.faults, fmt.Errorf("%w: systemd: "+format, append([]any{pluginapi.ErrInvalid}, args...)...))
}

// Validate returns every fault of the configuration at once, each one wrapping
// [pluginapi.ErrInvalid]; nil when there is none. It does not ask systemd.
func (s *SystemdBackend) Validate() error {
	f := systemdFaults{slices.Clone(s.faults.faults)}
	if len(s.unit.name) > 255 || !unitNames.MatchString(s.unit.name) || !strings.HasSuffix(s.unit.name, ".service") {
		f.add("unit %.300q: give the name of a service, as in nginx or postgresql@16-main.service", s.unit.name)
	}
	for _, d := range s.unit.deps {
		if len(d) > 255 || !unitNames.MatchString(d) || d == s.unit.name {
			f.add("dependency %.300q: give the name of another unit", d)
		}
	}
	if e := s.unit.endpoint; e != "" {
		u, err := url.Parse(e)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			f.add("health endpoint %.200q: give a URL like http://127.0.0.1:8080/healthz", e)
		}
	}
	for _, d := range []time.Duration{s.keeper.interval, s.unit.lookFor, s.keeper.startFor, s.keeper.stopFor} {
		if d < minReadyWait {
			f.add("a time is %v: give at least %v, or 0 for the default", d, minReadyWait)
		}
	}
	if s.unit.lines < 1 || s.unit.lines > 10000 {
		f.add("%d journal lines: give 1 to 10000, or 0 for %d", s.unit.lines, DefaultJournalLines)
	}
	f.restart(s.keeper.restart)
	return errors.Join(f.faults...)
}

func (f *systemdFaults) restart(r RestartPolicy) {
	if r.MaxRestarts < 0 || r.Window < 0 || r.Delay < 0 || !(r.Backoff >= 1 && r.Backoff <= maxBackoff) {
		f.add("the restart policy is %+v: its fields are 0 for the default, or above; Backoff is 1 to %d", r, maxBackoff)
	}
}

// Bind says whose the service is, and returns what must be gone for it to be
// dead: all processes with the mark GCHOST_INSTANCE in their environment, and,
// where there are control groups (cgroup v2) and systemd answers, the unit's
// own. It also puts the drop-in in its place, so that a start need not. Call it
// before the first Start.
//
// # Errors
//
// Names that [pluginapi.CheckName] refuses, and a service that runs already.
func (s *SystemdBackend) Bind(in pluginapi.Instance) ([]pluginapi.Fence, error) {
	mark, err := s.keeper.bind(in)
	if err != nil {
		return nil, fmt.Errorf("bind unit %s: %w", s.unit.name, err)
	}
	s.unit.bind(mark.Name)
	fences := []pluginapi.Fence{mark}
	ctx, cancel := context.WithTimeout(context.Background(), DefaultHealthTimeout)
	defer cancel()
	if folder, err := s.unit.folder(ctx); err == nil { // without it the mark remains
		fences = append(fences, pluginapi.Fence{Kind: pluginapi.FenceCgroup, Name: folder})
	}
	s.unit.prepareEarly(ctx)
	return fences, nil
}

// Start starts the unit and returns when systemd says that it is up (for
// Type=notify: when the service has said so) and the health endpoint answers.
// Its context bounds the start only. A unit that runs already, from an earlier
// host or by hand, is stopped first. Start of a running service returns nil and
// takes over the lease of the context; Start of a failed one begins with a fresh
// budget of restarts.
//
// # Errors
//
// A configuration that is not valid; a systemd that does not answer; a unit that
// is not there, is masked, is enabled or triggered by another unit (systemd
// would start it without leadership), or has nothing to keep alive (oneshot
// without RemainAfterExit); a start that fails, with the last lines of the
// journal; [pluginapi.ErrNotLeader] when the lease in the context does not hold.
// After an error nothing of the service runs, or the error says what cannot be
// ended.
func (s *SystemdBackend) Start(ctx context.Context) error {
	if err := s.Validate(); err != nil {
		return err
	}
	if err := s.keeper.start(ctx); err != nil {
		s.tellSystemd("STATUS=" + s.unit.name + ": start failed")
		return fmt.Errorf("start unit %s: %w", s.unit.name, err)
	}
	s.tellSystemd(daemon.SdNotifyReady + "\nSTATUS=" + s.unit.name + " runs")
	return nil
}

// Stop stops the unit, and kills all its processes after the stop timeout or
// when the context ends. It returns nil only when nothing of it runs any more;
// it may be called in every state. With a systemd that does not answer the
// processes are killed by their mark and their control group.
//
// # Errors
//
// A unit that is still there, or of which nobody knows.
func (s *SystemdBackend) Stop(ctx context.Context) error {
	if err := s.keeper.stop(ctx); err != nil {
		return fmt.Errorf("stop unit %s: %w", s.unit.name, err)
	}
	s.tellSystemd("STATUS=" + s.unit.name + " is stopped")
	return nil
}

func (s *SystemdBackend) tellSystemd(state string) {
	if s.notify {
		_, _ = daemon.SdNotify(false, state) // the service does not depend on it
	}
}

// Health tells the state of the service as it was last seen, at most one health
// interval ago; it asks nobody and does not wait.
func (s *SystemdBackend) Health(context.Context) (Health, error) { return s.keeper.health(), nil }

// Failed returns the channel on which one error arrives when the service was
// started and cannot be kept alive: too many restarts, a lease that no longer
// holds, a systemd that has not answered three times. It is the same channel for
// the life of the backend; Start and Stop take an error back that nobody read.
func (s *SystemdBackend) Failed() <-chan error { return s.keeper.failed }

// Restart stops the running unit and starts it again; it returns when it is
// ready. It does not use up the budget of restarts.
//
// # Errors
//
// The service does not run, or did not come up; in the last case it is stopped.
func (s *SystemdBackend) Restart(ctx context.Context) error {
	if err := s.keeper.again(ctx); err != nil {
		return fmt.Errorf("restart unit %s: %w", s.unit.name, err)
	}
	return nil
}

// RestartCount is how often the service was restarted since Start, by the
// supervisor or by Restart.
func (s *SystemdBackend) RestartCount() int { return s.keeper.restartCount() }

// JournalLogs returns the unit's last lines in the journal of this machine, at
// most 1 MiB.
//
// # Errors
//
// There is no program journalctl, or it fails.
func (s *SystemdBackend) JournalLogs(ctx context.Context) (string, error) {
	out, err := journal(ctx, s.unit.name, s.unit.lines)
	if err != nil {
		return "", fmt.Errorf("read journal of unit %s: %w", s.unit.name, err)
	}
	return out, nil
}

// String tells the unit and its settings, for logs.
func (s *SystemdBackend) String() string {
	u, k := s.unit, s.keeper
	return fmt.Sprintf("unit %s after %v, endpoint %q each %v for %v, start %v, stop %v, restart %+v, %d journal lines",
		u.name, u.deps, u.endpoint, k.interval, u.lookFor, k.startFor, k.stopFor, k.restart, u.lines)
}
