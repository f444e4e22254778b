package backend

import (
	"maps"
	"slices"
	"time"

	"github.com/ozanturksever/go-cluster/builtin/backend/engine"
)

// DockerConfig says how a service is run as a container of Docker, or of an
// engine that serves Docker's API. Only Image is needed. A field's zero value
// means its default.
type DockerConfig struct {
	// Image is the image. One that the engine does not have is pulled, without a
	// login, as a part of the start; it is better to have it there before.
	Image string
	// Name is the name of the container, "gchost." and the instance without one.
	// A container of that name that belongs to somebody else is never touched.
	Name string
	// Network is the network that the container is in; "" is the engine's default.
	Network string
	// Env is the environment, beside that of the image; each entry is KEY=VALUE.
	// The host adds GCHOST_PLATFORM, GCHOST_NODE, GCHOST_APP, GCHOST_EPOCH,
	// GCHOST_INSTANCE and, where there is one, the login for the app's data.
	// GCHOST_INSTANCE is also how a guard finds the processes to kill: the
	// container's first process must not drop it.
	Env []string
	// Volumes are folders or named volumes: "/srv/data:/data", "data:/data:ro".
	// What is written elsewhere is lost with each start under another epoch.
	Volumes []string
	// Ports are published: "8080:80", "127.0.0.1:8080:80", "53:53/udp".
	Ports []string
	// StopTimeout is the time from the image's stop signal to SIGKILL; default
	// 10 s, counted in whole seconds.
	StopTimeout time.Duration
	// Labels are added to the container. Those that begin with "gchost." are the
	// host's.
	Labels map[string]string
	// ExtraArgs are options of "docker run", as they stand there: "--init",
	// "--user=nobody", "--cap-drop", "ALL". See [DockerBackend.Validate] for what
	// is understood.
	ExtraArgs []string
	// HealthCheck says when the service is ready and whether it still is; nil
	// leaves it to the image. Without any, it is ready as soon as it runs.
	HealthCheck *DockerHealthCheck
	// Resources limits what the container may use; nil is no limit.
	Resources *DockerResources

	// Command replaces the command of the image.
	Command []string
	// Restart says what happens when the container ends by itself, or becomes
	// unhealthy. The engine's own restart policy is always "no": it would start
	// the service without leadership.
	Restart RestartPolicy
	// StartTimeout is how long a start may take, pulling included; default 60 s.
	StartTimeout time.Duration
	// Socket is where the engine listens; default /var/run/docker.sock.
	Socket string
}

// DockerHealthCheck is a check that the engine makes.
type DockerHealthCheck struct {
	// Cmd runs in the container and must exit with 0. One entry alone is a line
	// for the image's shell; several are a program and its arguments.
	Cmd []string
	// Interval is the time between two checks, Timeout how long one may take;
	// default 30 s each, which are the engine's. StartPeriod is a time in which
	// bad checks do not count; default none.
	Interval, Timeout, StartPeriod time.Duration
	// Retries is how many bad checks in a row make the service unhealthy;
	// default 3.
	Retries int
}

// DockerResources limits a container.
type DockerResources struct {
	Memory     string  // bytes, or with a unit of 1024: "512m", "2g"
	CPUs       float64 // 1.5 is one core and a half
	MemorySwap string  // memory and swap together; "-1" is no limit of swap
	PIDs       int     // processes and threads
}

// withDefaults returns a copy that shares nothing with the caller's.
func (c DockerConfig) withDefaults() DockerConfig {
	c.Env, c.Volumes, c.Ports = slices.Clone(c.Env), slices.Clone(c.Volumes), slices.Clone(c.Ports)
	c.ExtraArgs, c.Command, c.Labels = slices.Clone(c.ExtraArgs), slices.Clone(c.Command), maps.Clone(c.Labels)
	if c.HealthCheck != nil {
		h := *c.HealthCheck
		h.Cmd = slices.Clone(h.Cmd)
		c.HealthCheck = &h
	}
	if c.Resources != nil {
		r := *c.Resources
		c.Resources = &r
	}
	c.StopTimeout = or(c.StopTimeout, DefaultGracefulTimeout)
	c.StartTimeout = or(c.StartTimeout, DefaultStartTimeout)
	c.Socket = or(c.Socket, engine.DefaultSocket)
	return c
}
