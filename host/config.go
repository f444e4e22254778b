package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/host/bus/embedded"
	"github.com/ozanturksever/go-cluster/host/clock"
	"github.com/ozanturksever/go-cluster/host/core/membership"
	"github.com/ozanturksever/go-cluster/host/events"
	"github.com/ozanturksever/go-cluster/host/monitor"
	"github.com/ozanturksever/go-cluster/host/observe"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Defaults of a [Config].
const (
	DefaultTTL         = 3 * time.Second  // with embedded servers, one's own or those of other nodes
	DefaultExternalTTL = 12 * time.Second // with an existing NATS: its streams may not be writable for 8 s after a crash
	DefaultHookTimeout = 30 * time.Second
	DefaultShutdown    = 30 * time.Second
	MinTTL             = 500 * time.Millisecond
	maxTTL             = time.Hour
)

// App is an app on this node.
type App struct {
	Name        string
	Singleton   bool
	Backend     pluginapi.Backend // nil: none
	Database    *Database         // nil: none
	Uses        Uses              // of plugins
	Hooks       Hooks
	HookTimeout time.Duration // 0: that of the node
	Calls       Calls
	Events      *events.Broker // nil: none
	EventLimits events.Limits
}

// Hooks are the functions of an app, several for one event; they are called in
// order, and the first error ends the call.
type Hooks struct {
	Active, Passive, Start, Stop []func(context.Context) error
	LeaderChange                 []func(context.Context, string) error
	MemberJoin, MemberLeave      []func(context.Context, pluginapi.Member) error
	HealthChange                 []func(context.Context, pluginapi.HealthStatus) error
}

// Config is what a [Node] needs to know.
type Config struct {
	Platform, Node  string
	Address         string // under which others reach this node
	Version         string // of the software, for people
	Labels          map[string]string
	TTL             time.Duration // 0: default
	Heartbeat       time.Duration // between renewals; 0: TTL / 4
	HookTimeout     time.Duration // 0: default
	ShutdownTimeout time.Duration // 0: default
	DataDir         string        // "": none; epochs are then not kept, and a restart after a crash waits for the lease
	NATS            bus.Config    // existing NATS; used when Embedded and Join are nil
	Embedded        *embedded.Config
	Join            *embedded.Join // in place of Embedded: no server of its own, a client of those of other nodes
	Peers           []string       // client URLs of the other hosts' servers, for the guard
	Guard           []string       // command of the guard; empty: none
	HealthAddr      string         // host:port of /health, /ready, /status and /health/checks; "": none
	MetricsAddr     string         // host:port of /metrics; "": none
	Apps            []App
	Logger          *slog.Logger
	OnLabels        func(node string, labels map[string]string)
	Checks          *monitor.Monitor // the node's health checks; nil: a monitor of its own
	Figures         *observe.Figures // what the node counts; nil: figures of its own
	Events          *events.Broker   // of the platform; nil: none
	EventLimits     events.Limits
	Plugins         *Plugins // nil: none run on this node
	// Overrun is called when code of an app has not come back although the lease
	// is about to end: it must end the process. nil: log and end it.
	Overrun func(app, step string)
	now     clock.Clock
}

