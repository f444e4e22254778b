package rpc

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Recovery turns a panic of what stands within it into an error, so that
// middleware outside of it sees one. Without it a panic ends only the call, too.
func Recovery() Middleware {
	return func(ctx context.Context, req []byte, next Handler) (data []byte, err error) {
		defer func() {
			if p := recover(); p != nil {
				data, err = nil, fmt.Errorf("the handler panicked: %v", p)
			}
		}()
		return next(ctx, req)
	}
}

// LoggingOptions say what [Logging] writes.
type LoggingOptions struct {
	LogRequests   bool          // a line when a call begins
	LogResponses  bool          // a line when it ends well
	SlowThreshold time.Duration // a warning for one that takes longer; 0: none
	Logger        *slog.Logger  // nil: slog.Default()
}

// Logging logs calls: those that end with an error always, at level warn; others
// as the options say. Without options it logs errors only.
func Logging(options ...LoggingOptions) Middleware {
	var o LoggingOptions
	if len(options) > 0 {
		o = options[len(options)-1]
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return func(ctx context.Context, req []byte, next Handler) ([]byte, error) {
		begun := time.Now()
		log := o.Logger
		if h := GetHandlerContext(ctx); h != nil {
			log = log.With("app", h.AppName, "method", h.Method, "caller", h.CallerNode, "request", h.RequestID)
		}
		if o.LogRequests {
			log.Info("call", "bytes", len(req))
		}
		data, err := next(ctx, req)
		took := time.Since(begun)
		switch {
		case err != nil:
			log.Warn("call ended with an error", "took", took, "err", err)
		case o.SlowThreshold > 0 && took > o.SlowThreshold:
			log.Warn("slow call", "took", took, "bytes", len(data))
		case o.LogResponses:
			log.Info("call ended", "took", took, "bytes", len(data))
		}
		return data, err
	}
}

// Metrics tells record each call that ends: its method, how long it took, and
// the error.
func Metrics(record func(method string, took time.Duration, err error)) Middleware {
	return func(ctx context.Context, req []byte, next Handler) ([]byte, error) {
		begun := time.Now()
		data, err := next(ctx, req)
		if record != nil {
			record(methodOf(ctx), time.Since(begun), err)
		}
		return data, err
	}
}

func methodOf(ctx context.Context) string {
	if h := GetHandlerContext(ctx); h != nil {
		return h.Method
	}
	return ""
}

// Timeout bounds how long a handler may take: its context ends then, and what it
// returns after it is dropped for ErrTimeout. It waits for the handler: one that
// does not heed its context takes longer, and its caller is told when its own
// deadline is over.
func Timeout(d time.Duration) Middleware {
	return func(ctx context.Context, req []byte, next Handler) ([]byte, error) {
		bounded, cancel := context.WithTimeout(ctx, d)
		defer cancel()
		data, err := next(bounded, req)
		if bounded.Err() != nil && ctx.Err() == nil {
			return nil, fmt.Errorf("handle %s within %v: %w", methodOf(ctx), d, pluginapi.ErrTimeout)
		}
		return data, err
	}
}

// Auth asks check whether a call may be handled; [GetHandlerContext] of its
// context says what is known of the call. An error refuses it, with
// ErrUnauthorized and the error's text. A nil check refuses all.
func Auth(check func(ctx context.Context, req []byte) error) Middleware {
	return func(ctx context.Context, req []byte, next Handler) ([]byte, error) {
		if check == nil {
			return nil, fmt.Errorf("%w: no check is set", pluginapi.ErrUnauthorized)
		}
		if err := check(ctx, req); err != nil {
			return nil, fmt.Errorf("%w: %v", pluginapi.ErrUnauthorized, err)
		}
		return next(ctx, req)
	}
}

// Limiter says whether one more call of a method may be handled now.
type Limiter interface{ Allow(method string) bool }

// RateLimit refuses, with ErrBusy, the calls that the limiter does not allow. A
// nil limiter allows all.
func RateLimit(l Limiter) Middleware {
	return func(ctx context.Context, req []byte, next Handler) ([]byte, error) {
		if l != nil && !l.Allow(methodOf(ctx)) {
			return nil, fmt.Errorf("%w: too many calls of %s: try again later", pluginapi.ErrBusy, methodOf(ctx))
		}
		return next(ctx, req)
	}
}

// MethodFilter lets only these methods pass; others get ErrNoMethod.
func MethodFilter(methods ...string) Middleware {
	methods = slices.Clone(methods)
	return func(ctx context.Context, req []byte, next Handler) ([]byte, error) {
		if m := methodOf(ctx); !slices.Contains(methods, m) {
			return nil, fmt.Errorf("%w: %.140q is not among those that may be called", pluginapi.ErrNoMethod, m)
		}
		return next(ctx, req)
	}
}
