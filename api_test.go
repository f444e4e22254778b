package cluster_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	cluster "github.com/ozanturksever/go-cluster"
	"github.com/ozanturksever/go-cluster/builtin/backend"
)

// The API reference, as far as it is there: each name with its exact signature.
// This does not compile when one of them changes. A name whose issue has not
// come yet is absent here and in the package.
var (
	_ func(name, nodeID, natsURL string, opts ...cluster.PlatformOption) (*cluster.Platform, error) = cluster.NewPlatform

	_ func(*cluster.Platform, *cluster.App)                                                        = (*cluster.Platform).Register
	_ func(*cluster.Platform, context.Context) error                                               = (*cluster.Platform).Run
	_ func(*cluster.Platform) string                                                               = (*cluster.Platform).Name
	_ func(*cluster.Platform) string                                                               = (*cluster.Platform).NodeID
	_ func(*cluster.Platform) *nats.Conn                                                           = (*cluster.Platform).NATS
	_ func(*cluster.Platform) jetstream.JetStream                                                  = (*cluster.Platform).JetStream
	_ func(*cluster.Platform) *cluster.Membership                                                  = (*cluster.Platform).Membership
	_ func(*cluster.Platform, context.Context, string, map[string]string) error                    = (*cluster.Platform).UpdateNodeLabels
	_ func(*cluster.Platform, context.Context, map[string]string) error                            = (*cluster.Platform).SetLabels
	_ func(*cluster.Platform, cluster.LabelWatcherFunc)                                            = (*cluster.Platform).WatchLabels
	_ func(*cluster.Platform, string)                                                              = (*cluster.Platform).CordonNode
	_ func(*cluster.Platform, string)                                                              = (*cluster.Platform).UncordonNode
	_ func(string, ...cluster.AppOption) *cluster.App                                              = cluster.NewApp
	_ func() cluster.AppOption                                                                     = cluster.Singleton
	_ func() cluster.AppOption                                                                     = cluster.Spread
	_ func() cluster.AppOption                                                                     = cluster.Pool
	_ func(string, ...cluster.SQLiteOption) cluster.AppOption                                      = cluster.WithSQLite
	_ func(cluster.HookPlugin) cluster.AppOption                                                   = cluster.WithHookPlugin
	_ func(string, []byte) cluster.AppOption                                                       = cluster.WithBackendPlugin
	_ func(string, []byte) cluster.AppOption                                                       = cluster.WithPolicyPlugin
	_ func(cluster.PluginsConfig) cluster.PlatformOption                                           = cluster.WithPlugins
	_ func(*cluster.App) *cluster.WALManager                                                       = (*cluster.App).WAL
	_ func(*cluster.WALManager) cluster.Position                                                   = (*cluster.WALManager).Position
	_ func(*cluster.WALManager, context.Context) error                                             = (*cluster.WALManager).Sync
	_ func(*cluster.WALManager, context.Context) (cluster.ReplicationLag, error)                   = (*cluster.WALManager).Lag
	_ func(*cluster.WALManager) cluster.WALStats                                                   = (*cluster.WALManager).Stats
	_ func(cluster.Backend) cluster.AppOption                                                      = cluster.WithBackend
	_ func(*cluster.App) string                                                                    = (*cluster.App).Name
	_ func(*cluster.App) *cluster.Platform                                                         = (*cluster.App).Platform
	_ func(*cluster.App) cluster.Role                                                              = (*cluster.App).Role
	_ func(*cluster.App) bool                                                                      = (*cluster.App).IsLeader
	_ func(*cluster.App) *cluster.Election                                                         = (*cluster.App).Election
	_ func(*cluster.App, func(context.Context) error)                                              = (*cluster.App).OnActive
	_ func(*cluster.App, func(context.Context) error)                                              = (*cluster.App).OnPassive
	_ func(*cluster.App, func(context.Context) error)                                              = (*cluster.App).OnStart
	_ func(*cluster.App, func(context.Context) error)                                              = (*cluster.App).OnStop
	_ func(*cluster.App, func(context.Context, string) error)                                      = (*cluster.App).OnLeaderChange
	_ func(*cluster.App, func(context.Context, cluster.Member) error)                              = (*cluster.App).OnMemberJoin
	_ func(*cluster.App, func(context.Context, cluster.Member) error)                              = (*cluster.App).OnMemberLeave
	_ func(*cluster.Election) bool                                                                 = (*cluster.Election).IsLeader
	_ func(*cluster.Election) string                                                               = (*cluster.Election).Leader
	_ func(*cluster.Election, context.Context) error                                               = (*cluster.Election).WaitForLeadership
	_ func(*cluster.Election, context.Context) error                                               = (*cluster.Election).StepDown
	_ func(*cluster.Election) <-chan bool                                                          = (*cluster.Election).LeaderChan
	_ func(*cluster.Election) cluster.Epoch                                                        = (*cluster.Election).Epoch
	_ func(*cluster.App, string) *cluster.Lock                                                     = (*cluster.App).Lock
	_ func(*cluster.Lock, context.Context) error                                                   = (*cluster.Lock).Lock
	_ func(*cluster.Lock, context.Context) bool                                                    = (*cluster.Lock).TryLock
	_ func(*cluster.Lock, context.Context) error                                                   = (*cluster.Lock).Unlock
	_ func(*cluster.Lock) string                                                                   = (*cluster.Lock).Holder
	_ func(cluster.ProcessConfig) *backend.ProcessBackend                                          = cluster.Process
	_ func(*cluster.Platform) *cluster.Health                                                      = (*cluster.Platform).Health
	_ func(*cluster.Platform) *cluster.Metrics                                                     = (*cluster.Platform).Metrics
	_ func(*cluster.App, func(context.Context, cluster.HealthStatus) error)                        = (*cluster.App).OnHealthChange
	_ func(string, map[string]string)                                                              = cluster.LabelWatcherFunc(nil)
	_ func(map[string]string) cluster.PlatformOption                                               = cluster.Labels
	_ func(string) cluster.PlatformOption                                                          = cluster.NATSCreds
	_ func(time.Duration) cluster.PlatformOption                                                   = cluster.WithLeaseTTL
	_ func(time.Duration) cluster.PlatformOption                                                   = cluster.WithHeartbeat
	_ func(time.Duration) cluster.PlatformOption                                                   = cluster.WithHookTimeout
	_ func(time.Duration) cluster.PlatformOption                                                   = cluster.WithShutdownTimeout
	_ error                                                                                        = cluster.ErrNotLeader
	_ []error                                                                                      = []error{cluster.ErrNoLeader, cluster.ErrTimeout, cluster.ErrAppNotFound, cluster.ErrNodeNotFound, cluster.ErrHookTimeout, cluster.ErrShuttingDown, cluster.ErrLockHeld, cluster.ErrLockNotHeld}
	_ cluster.Role                                                                                 = cluster.RoleLeader + cluster.RoleStandby + cluster.RoleActive
	_ cluster.Mode                                                                                 = cluster.ModeSingleton + cluster.ModeSpread
	_ func(line string, isStderr bool)                                                             = cluster.OutputHandler(nil)
	_ cluster.Backend                                                                              = (*backend.ProcessBackend)(nil)
	_ func(*cluster.App) *cluster.KV                                                               = (*cluster.App).KV
	_ func(*cluster.KV, context.Context, string) ([]byte, error)                                   = (*cluster.KV).Get
	_ func(*cluster.KV, context.Context, string, []byte) error                                     = (*cluster.KV).Put
	_ func(*cluster.KV, context.Context, string) error                                             = (*cluster.KV).Delete
	_ func(*cluster.KV, context.Context, string) ([]string, error)                                 = (*cluster.KV).Keys
	_ func(*cluster.KV, context.Context, string) (<-chan cluster.KeyValueEntry, error)             = (*cluster.KV).Watch
	_ func(*cluster.App) *cluster.RPC                                                              = (*cluster.App).RPC
	_ func(*cluster.App, string, cluster.Handler)                                                  = (*cluster.App).Handle
	_ func(*cluster.App, ...cluster.Middleware)                                                    = (*cluster.App).Use
	_ func(*cluster.App) *cluster.MiddlewareChain                                                  = (*cluster.App).Middleware
	_ func(*cluster.RPC, context.Context, string, string, []byte) ([]byte, error)                  = (*cluster.RPC).Call
	_ func(*cluster.RPC, context.Context, string, string, interface{}, interface{}) error          = (*cluster.RPC).CallJSON
	_ func(*cluster.RPC, context.Context, string, []byte) ([][]byte, error)                        = (*cluster.RPC).Broadcast
	_ func(ctx context.Context, req []byte) ([]byte, error)                                        = cluster.Handler(nil)
	_ func(ctx context.Context, req []byte, next cluster.Handler) ([]byte, error)                  = cluster.Middleware(nil)
	_ func(*cluster.MiddlewareChain, ...cluster.Middleware)                                        = (*cluster.MiddlewareChain).Use
	_ func(*cluster.MiddlewareChain, cluster.Handler) cluster.Handler                              = (*cluster.MiddlewareChain).Wrap
	_ func(*cluster.MiddlewareChain) *cluster.MiddlewareChain                                      = (*cluster.MiddlewareChain).Clone
	_ func(*cluster.MiddlewareChain) int                                                           = (*cluster.MiddlewareChain).Len
	_ func(context.Context) *cluster.HandlerContext                                                = cluster.GetHandlerContext
	_ func(*cluster.Platform, string) *cluster.API                                                 = (*cluster.Platform).API
	_ func(*cluster.API, context.Context, string, []byte, ...cluster.CallOption) ([]byte, error)   = (*cluster.API).Call
	_ func(*cluster.API, context.Context, string, any, any, ...cluster.CallOption) error           = (*cluster.API).CallJSON
	_ func(*cluster.API, context.Context, string, []byte, ...cluster.CallOption) ([][]byte, error) = (*cluster.API).Broadcast
	_ []func() cluster.CallOption                                                                  = []func() cluster.CallOption{cluster.ToLeader, cluster.ToAny, cluster.WithRetry}
	_ func(time.Duration) cluster.CallOption                                                       = cluster.WithTimeout
)

