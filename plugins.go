package cluster

import "github.com/ozanturksever/go-cluster/host"

// PluginsConfig says which plugins may run on a node, see [host.Plugins].
type PluginsConfig = host.Plugins

// WithPlugins lets plugins of the platform run on this node: what is installed
// with gchost plugin install, or with a host that has this option, comes to all
// nodes that have it. It needs a data directory. Without it, the node takes no
// part in plugins.
func WithPlugins(cfg PluginsConfig) PlatformOption {
	return func(c *host.Config) { c.Plugins = &cfg }
}
