package host

import (
	"context"

	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// withAccess adds to the context of a backend's start how its service reaches
// the data of its app. For an existing NATS no login can be derived.
func (n *Node) withAccess(ctx context.Context, app string) context.Context {
	names, err := n.names.App(app)
	if n.cfg.external() || err != nil {
		return ctx
	}
	urls, auth := n.servers(bus.RoleApp, app)
	if n.server != nil {
		urls = urls[:1] // a node whose own server has ended runs no services
	}
	return pluginapi.WithAccess(ctx, pluginapi.Access{
		URLs: urls, User: auth.User, Password: auth.Password, CA: auth.TLS.CA, Bucket: names.Bucket(),
	})
}
