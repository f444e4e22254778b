package backend

import (
	"context"
	"errors"
	"fmt"

	"github.com/ozanturksever/go-cluster/builtin/backend/engine"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// DockerBackend runs a service as a container of Docker, or of an engine that
// serves Docker's API. It watches the engine's events, starts the container
// again when it ends by itself or is unhealthy, and never leaves that to the
// engine, which would do it without leadership. All its methods may be called at
// the same time.
//
// Its goroutines live from Start to Stop; a service that was started must be
// stopped, also when it has failed.
type DockerBackend struct {
	cfg    DockerConfig
	keeper *keeper
	box    *container
}

var (
	_ pluginapi.Backend    = (*DockerBackend)(nil)
	_ pluginapi.Supervised = (*DockerBackend)(nil)
	_ pluginapi.Killable   = (*DockerBackend)(nil)
)

// NewDocker returns a backend that runs a container. It asks the engine for
// nothing yet and never fails; [DockerBackend.Validate] tells what is wrong with
// the configuration.
func NewDocker(cfg DockerConfig) *DockerBackend {
	cfg = cfg.withDefaults()
	d := &DockerBackend{cfg: cfg}
	d.box = &container{cfg: cfg, client: engine.New(cfg.Socket), name: cfg.Name}
	d.keeper = newKeeper("container "+or(cfg.Name, cfg.Image), d.box, cfg.Restart)
	d.keeper.startFor, d.keeper.stopFor = cfg.StartTimeout, cfg.StopTimeout
	return d
}

// Validate returns every fault of the configuration at once, each one wrapping
// [pluginapi.ErrInvalid]; nil when there is none. It does not ask the engine.
//
// Of the options of "docker run" ExtraArgs may have --init, --privileged,
// --read-only, --user, --workdir, --hostname, --stop-signal, --ipc, --runtime,
// --entrypoint, --cap-add, --cap-drop, --security-opt, --add-host, --dns,
// --group-add, --shm-size, --tmpfs and --sysctl.
func (d *DockerBackend) Validate() error {
	_, err := d.cfg.spec()
	return err
}

// Bind says whose the service is, and returns what must be gone for it to be
// dead: all processes with the mark GCHOST_INSTANCE in their environment. They
// are processes of this machine too; when the container's first one is killed
// the kernel ends the others, with or without the help of the engine. Call it
// before the first Start.
//
// # Errors
//
// Names that [pluginapi.CheckName] refuses, and a service that runs already.
func (d *DockerBackend) Bind(in pluginapi.Instance) ([]pluginapi.Fence, error) {
	mark, err := d.keeper.bind(in)
	if err != nil {
		return nil, fmt.Errorf("bind container: %w", err)
	}
	d.box.bind(instanceName(in))
	return []pluginapi.Fence{mark}, nil
}

// Start starts the container and returns when it is healthy; without a health
// check, when it runs. Its context bounds the start only. What an earlier host
// left of the same instance is ended first. A container that was made from the
// same configuration under the same epoch is used again, any other is removed
// and made anew. Start of a running service returns nil and takes over the lease
// of the context; Start of a failed one begins with a fresh budget of restarts.
//
// # Errors
//
// A configuration that is not valid; an engine that does not answer or refuses;
// a container of the same name that belongs to somebody else
// ([pluginapi.ErrInvalid]); a container that ends, or is not healthy in time,
// with its last lines; [pluginapi.ErrNotLeader] when the lease in the context
// does not hold. After an error nothing of the service runs, or the error says
// what cannot be ended.
func (d *DockerBackend) Start(ctx context.Context) error {
	if err := d.Validate(); err != nil {
		return err
	}
	if err := d.keeper.start(ctx); err != nil {
		return fmt.Errorf("start container %s: %w", d.box.called(), err)
	}
	return nil
}

// Stop ends the container: the image's stop signal, then, after StopTimeout or
// when the context ends, SIGKILL. The container itself stays, with its logs,
// until the next Start. It returns nil only when nothing of it runs any more; it
// may be called in every state. With an engine that does not answer the
// processes are killed by their mark, if the backend is bound (Linux).
//
// # Errors
//
// A container that is still there, or of which nobody knows.
func (d *DockerBackend) Stop(ctx context.Context) error {
	if err := d.keeper.stop(ctx); err != nil {
		return fmt.Errorf("stop container %s: %w", d.box.called(), err)
	}
	return nil
}

// Health tells the state of the service as it was last seen, at most 5 s ago; it
// asks nobody and does not wait.
func (d *DockerBackend) Health(context.Context) (Health, error) { return d.keeper.health(), nil }

// Failed returns the channel on which one error arrives when the service was
// started and cannot be kept alive: too many restarts, a lease that no longer
// holds, an engine that has not answered three times. It is the same channel for
// the life of the backend; Start and Stop take an error back that nobody read.
func (d *DockerBackend) Failed() <-chan error { return d.keeper.failed }

// Restart ends the running container, gracefully, and starts it again; it
// returns when it is ready. It does not use up the budget of restarts.
//
// # Errors
//
// The service does not run, or did not come up; in the last case it is stopped.
func (d *DockerBackend) Restart(ctx context.Context) error {
	if err := d.keeper.again(ctx); err != nil {
		return fmt.Errorf("restart container %s: %w", d.box.called(), err)
	}
	return nil
}

// RestartCount is how often the service was restarted since Start, by the
// supervisor or by Restart.
func (d *DockerBackend) RestartCount() int { return d.keeper.restartCount() }

// Logs returns the last lines that the container has written, both streams, at
// most 1 MiB. They are there until the container is made anew.
//
// # Errors
//
// There is no such container, or the engine does not answer.
func (d *DockerBackend) Logs(ctx context.Context, lines int) (string, error) {
	if lines < 0 {
		return "", fmt.Errorf("read logs: %w: %d lines: give 0 or more", pluginapi.ErrInvalid, lines)
	}
	s, err := d.box.client.Logs(ctx, d.box.called(), lines)
	if err != nil {
		return "", fmt.Errorf("read logs of container %s: %w", d.box.called(), err)
	}
	return s, nil
}

var errNotOurs = errors.New("a container of that name is not this app's: remove or rename it, or choose another name")
