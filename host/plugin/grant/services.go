package grant

import (
	"context"
	"time"

	"github.com/ozanturksever/go-cluster/host/plugin/capability"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// Services answer what is allowed. One that is nil is not offered on this node.
// They are called by several goroutines at a time and keep nothing that they are
// given.
type Services struct {
	KV        KV
	Publisher Publisher
	Caller    Caller
	Web       Web
	Commands  Commands
	Secrets   Secrets
	Clock     Clock
}

// KV is the bucket of the plugin's app.
type KV interface {
	Get(ctx context.Context, key string) ([]byte, error)
	Put(ctx context.Context, key string, value []byte) error
	Delete(ctx context.Context, key string) error
	Keys(ctx context.Context, prefix string) ([]string, error) // sorted; "" is every key
}

// Publisher publishes events of the plugin's app.
type Publisher interface {
	Publish(ctx context.Context, subject string, data []byte) error
}

// Caller calls the methods of apps.
type Caller interface {
	Call(ctx context.Context, app, method string, data []byte) ([]byte, error)
}

// WebRequest is one HTTP exchange that is allowed. The target is to be used as
// it is: it was checked, the text of the URL was not.
type WebRequest struct {
	Method  string
	Target  capability.Target
	Headers []wire.Header // not checked
	Body    []byte
	Named   bool // the operator has granted the very address that the target names
}

// Web makes HTTP exchanges. It follows no redirect: a plugin that wants to asks
// again, and is checked again.
type Web interface {
	Do(ctx context.Context, r WebRequest) (wire.HTTPResponse, error)
}

// Commands runs commands that the operator has defined.
type Commands interface {
	Run(ctx context.Context, name string, args []string, stdin []byte) (wire.ExecResult, error)
}

// Secrets reads secrets that the operator has defined.
type Secrets interface {
	Secret(ctx context.Context, name string) ([]byte, error)
}

// Clock tells the time of the node.
type Clock interface {
	Now() time.Time
	Uptime() time.Duration // on a clock that never goes back
}
