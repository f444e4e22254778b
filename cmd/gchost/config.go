package main

import (
	"fmt"
	"log/slog"
	"time"
)

// Config is everything that a host is told: the configuration file, the
// environment and the flags together. The tag key is the name of a field in
// all of them; docs/config.md describes each, and a test holds it to this type.
type Config struct {
	Platform        string            `key:"platform"`
	Node            string            `key:"node"`
	Address         string            `key:"address"`
	DataDir         string            `key:"data_dir"`
	Labels          map[string]string `key:"labels"`
	LeaseTTL        time.Duration     `key:"lease_ttl"`
	Heartbeat       time.Duration     `key:"heartbeat"`
	HookTimeout     time.Duration     `key:"hook_timeout"`
	ShutdownTimeout time.Duration     `key:"shutdown_timeout"`
	HealthAddr      string            `key:"health_addr"`
	MetricsAddr     string            `key:"metrics_addr"`
	NATS            NATSConfig        `key:"nats"`
	Cluster         ClusterConfig     `key:"cluster"`
	Log             LogConfig         `key:"log"`
	Plugins         PluginsConfig     `key:"plugins"`
	Apps            []AppConfig       `key:"apps"`
}

// NATSConfig names a NATS that somebody else runs. Without a URL the host runs
// its own server, see [ClusterConfig].
type NATSConfig struct {
	URL      string    `key:"url"` // one or more, with commas between; may hold a password
	Creds    string    `key:"creds"`
	NKey     string    `key:"nkey"`
	User     string    `key:"user"`
	Password Secret    `key:"password"`
	Token    Secret    `key:"token"`
	TLS      TLSConfig `key:"tls"`
}

// ClusterConfig is the host's own NATS server and the others that it forms a
// cluster with; or, with Join, the servers of other hosts in its place.
type ClusterConfig struct {
	Join       []string     `key:"join"`
	Listen     string       `key:"listen"`
	Routes     string       `key:"routes"`
	Mesh       string       `key:"mesh"`
	Peers      []PeerConfig `key:"peers"`
	Secret     Secret       `key:"secret"`
	SecretFile string       `key:"secret_file"`
	TLS        TLSConfig    `key:"tls"`
	Raft       string       `key:"raft"`
}

// PeerConfig is another voting server of the cluster.
type PeerConfig struct {
	Name   string `key:"name"`
	Routes string `key:"routes"`
	Mesh   string `key:"mesh"`
	Client string `key:"client"` // where its clients connect
}

// TLSConfig names files in PEM.
type TLSConfig struct {
	CA   string `key:"ca"`
	Cert string `key:"cert"`
	Key  string `key:"key"`
}

// LogConfig says what is logged, and how.
type LogConfig struct {
	Level  string `key:"level"`
	Format string `key:"format"`
}

// PluginsConfig says which plugins may run on the node.
type PluginsConfig struct {
	Trust         []string          `key:"trust"`
	AllowUnsigned bool              `key:"allow_unsigned"`
	Dir           string            `key:"dir"`
	Grants        []GrantConfig     `key:"grants"`
	Secrets       map[string]string `key:"secrets"`
	Commands      []CommandConfig   `key:"commands"`
}

// CommandConfig is a command that plugins with that grant may run.
type CommandConfig struct {
	Name    string        `key:"name"`
	Argv    []string      `key:"argv"`
	Args    []string      `key:"args"`
	Dir     string        `key:"dir"`
	Timeout time.Duration `key:"timeout"`
}

// GrantConfig says what one plugin may do.
type GrantConfig struct {
	Plugin       string   `key:"plugin"`
	Capabilities []string `key:"capabilities"`
}

// AppConfig is one app.
type AppConfig struct {
	Name        string          `key:"name"`
	Mode        string          `key:"mode"`
	Backend     BackendConfig   `key:"backend"`
	Hooks       HooksConfig     `key:"hooks"`
	HookTimeout time.Duration   `key:"hook_timeout"`
	Placement   PlacementConfig `key:"placement"`
	SQLite      *SQLiteConfig   `key:"sqlite"`
}

// SQLiteConfig is the database of an app that is replicated.
type SQLiteConfig struct {
	Path             string        `key:"path"`
	SnapshotInterval time.Duration `key:"snapshot_interval"`
	Retention        time.Duration `key:"retention"`
	AlarmMiB         int           `key:"alarm_mib"`
}

// PlacementConfig says how the nodes for an app are ranked.
type PlacementConfig struct {
	Policy string   `key:"policy"` // name of a plugin; "": what is built in
	Config Settings `key:"config"`
}

// PluginConfig is a plugin that does something for an app.
type PluginConfig struct {
	Name   string   `key:"name"`
	Config Settings `key:"config"`
}