// TestFields holds the fields of the API reference's structs.
func TestFields(t *testing.T) {
	m := cluster.Member{
		NodeID: "n", Platform: "p", Address: "a", Labels: map[string]string{}, JoinedAt: time.Time{}, LastSeen: time.Time{},
		Apps: []string{}, IsHealthy: true,
	}
	p := cluster.ProcessConfig{
		Command: "c", Args: []string{}, Dir: "d", Env: []string{}, GracefulTimeout: time.Second, UseProcessGroup: true,
		LogFile: "f", OutputHandler: func(string, bool) {},
	}
	h := cluster.HandlerContext{
		Method: "m", NodeID: "n", AppName: "a", PlatformName: "p", RequestID: "r", StartTime: time.Time{}, Metadata: map[string]string{},
	}
	if h.Method == "" || m.NodeID == "" || p.Command == "" {
		t.Fatal("fields do not hold what they are given")
	}
	for role, word := range map[cluster.Role]string{cluster.RoleLeader: "leader", cluster.RoleStandby: "standby", cluster.RoleActive: "active"} {
		if string(role) != word {
			t.Errorf("role %q is not %q", role, word)
		}
	}
	for err, text := range map[error]string{
		cluster.ErrNotLeader: "not leader", cluster.ErrNoLeader: "no leader", cluster.ErrTimeout: "operation timed out",
		cluster.ErrAppNotFound: "app not found", cluster.ErrNodeNotFound: "node not found", cluster.ErrHookTimeout: "hook timed out",
		cluster.ErrShuttingDown: "platform is shutting down", cluster.ErrLockHeld: "lock already held", cluster.ErrLockNotHeld: "lock not held",
	} {
		if err.Error() != text {
			t.Errorf("%q is not %q", err, text)
		}
	}
}

// The API reference of events and audit.
var (
	_ func(*cluster.App) *cluster.Events                           = (*cluster.App).Events
	_ func(*cluster.Events, context.Context, string, []byte) error = (*cluster.Events).Publish
	_ func(*cluster.Events, string, func([]byte)) error            = (*cluster.Events).Subscribe
	_ func(*cluster.Events, string) error                          = (*cluster.Events).Unsubscribe
	_ func(*cluster.Platform) *cluster.PlatformEvents              = (*cluster.Platform).Events
	_ func(*cluster.Platform) *cluster.Audit                       = (*cluster.Platform).Audit
)
