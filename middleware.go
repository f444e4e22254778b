package cluster

import (
	"context"
	"time"

	"github.com/ozanturksever/go-cluster/host/rpc"
)

// Middleware stands around handlers, see [rpc.Middleware].
type Middleware = rpc.Middleware

// MiddlewareChain is a list of middleware in the order in which they run, see
// [rpc.MiddlewareChain].
type MiddlewareChain = rpc.MiddlewareChain

// LoggingOptions say what [Logging] writes, see [rpc.LoggingOptions].
type LoggingOptions = rpc.LoggingOptions

// Limiter says whether one more call of a method may be handled now.
type Limiter = rpc.Limiter

// Recovery turns a panic of what stands within it into an error, see
// [rpc.Recovery].
func Recovery() Middleware { return rpc.Recovery() }

// Logging logs calls: those that end with an error, and others as the options
// say; see [rpc.Logging].
func Logging(options ...LoggingOptions) Middleware { return rpc.Logging(options...) }

// MetricsMiddleware tells record each call that ends, see [rpc.Metrics]. The
// platform's own metrics of calls need no middleware.
func MetricsMiddleware(record func(method string, took time.Duration, err error)) Middleware {
	return rpc.Metrics(record)
}

// Timeout bounds how long a handler may take, see [rpc.Timeout].
func Timeout(d time.Duration) Middleware { return rpc.Timeout(d) }

// Auth asks check whether a call may be handled, see [rpc.Auth].
func Auth(check func(ctx context.Context, req []byte) error) Middleware { return rpc.Auth(check) }

// RateLimit refuses the calls that the limiter does not allow, see
// [rpc.RateLimit].
func RateLimit(l Limiter) Middleware { return rpc.RateLimit(l) }

// MethodFilter lets only these methods pass, see [rpc.MethodFilter].
func MethodFilter(methods ...string) Middleware { return rpc.MethodFilter(methods...) }