// HookPluginConfig is a plugin that is told of what happens to an app.
type HookPluginConfig struct {
	Name    string        `key:"name"`
	Events  []string      `key:"events"`
	Timeout time.Duration `key:"timeout"`
	OnError string        `key:"on_error"`
	Retries int           `key:"retries"`
	Config  Settings      `key:"config"`
}

// Settings is what a plugin is configured with, as JSON: its own schema checks
// it.
type Settings string

// BackendConfig is the service that an app makes highly available: exactly one
// kind, or none for an app that has only hooks.
type BackendConfig struct {
	Process *ProcessConfig `key:"process"`
	Plugin  *PluginConfig  `key:"plugin"`
	Docker  *DockerConfig  `key:"docker"`
	Systemd *SystemdConfig `key:"systemd"`
}

// DockerConfig is a container that the host has an engine run.
type DockerConfig struct {
	Image        string             `key:"image"`
	Name         string             `key:"name"`
	Command      []string           `key:"command"`
	Env          map[string]string  `key:"env" mask:"values"`
	Volumes      []string           `key:"volumes"`
	Ports        []string           `key:"ports"`
	Network      string             `key:"network"`
	Labels       map[string]string  `key:"labels"`
	ExtraArgs    []string           `key:"extra_args"`
	Socket       string             `key:"socket"`
	StartTimeout time.Duration      `key:"start_timeout"`
	StopTimeout  time.Duration      `key:"stop_timeout"`
	HealthCheck  *DockerCheckConfig `key:"health_check"`
	Resources    DockerLimitsConfig `key:"resources"`
	Restart      RestartConfig      `key:"restart"`
}

// DockerCheckConfig is a health check that the engine makes.
type DockerCheckConfig struct {
	Cmd         []string      `key:"cmd"`
	Interval    time.Duration `key:"interval"`
	Timeout     time.Duration `key:"timeout"`
	StartPeriod time.Duration `key:"start_period"`
	Retries     int           `key:"retries"`
}

// DockerLimitsConfig limits what a container may use.
type DockerLimitsConfig struct {
	Memory     string `key:"memory"`
	MemorySwap string `key:"memory_swap"`
	CPUs       string `key:"cpus"` // a number of cores
	PIDs       int    `key:"pids"`
}

// SystemdConfig is a unit that the host has systemd run.
type SystemdConfig struct {
	Unit           string        `key:"unit"`
	Dependencies   []string      `key:"dependencies"`
	HealthEndpoint string        `key:"health_endpoint"`
	HealthInterval time.Duration `key:"health_interval"`
	HealthTimeout  time.Duration `key:"health_timeout"`
	StartTimeout   time.Duration `key:"start_timeout"`
	StopTimeout    time.Duration `key:"stop_timeout"`
	Restart        RestartConfig `key:"restart"`
}

// ProcessConfig is a command that the host starts and watches.
type ProcessConfig struct {
	Command         string            `key:"command"`
	Args            []string          `key:"args"`
	Dir             string            `key:"dir"`
	Env             map[string]string `key:"env" mask:"values"`
	GracefulTimeout time.Duration     `key:"graceful_timeout"`
	LogFile         string            `key:"log_file"`
	Ready           ReadyConfig       `key:"ready"`
	Restart         RestartConfig     `key:"restart"`
}

// ReadyConfig says when a started process is ready: at most one way.
type ReadyConfig struct {
	HTTP     string        `key:"http"`
	TCP      string        `key:"tcp"`
	Exec     []string      `key:"exec"`
	Interval time.Duration `key:"interval"`
	Timeout  time.Duration `key:"timeout"`
}

// RestartConfig says how often a service that ends by itself is started again
// before the host gives its leadership away.
type RestartConfig struct {
	Max    int           `key:"max"`
	Window time.Duration `key:"window"`
	Delay  time.Duration `key:"delay"`
}

// HooksConfig is what is run when something happens to an app: a program and
// its arguments.
type HooksConfig struct {
	OnActive       []string           `key:"on_active"`
	OnPassive      []string           `key:"on_passive"`
	OnStart        []string           `key:"on_start"`
	OnStop         []string           `key:"on_stop"`
	OnLeaderChange []string           `key:"on_leader_change"`
	OnMemberJoin   []string           `key:"on_member_join"`
	OnMemberLeave  []string           `key:"on_member_leave"`
	Plugins        []HookPluginConfig `key:"plugins"`
}

// External says whether the platform uses a NATS that somebody else runs.
func (c Config) External() bool { return c.NATS.URL != "" }

// Joins says whether the host is a client of the servers of other hosts.
func (c Config) Joins() bool { return len(c.Cluster.Join) > 0 }

// Secret is a text that is never printed by accident.
type Secret string

const masked = "********"

// String returns asterisks; it keeps the secret out of every %v and %s.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return masked
}

// GoString keeps the secret out of %#v.
func (s Secret) GoString() string { return fmt.Sprintf("%q", s.String()) }

// LogValue keeps the secret out of the log.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText keeps the secret out of JSON.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }
