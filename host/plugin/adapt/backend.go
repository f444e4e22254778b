package adapt

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

const (
	// pollEvery is how often a started backend is asked whether it has given up.
	pollEvery = time.Second
	// pollTime is how long one such question may take.
	pollTime = 5 * time.Second
	// bindTime bounds Bind, whose signature has no context.
	bindTime = 10 * time.Second
	// defaultGrace is what Stop grants when its context has no deadline.
	defaultGrace = 10 * time.Second
	// stoppedRounds is how many times in a row a plugin has to say of a service
	// that nobody stopped that it is stopped, until that is believed: the plugin
	// itself was replaced, for example, and what it ran went with it.
	stoppedRounds = 3
	maxFences     = 16
	maxMessage    = 1024
)

// Backend is a backend that a plugin does. Its Start begins to ask the plugin
// once a second whether it has given up; its Stop, and Close, end that and wait
// for it.
//
// A stop does not wait for a start that is under way: what becomes of that one is
// for the plugin to decide. Start and Stop may last longer than one call of a
// plugin: load the instance with a limit of time that is long enough.
type Backend struct {
	i      plugin.Instance
	failed chan error

	mu    sync.Mutex
	poll  *poll // of the last start
	stops int   // how many there were: a start that one has overtaken asks nothing
}

// poll is the one who asks.
type poll struct {
	end  context.CancelFunc
	gone sync.WaitGroup
}

// NewBackend asks the plugin whether it is a backend.
func NewBackend(ctx context.Context, i plugin.Instance) (*Backend, error) {
	if _, err := Describe(ctx, i, wire.ContractBackend); err != nil {
		return nil, err
	}
	return &Backend{i: i, failed: make(chan error, 1)}, nil
}

// Start starts the service, with the epoch of the context's lease.
//
// # Errors
//
// ErrNotLeader, without a call, when the context carries a lease that does not
// hold; else the plugin's.
func (b *Backend) Start(ctx context.Context) error {
	var m wire.Start
	if lease, ok := pluginapi.LeaseFrom(ctx); ok {
		if lease.Valid == nil || !lease.Valid() {
			return fmt.Errorf("start backend: %w", pluginapi.ErrNotLeader)
		}
		m.Epoch = uint64(lease.Epoch)
	}
	stops := b.endPoll(false)
	if _, err := b.i.Call(ctx, wire.OpStart, m.Append(nil)); err != nil {
		return err
	}
	b.beginPoll(stops)
	return nil
}

// Stop stops the service: gracefully until shortly before the context's
// deadline, so that there is time for force.
func (b *Backend) Stop(ctx context.Context) error {
	b.endPoll(true)
	m := wire.Stop{GraceMS: grace(ctx).Milliseconds()}
	_, err := b.i.Call(ctx, wire.OpStop, m.Append(nil))
	return err
}

// grace leaves a tenth of what remains, and no more than a second, for force.
func grace(ctx context.Context) time.Duration {
	end, ok := ctx.Deadline()
	if !ok {
		return defaultGrace
	}
	left := max(0, time.Until(end))
	return left - min(left/10, time.Second)
}

// Health asks the plugin for the state of the service.
func (b *Backend) Health(ctx context.Context) (pluginapi.BackendHealth, error) {
	m, err := b.status(ctx)
	if err != nil {
		return pluginapi.BackendHealth{}, err
	}
	return pluginapi.BackendHealth{
		Status:  m.Status,
		Message: cut(m.Message),
		Uptime:  time.Duration(min(max(m.UptimeMS, 0), math.MaxInt64/int64(time.Millisecond))) * time.Millisecond,
	}, nil
}

func (b *Backend) status(ctx context.Context) (m wire.Status, err error) {
	out, err := b.i.Call(ctx, wire.OpStatus, nil)
	if err != nil {
		return m, err
	}
	if err := m.Decode(out); err != nil {
		return m, fmt.Errorf("read status of backend: %w", err)
	}
	words := []string{pluginapi.StatusRunning, pluginapi.StatusStarting, pluginapi.StatusUnhealthy, pluginapi.StatusStopped}
	if !slices.Contains(words, m.Status) {
		return m, fmt.Errorf("read status of backend: %w: status %.40q: give %s", pluginapi.ErrPluginProtocol, m.Status, strings.Join(words, ", "))
	}
	return m, nil
}

// Failed returns the channel on which one error arrives when the plugin says
// that the service is given up. It is the same channel for the life of the
// backend; Start and Stop take an error back that nobody read.
func (b *Backend) Failed() <-chan error { return b.failed }

// beginPoll begins to ask, unless a stop has come meanwhile.
func (b *Backend) beginPoll(stops int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stops != stops || b.poll != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	b.poll = &poll{end: cancel}
	b.poll.gone.Go(func() { b.watch(ctx) })
}

// endPoll ends the asking, and takes back what nobody has read. It says how many
// stops there were.
func (b *Backend) endPoll(stop bool) (stops int) {
	b.mu.Lock()
	if stop {
		b.stops++
	}
	stops = b.stops
	p := b.poll
	b.poll = nil
	b.mu.Unlock()
	if p != nil {
		p.end()
		p.gone.Wait()
		select {
		case <-b.failed:
		default:
		}
	}
	return stops
}

// watch asks until the service is given up, or gone. A plugin that does not
// answer is not a service that failed: that is for the runtime, and for health
// checks.
func (b *Backend) watch(ctx context.Context) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for stopped := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		asked, cancel := context.WithTimeout(ctx, pollTime)
		m, err := b.status(asked)
		cancel()
		switch {
		case err != nil:
			continue
		case m.Status != pluginapi.StatusStopped:
			stopped = 0
		default:
			stopped++
		}
		if m.Failed == "" && stopped == stoppedRounds {
			m.Failed = "the plugin says that the service is stopped; nobody has stopped it"
		}
		if m.Failed != "" {
			b.failed <- errors.New(cut(m.Failed)) // there is room: the start has emptied it, and this is its only word
			return
		}
	}
}

// Close ends the asking and waits for it, as long as its context allows. It ends
// neither the service nor the instance.
func (b *Backend) Close(ctx context.Context) error {
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		b.endPoll(true)
	}()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close backend: %w", context.Cause(ctx))
	}
}

func cut(s string) string {
	return strings.ToValidUTF8(strings.Clone(s[:min(len(s), maxMessage)]), "\ufffd")
}
