package backend

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ozanturksever/go-cluster/builtin/backend/engine"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// unbound is the instance of a backend that is bound to none.
const unbound = "-"

// container is the remote of a DockerBackend.
type container struct {
	cfg    DockerConfig
	client *engine.Client

	mu       sync.Mutex
	name     string
	instance string
}

func (c *container) bind(instance string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.instance = instance
	c.name = or(c.cfg.Name, "gchost."+instance)
}

// called is the container's name.
func (c *container) called() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return or(c.name, "gchost.unbound")
}

func (c *container) owner() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return or(c.instance, unbound)
}

// find returns our container; none when there is no container of its name, and
// an error when that is another's.
func (c *container) find(ctx context.Context) (found *engine.Container, err error) {
	got, err := c.client.Inspect(ctx, c.called())
	if engine.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if got.Config.Labels[labelInstance] != c.owner() {
		return nil, fmt.Errorf("%w: %w", pluginapi.ErrInvalid, errNotOurs)
	}
	return &got, nil
}

func (c *container) bringUp(ctx context.Context, t told) error {
	spec, err := c.cfg.spec()
	if err != nil {
		return err
	}
	if err := c.prepare(ctx, spec, t); err != nil {
		return err
	}
	whole, cancel := uncut(ctx)
	defer cancel()
	if err := c.client.Start(whole, c.called()); err != nil {
		return err
	}
	return attention(ctx, c.watch, time.Second, func(bool) (bool, error) {
		s, err := c.look(ctx)
		switch {
		case err != nil:
			return true, err
		case !s.alive:
			return true, fmt.Errorf("it ended before it was ready: %s%s", s.message, c.lastLines(ctx))
		case s.sick:
			return true, fmt.Errorf("it is unhealthy: %s%s", s.message, c.lastLines(ctx))
		}
		return s.status == pluginapi.StatusRunning, nil
	})
}

// prepare sees to it that there is a container that does not run and is made of
// the specification.
func (c *container) prepare(ctx context.Context, spec engine.Spec, t told) error {
	spec.Env = slices.Concat(t.access, spec.Env, t.instance)
	if spec.Labels == nil {
		spec.Labels = map[string]string{}
	}
	spec.Labels[labelInstance] = c.owner()
	text, err := json.Marshal(spec)
	if err != nil {
		return fmt.Errorf("encode container: %w", err)
	}
	sum := sha256.Sum256(text)
	digest := hex.EncodeToString(sum[:])
	old, err := c.find(ctx)
	if err != nil {
		return err
	}
	// The policy is looked at too: it can be changed from outside.
	if old != nil && !old.State.Running && old.Config.Labels[labelSpec] == digest && old.HostConfig.RestartPolicy.Name == "no" {
		return nil
	}
	whole, cancel := uncut(ctx)
	defer cancel()
	if old != nil {
		if err := c.client.Remove(whole, old.ID); err != nil && !engine.IsNotFound(err) {
			return err
		}
	}
	spec.Labels[labelSpec] = digest
	return c.create(ctx, spec)
}

// create makes the container, and pulls its image if the engine has not got it.
func (c *container) create(ctx context.Context, spec engine.Spec) error {
	whole, cancel := uncut(ctx)
	defer cancel()
	err := c.client.Create(whole, c.called(), spec)
	if !engine.IsNotFound(err) {
		return err
	}
	if err := c.client.Pull(ctx, tagged(spec.Image)); err != nil {
		return fmt.Errorf("pull image %s: %w", spec.Image, err)
	}
	whole, cancelSecond := uncut(ctx)
	defer cancelSecond()
	return c.client.Create(whole, c.called(), spec)
}

// changeTime is how long one change at the engine may take.
const changeTime = 30 * time.Second

// uncut is for what must not be given up halfway: an engine goes on with a start
// whose asker has left, and the container would run with nobody to watch it.
func uncut(ctx context.Context) (context.Context, context.CancelFunc) {
	slow := fmt.Errorf("%w: the engine has not done it in %v", pluginapi.ErrTimeout, changeTime)
	return context.WithTimeoutCause(context.WithoutCancel(ctx), changeTime, slow)
}

