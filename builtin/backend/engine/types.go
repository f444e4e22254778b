package engine

import "time"

// Spec is what a container is made from; names and meanings are the engine's.
type Spec struct {
	Image        string
	Cmd          []string            `json:",omitempty"`
	Entrypoint   []string            `json:",omitempty"`
	Env          []string            `json:",omitempty"`
	Labels       map[string]string   `json:",omitempty"`
	ExposedPorts map[string]struct{} `json:",omitempty"`
	Hostname     string              `json:",omitempty"`
	User         string              `json:",omitempty"`
	WorkingDir   string              `json:",omitempty"`
	StopSignal   string              `json:",omitempty"`
	Healthcheck  *Healthcheck        `json:",omitempty"`
	HostConfig   HostConfig
}

// Healthcheck is a command that the engine runs in the container; times are in
// nanoseconds.
type Healthcheck struct {
	Test        []string      `json:",omitempty"`
	Interval    time.Duration `json:",omitempty"`
	Timeout     time.Duration `json:",omitempty"`
	StartPeriod time.Duration `json:",omitempty"`
	Retries     int           `json:",omitempty"`
}

// HostConfig is what a container gets of its machine.
type HostConfig struct {
	Binds          []string                 `json:",omitempty"`
	PortBindings   map[string][]PortBinding `json:",omitempty"`
	NetworkMode    string                   `json:",omitempty"`
	RestartPolicy  RestartPolicy
	Memory         int64             `json:",omitempty"`
	MemorySwap     int64             `json:",omitempty"`
	NanoCpus       int64             `json:",omitempty"`
	PidsLimit      int64             `json:",omitempty"`
	Init           bool              `json:",omitempty"`
	Privileged     bool              `json:",omitempty"`
	ReadonlyRootfs bool              `json:",omitempty"`
	CapAdd         []string          `json:",omitempty"`
	CapDrop        []string          `json:",omitempty"`
	SecurityOpt    []string          `json:",omitempty"`
	ExtraHosts     []string          `json:",omitempty"`
	DNS            []string          `json:"Dns,omitempty"`
	GroupAdd       []string          `json:",omitempty"`
	IpcMode        string            `json:",omitempty"`
	PidMode        string            `json:",omitempty"`
	Runtime        string            `json:",omitempty"`
	ShmSize        int64             `json:",omitempty"`
	Tmpfs          map[string]string `json:",omitempty"`
	Sysctls        map[string]string `json:",omitempty"`
}

// PortBinding is where a port of a container is reached from outside.
type PortBinding struct {
	HostIP   string `json:"HostIp,omitempty"`
	HostPort string `json:",omitempty"`
}

// RestartPolicy says when the engine itself starts a container again.
type RestartPolicy struct {
	Name string
}

// Container is what the engine tells of a container.
type Container struct {
	ID         string `json:"Id"`
	State      State
	Config     struct{ Labels map[string]string }
	HostConfig struct{ RestartPolicy RestartPolicy }
}

// State is what a container does now.
type State struct {
	Status    string // created, running, paused, restarting, removing, exited, dead
	Running   bool   // also when it is paused or restarting
	Paused    bool
	OOMKilled bool
	ExitCode  int
	Error     string
	StartedAt time.Time
	Health    *HealthState // nil without a health check
}

// Words of [HealthState].
const (
	HealthStarting  = "starting"
	HealthHealthy   = "healthy"
	HealthUnhealthy = "unhealthy"
	HealthNone      = "none"
)

// HealthState is what the health check says.
type HealthState struct {
	Status string
	Log    []struct {
		ExitCode int
		Output   string
	}
}
