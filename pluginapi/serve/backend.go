package serve

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// Backend serves a backend. The factory is called once, with the configuration;
// its error is what the host's start of the plugin ends with.
//
// A backend that is [pluginapi.Killable] is asked for its fences, one that is
// [pluginapi.Supervised] for its failure with each status. The context of its
// Start carries a lease with the epoch, when there is one; the lease holds as
// long as this process does: that the service is stopped before the lease could
// be another's is the host's care.
func Backend(about About, factory func(wire.Configure) (pluginapi.Backend, error)) {
	Operations(BackendHandler(about, factory))
}

// BackendHandler is the handler that [Backend] serves.
func BackendHandler(about About, factory func(wire.Configure) (pluginapi.Backend, error)) Handler {
	s := &backendService{made: made[pluginapi.Backend]{factory: factory}}
	return dispatch(map[string]Handler{
		wire.OpDescribe:  describe(about, wire.ContractBackend),
		wire.OpConfigure: s.made.configure,
		wire.OpBind:      s.bind,
		wire.OpStart:     s.start,
		wire.OpStop:      s.stop,
		wire.OpStatus:    s.status,
	})
}

type backendService struct {
	made made[pluginapi.Backend]

	mu     sync.Mutex
	failed string // why the backend has given its service up; "" while it has not
}

func (s *backendService) bind(_ context.Context, _ string, in []byte) ([]byte, error) {
	var m wire.Bind
	b, err := s.made.get(m.Decode(in))
	if err != nil {
		return nil, err
	}
	k, ok := b.(pluginapi.Killable)
	if !ok {
		return nil, nil // no fences
	}
	f, err := k.Bind(pluginapi.Instance{Platform: m.Platform, Node: m.Node, App: m.App, Dir: m.Dir})
	if err != nil {
		return nil, err
	}
	out := wire.Fences{Fences: f}
	return out.Append(nil), nil
}

func (s *backendService) start(ctx context.Context, _ string, in []byte) ([]byte, error) {
	var m wire.Start
	b, err := s.made.get(m.Decode(in))
	if err != nil {
		return nil, err
	}
	if m.Epoch > 0 {
		ctx = pluginapi.WithLease(ctx, pluginapi.Lease{
			Epoch: pluginapi.Epoch(m.Epoch),
			Valid: func() bool { return true },
			Until: func() time.Duration { return time.Hour },
		})
	}
	s.take(b, true)
	return nil, b.Start(ctx)
}

func (s *backendService) stop(ctx context.Context, _ string, in []byte) ([]byte, error) {
	var m wire.Stop
	b, err := s.made.get(m.Decode(in))
	if err != nil {
		return nil, err
	}
	if m.GraceMS < 0 {
		return nil, fmt.Errorf("%w: a grace of %d ms", pluginapi.ErrInvalid, m.GraceMS)
	}
	const longest = int64(24 * time.Hour / time.Millisecond)
	ctx, cancel := context.WithTimeout(ctx, time.Duration(min(m.GraceMS, longest))*time.Millisecond)
	defer cancel()
	err = b.Stop(ctx)
	s.take(b, true)
	return nil, err
}

func (s *backendService) status(ctx context.Context, _ string, in []byte) ([]byte, error) {
	b, err := s.made.get(nil)
	if err != nil {
		return nil, err
	}
	h, err := b.Health(ctx)
	if err != nil {
		return nil, err
	}
	out := wire.Status{Status: h.Status, Message: h.Message, UptimeMS: h.Uptime.Milliseconds(), Failed: s.take(b, false)}
	return out.Append(nil), nil
}

// take returns why the backend has given up: the word stays until the service
// is started or stopped, which forgets it.
func (s *backendService) take(b pluginapi.Backend, forget bool) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sup, ok := b.(pluginapi.Supervised); ok {
		select {
		case err := <-sup.Failed():
			s.failed = "it has given up"
			if err != nil {
				s.failed = err.Error()
			}
		default:
		}
	}
	if forget {
		s.failed = ""
	}
	return s.failed
}

// made is what a factory has made, once the configuration has come.
type made[T any] struct {
	factory func(wire.Configure) (T, error)

	mu   sync.Mutex
	done bool
	it   T
}

func (m *made[T]) configure(_ context.Context, _ string, in []byte) ([]byte, error) {
	var c wire.Configure
	if err := c.Decode(in); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.done {
		return nil, fmt.Errorf("configure: %w: it is configured already", pluginapi.ErrInvalid)
	}
	it, err := m.factory(c)
	if err != nil {
		return nil, err
	}
	m.it, m.done = it, true
	return nil, nil
}

// get returns what was made. It passes on an error of decoding the input, so that
// an operation checks both in one line.
func (m *made[T]) get(decoded error) (it T, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if decoded != nil {
		return it, decoded
	}
	if !m.done {
		return it, errors.New("the plugin was not given its configuration")
	}
	return m.it, nil
}