// tagged gives an image without tag and digest the tag that is meant by that;
// the engine would fetch all there are.
func tagged(image string) string {
	last := image[strings.LastIndexByte(image, '/')+1:]
	if strings.ContainsAny(last, ":@") {
		return image
	}
	return image + ":latest"
}

func (c *container) watch(ctx context.Context, hint func()) error {
	return c.client.Watch(ctx, c.called(), hint)
}

func (c *container) look(ctx context.Context) (sight, error) {
	got, err := c.find(ctx)
	if err != nil {
		return sight{}, err
	}
	if got == nil {
		return sight{status: pluginapi.StatusStopped, message: "there is no container"}, nil
	}
	return seen(got.State), nil
}

func seen(st engine.State) sight {
	s := sight{alive: st.Running, status: pluginapi.StatusRunning, since: st.StartedAt}
	switch {
	case !st.Running:
		return sight{status: pluginapi.StatusStopped, message: ending(st)}
	case st.Paused:
		s.status, s.message = pluginapi.StatusUnhealthy, "it is paused"
	case st.Health == nil:
	case st.Health.Status == engine.HealthStarting:
		s.status, s.message = pluginapi.StatusStarting, lastCheck(st.Health)
	case st.Health.Status == engine.HealthUnhealthy:
		s.status, s.message, s.sick = pluginapi.StatusUnhealthy, lastCheck(st.Health), true
	}
	return s
}

// ending says how a container ended.
func ending(st engine.State) string {
	var words []string
	if st.OOMKilled {
		words = append(words, "out of memory")
	}
	if st.Error != "" {
		words = append(words, st.Error)
	}
	return strings.Join(append(words, fmt.Sprintf("exit code %d", st.ExitCode)), ", ")
}

func lastCheck(h *engine.HealthState) string {
	if len(h.Log) == 0 {
		return "no check has ended yet"
	}
	last := h.Log[len(h.Log)-1]
	return strings.TrimSpace(fmt.Sprintf("check: exit code %d %.300s", last.ExitCode, last.Output))
}

// lastLines are for the error of a start.
func (c *container) lastLines(ctx context.Context) string {
	logs, err := c.client.Logs(ctx, c.called(), 5)
	logs = strings.TrimSpace(logs)
	if err != nil || logs == "" {
		return ""
	}
	return fmt.Sprintf("; its last lines: %.1000s", logs)
}

// bringDown ends the container, by its mark when the engine is of no help.
func (c *container) bringDown(ctx context.Context) error {
	err := c.halt(ctx)
	if err == nil || errors.Is(err, errNotOurs) {
		// What has the name and is not ours is not our service.
		return nil
	}
	if c.owner() == unbound {
		return err
	}
	if errSweep := sweepMark(envInstance + "=" + c.owner()); errSweep != nil {
		return errors.Join(err, errSweep)
	}
	return nil
}

func (c *container) halt(ctx context.Context) error {
	if ctx.Err() == nil {
		found, err := c.find(ctx)
		if err == nil && (found == nil || !found.State.Running) {
			return nil
		}
		if err == nil && !found.State.Paused { // a paused one hears no signal
			err = c.client.Stop(ctx, found.ID, c.cfg.StopTimeout)
		}
		if errors.Is(err, errNotOurs) {
			return err
		}
	}
	return c.kill(context.WithoutCancel(ctx))
}

// kill kills the container and waits for its end.
func (c *container) kill(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, killTimeout, fmt.Errorf("%w: it still lives %v after SIGKILL", pluginapi.ErrTimeout, killTimeout))
	defer cancel()
	found, err := c.find(ctx)
	if err != nil || found == nil || !found.State.Running {
		return err
	}
	if err := c.client.Kill(ctx, found.ID); err != nil && !engine.IsNotFound(err) && !engine.IsConflict(err) {
		return err
	}
	return attention(ctx, c.watch, 100*time.Millisecond, func(bool) (bool, error) {
		s, err := c.look(ctx)
		return err == nil && !s.alive, err
	})
}