// withDefaults fills in what was left out.
func (c Config) withDefaults() Config {
	if c.TTL == 0 {
		c.TTL = DefaultTTL
		if c.external() {
			c.TTL = DefaultExternalTTL
		}
	}
	if c.Heartbeat == 0 {
		c.Heartbeat = c.TTL / 4
	}
	if c.HookTimeout == 0 {
		c.HookTimeout = DefaultHookTimeout
	}
	if c.ShutdownTimeout == 0 {
		c.ShutdownTimeout = DefaultShutdown
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.now == nil {
		c.now = clock.Now
	}
	c.Logger = c.Logger.With("node", c.Node)
	c.Apps = slices.Clone(c.Apps)
	for i := range c.Apps {
		if c.Apps[i].HookTimeout == 0 {
			c.Apps[i].HookTimeout = c.HookTimeout
		}
	}
	return c
}

// external says whether the platform uses a NATS that somebody else runs.
func (c Config) external() bool { return c.Embedded == nil && c.Join == nil }

// budget is what stopping all work may take when the lease runs out.
func (c Config) budget() time.Duration { return c.TTL / 3 }

// margin is what must be left between the end of all work and the deadline.
func (c Config) margin() time.Duration { return max(20*time.Millisecond, c.TTL/50) }

// Check reports every mistake at once.
func (c Config) Check() error {
	d := c.withDefaults()
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("%w: "+format, append([]any{pluginapi.ErrInvalid}, args...)...))
	}
	faults = append(faults, pluginapi.CheckName("platform", c.Platform), pluginapi.CheckName("node", c.Node), membership.CheckLabels(c.Labels), c.EventLimits.Check())
	for name, v := range map[string]time.Duration{"lease ttl": c.TTL, "heartbeat": c.Heartbeat, "hook timeout": c.HookTimeout, "shutdown timeout": c.ShutdownTimeout} {
		if v < 0 {
			fault("%s is %v: give a positive duration, or 0 for the default", name, v)
		}
	}
	switch {
	case c.TTL < 0 || c.Heartbeat < 0:
	case d.TTL < MinTTL || d.TTL > maxTTL:
		fault("lease ttl is %v: allowed are %v to %v", d.TTL, MinTTL, maxTTL)
	case 3*d.Heartbeat > d.TTL:
		fault("lease ttl %v is shorter than 3 x heartbeat %v: two lost renewals would end the lease: give a ttl of %v or more, or a shorter heartbeat", d.TTL, d.Heartbeat, 3*d.Heartbeat)
	case d.Heartbeat+d.budget()+d.margin() > d.TTL:
		fault("heartbeat %v + %v to stop all work + %v margin do not fit into lease ttl %v: give a shorter heartbeat", d.Heartbeat, d.budget(), d.margin(), d.TTL)
	}
	faults = append(append(faults, c.checkServers()), c.Plugins.check(c.DataDir)...)
	faults = append(append(faults, checkDatabases(c.Apps)...), c.checkUses()...)
	seen := map[string]bool{}
	for _, a := range c.Apps {
		faults = append(faults, pluginapi.CheckName("app", a.Name))
		if seen[a.Name] {
			fault("app %s is registered twice", a.Name)
		}
		seen[a.Name] = true
		if err := a.EventLimits.Check(); err != nil {
			faults = append(faults, fmt.Errorf("app %s: %w", a.Name, err))
		}
		if a.HookTimeout < 0 {
			fault("hook timeout of app %s is %v: give a positive duration, or 0 for the node's", a.Name, a.HookTimeout)
		}
	}
	return errors.Join(faults...)
}

// checkServers wants exactly one way to the servers, and what belongs to it.
func (c Config) checkServers() error {
	var faults []error
	fault := func(text string) { faults = append(faults, fmt.Errorf("%w: %s", pluginapi.ErrInvalid, text)) }
	if c.external() && len(c.NATS.URLs) == 0 {
		fault("neither an embedded server nor the URL of an existing NATS is given")
	}
	if c.Embedded != nil && c.DataDir == "" {
		fault("an embedded server needs a data directory: give a folder of this node's own")
	}
	if c.Join == nil {
		return errors.Join(faults...)
	}
	if c.Embedded != nil {
		fault("both an embedded server and servers to join are given: a node votes or is a client of those that do: leave one out")
	}
	if len(c.NATS.URLs) > 0 {
		fault("both a NATS URL and servers to join are given: leave one out")
	}
	if len(c.Peers) > 0 {
		fault("both peers and servers to join are given: the guard uses the latter: leave the peers out")
	}
	return errors.Join(append(faults, c.Join.Check())...)
}
