package grant

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/ozanturksever/go-cluster/host/plugin/capability"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// What a request may have at most.
const (
	MaxRequest = 2 << 20 // bytes of a request
	MaxReply   = 4 << 20 // bytes of an answer
	maxRandom  = 1024    // bytes at once
	maxHeaders = 64
	maxArgs    = 64
	// A request of a plugin that has no deadline of its own.
	defaultTimeout = 30 * time.Second
	// The longest time that a plugin can ask for.
	maxTimeout = 5 * time.Minute
)

// Host is a plugin.Host for one plugin.
type Host struct {
	asked, granted capability.Set
	services       Services

	calls, refused, failed atomic.Uint64
}

// Stats counts the requests of a plugin.
type Stats struct {
	Calls   uint64 // all
	Refused uint64 // what is not granted
	Failed  uint64 // with any other error
}

// New returns the host of a plugin that asks for one set and is granted another:
// it may do what both allow.
func New(asked, granted capability.Set, s Services) *Host {
	return &Host{asked: asked, granted: granted, services: s}
}

// Stats returns what has been counted so far.
func (h *Host) Stats() Stats {
	return Stats{Calls: h.calls.Load(), Refused: h.refused.Load(), Failed: h.failed.Load()}
}

// Has says whether the plugin has a capability of a kind at all: without
// capability.Log nothing of what it logs is to be kept.
func (h *Host) Has(k capability.Kind) bool { return h.asked.Has(k) && h.granted.Has(k) }

// Call answers one request. in must not change until it returns; the answer is
// the caller's own.
//
// # Errors
//
// [pluginapi.ErrNotGranted]; [pluginapi.ErrNoMethod] for an operation that does
// not exist; [pluginapi.ErrPluginProtocol] for a request that cannot be decoded;
// [pluginapi.ErrInvalid] and [pluginapi.ErrTooLarge] for one that makes no sense;
// [pluginapi.ErrTimeout]; and what the service says.
func (h *Host) Call(ctx context.Context, op string, in []byte) ([]byte, error) {
	h.calls.Add(1)
	out, err := h.answer(ctx, op, in)
	if err == nil && len(out) > MaxReply {
		err = fmt.Errorf("%w: the answer has %d bytes: the most is %d", pluginapi.ErrTooLarge, len(out), MaxReply)
	}
	switch {
	case err == nil:
		return out, nil
	case errors.Is(err, pluginapi.ErrNotGranted):
		h.refused.Add(1)
	default:
		h.failed.Add(1)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("%w: %w", pluginapi.ErrTimeout, err)
	}
	return nil, fmt.Errorf("host call %.40q: %w", op, err)
}

func (h *Host) answer(ctx context.Context, op string, in []byte) ([]byte, error) {
	if len(in) > MaxRequest {
		return nil, fmt.Errorf("%w: the request has %d bytes: the most is %d", pluginapi.ErrTooLarge, len(in), MaxRequest)
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, defaultTimeout)
		defer cancel()
	}
	switch op {
	case wire.HostKVGet, wire.HostKVDelete, wire.HostKVKeys, wire.HostKVPut:
		return h.kv(ctx, op, in)
	case wire.HostPublish:
		return h.publish(ctx, in)
	case wire.HostCall:
		return h.call(ctx, in)
	case wire.HostHTTP:
		return h.http(ctx, in)
	case wire.HostExec:
		return h.exec(ctx, in)
	case wire.HostSecret:
		return h.secret(ctx, in)
	case wire.HostClock:
		return h.clock()
	case wire.HostRandom:
		return h.random(in)
	}
	return nil, pluginapi.ErrNoMethod
}

// allow asks both sets. The error says which of them does not allow it.
func (h *Host) allow(offered bool, what func() string, by func(capability.Set) bool) error {
	switch {
	case !by(h.asked):
		return fmt.Errorf("%w: the plugin's manifest does not ask for %s", pluginapi.ErrNotGranted, what())
	case !by(h.granted):
		return fmt.Errorf("%w: the operator has not granted %s", pluginapi.ErrNotGranted, what())
	case !offered:
		return fmt.Errorf("%w: this node does not offer %s", pluginapi.ErrNotGranted, what())
	}
	return nil
}

func word(w string) func() string { return func() string { return w } }

// within is ctx for a request with a timeout of its own, in milliseconds; 0 is
// the rest of the plugin's deadline.
func within(ctx context.Context, ms int64) (context.Context, context.CancelFunc, error) {
	switch {
	case ms < 0 || ms > maxTimeout.Milliseconds():
		return nil, nil, fmt.Errorf("%w: a timeout of %d ms: 0 to %d are allowed", pluginapi.ErrInvalid, ms, maxTimeout.Milliseconds())
	case ms == 0:
		return ctx, func() {}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(ms)*time.Millisecond)
	return ctx, cancel, nil
}

func (h *Host) clock() ([]byte, error) {
	err := h.allow(h.services.Clock != nil, word("clock"), func(s capability.Set) bool { return s.Has(capability.Clock) })
	if err != nil {
		return nil, err
	}
	c := wire.Clock{UnixMS: h.services.Clock.Now().UnixMilli(), Uptime: int64(h.services.Clock.Uptime())}
	return c.Append(nil), nil
}

func (h *Host) random(in []byte) ([]byte, error) {
	var r wire.Random
	if err := r.Decode(in); err != nil {
		return nil, err
	}
	if err := h.allow(true, word("random"), func(s capability.Set) bool { return s.Has(capability.Random) }); err != nil {
		return nil, err
	}
	if r.Count < 1 || r.Count > maxRandom {
		return nil, fmt.Errorf("%w: %d random bytes: 1 to %d can be asked for at once", pluginapi.ErrInvalid, r.Count, maxRandom)
	}
	v := wire.Value{Value: make([]byte, r.Count)}
	if _, err := rand.Read(v.Value); err != nil {
		return nil, fmt.Errorf("read random bytes: %w", err)
	}
	return v.Append(nil), nil
}
