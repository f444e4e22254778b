package backend

import (
	"slices"
	"time"
)

// Defaults of the backends, of [RestartPolicy] and of [ReadyCheck].
const (
	DefaultGracefulTimeout = 10 * time.Second
	DefaultStartTimeout    = 60 * time.Second
	DefaultLogMaxSize      = 10 << 20
	DefaultLogMaxFiles     = 3
	DefaultMaxRestarts     = 3
	DefaultRestartWindow   = time.Minute
	DefaultRestartDelay    = 100 * time.Millisecond
	DefaultRestartBackoff  = 2.0
	DefaultReadyInterval   = 200 * time.Millisecond
	DefaultReadyTimeout    = 3 * time.Second
	DefaultReadyFailures   = 3
	DefaultStopTimeout     = 30 * time.Second // of a unit; a container has DefaultGracefulTimeout
	DefaultHealthInterval  = 5 * time.Second
	DefaultHealthTimeout   = 3 * time.Second
	DefaultJournalLines    = 100
)

// OutputHandler receives what the service writes, line by line, without the
// newline. Lines longer than 64 KiB arrive in pieces. It is called by one
// goroutine at a time. A handler that is slower than the service loses lines;
// it never holds the service up. [ProcessBackend.Health] says how many.
type OutputHandler func(line string, isStderr bool)

// ProcessConfig says how a service is run as a process. Only Command is
// needed. A field's zero value means its default.
type ProcessConfig struct {
	// Command is the program: a name that is looked up in PATH, or a path. A
	// relative path is relative to Dir.
	Command string
	// Args are the arguments, without the program's name.
	Args []string
	// Dir is the working directory; "" is the host's.
	Dir string
	// Env is added to the host's environment and wins over it; each entry is
	// KEY=VALUE. The host adds GCHOST_PLATFORM, GCHOST_NODE, GCHOST_APP,
	// GCHOST_EPOCH, GCHOST_INSTANCE and GCHOST_RUN; these cannot be changed.
	// What systemd gave to the host alone (NOTIFY_SOCKET, WATCHDOG_*, LISTEN_*)
	// is left out.
	Env []string
	// GracefulTimeout is the time from SIGTERM to SIGKILL; default 10 s. A
	// context that ends earlier shortens it.
	GracefulTimeout time.Duration
	// UseProcessGroup makes the grace the whole process group's: SIGTERM goes
	// to each process of the main process's group, and Stop waits for all of
	// them. Without it SIGTERM goes to the main process only, and what that
	// leaves behind is killed. SIGKILL always goes to everything.
	UseProcessGroup bool
	// LogFile receives stdout and stderr; "" is none. It is rotated to
	// LogFile.1, LogFile.2 and so on; its folder is made when it is missing. A
	// log that cannot be written does not stop the service;
	// [ProcessBackend.Health] tells about it. The host reads the output through
	// pipes and writes the file: a service that outlives its host loses both.
	LogFile string
	// LogMaxSize is the size in bytes at which LogFile is rotated; default 10 MiB.
	LogMaxSize int64
	// LogMaxFiles is how many rotated files are kept besides the current one;
	// default 3.
	LogMaxFiles int
	// OutputHandler receives stdout and stderr; nil is none.
	OutputHandler OutputHandler
	// Restart says what happens when the service ends by itself.
	Restart RestartPolicy
	// Ready says when the service is ready and whether it still is. Without it
	// the service is ready as soon as its process runs.
	Ready *ReadyCheck
	// StartTimeout is how long the service may take to become ready, at its
	// start and at each restart; default 60 s.
	StartTimeout time.Duration
}

// RestartPolicy says what happens when a service ends by itself, with any exit
// code, or becomes unhealthy. Its zero value restarts: at most 3 times within a
// minute, the first time after 100 ms, then after 200 ms, 400 ms and so on.
// When that is not enough the backend gives up, see [ProcessBackend.Failed].
//
// There is no field Enabled, so that the zero value is the useful one.
type RestartPolicy struct {
	// Disabled means that the first end is final.
	Disabled bool
	// MaxRestarts is how many restarts are made within Window; default 3.
	MaxRestarts int
	// Window is the time in which restarts are counted; default 1 min. When no
	// restart falls into it, the delay is the first one again.
	Window time.Duration
	// Delay is the time before the first restart; default 100 ms. Each delay
	// varies by 20 % up or down.
	Delay time.Duration
	// Backoff is what each further delay is multiplied by, up to 30 s; default 2.
	Backoff float64
}

// ReadyCheck asks the service whether it can work. Set at least one of HTTP,
// TCP and Exec; all that are set must pass. The first check is made at once.
// After the service was ready the checks go on: Failures bad ones in a row mean
// that it is unhealthy, and it is restarted.
type ReadyCheck struct {
	// HTTP is a URL (http or https) that is fetched with GET; redirects are not
	// followed, no proxy is used, and a certificate must be valid.
	HTTP string
	// ExpectedStatus is the status that HTTP must answer; 0 means any 2xx.
	ExpectedStatus int
	// TCP is a host:port that must accept a connection.
	TCP string
	// Exec is a command that must exit with 0. It runs in the service's cage,
	// with its environment and working directory.
	Exec []string
	// Interval is the time between the end of a check and the next; default 200 ms.
	Interval time.Duration
	// Timeout is how long one check may take; default 3 s.
	Timeout time.Duration
	// Failures is how many bad checks in a row make a running service
	// unhealthy; default 3.
	Failures int
}

// withDefaults returns a copy that shares nothing with the caller's.
func (c ProcessConfig) withDefaults() ProcessConfig {
	c.Args, c.Env = slices.Clone(c.Args), slices.Clone(c.Env)
	c.GracefulTimeout = or(c.GracefulTimeout, DefaultGracefulTimeout)
	c.StartTimeout = or(c.StartTimeout, DefaultStartTimeout)
	c.LogMaxSize = or(c.LogMaxSize, DefaultLogMaxSize)
	c.LogMaxFiles = or(c.LogMaxFiles, DefaultLogMaxFiles)
	c.Restart = withRestartDefaults(c.Restart)
	if c.Ready != nil {
		r := *c.Ready
		r.Exec = slices.Clone(r.Exec)
		r.Interval = or(r.Interval, DefaultReadyInterval)
		r.Timeout = or(r.Timeout, DefaultReadyTimeout)
		r.Failures = or(r.Failures, DefaultReadyFailures)
		c.Ready = &r
	}
	return c
}

func withRestartDefaults(r RestartPolicy) RestartPolicy {
	r.MaxRestarts = or(r.MaxRestarts, DefaultMaxRestarts)
	r.Window = or(r.Window, DefaultRestartWindow)
	r.Delay = or(r.Delay, DefaultRestartDelay)
	r.Backoff = or(r.Backoff, DefaultRestartBackoff)
	return r
}

// or returns the value, or what it is by default when it is zero.
func or[T comparable](value, byDefault T) T {
	var zero T
	if value == zero {
		return byDefault
	}
	return value
}
