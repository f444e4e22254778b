package cluster

import (
	"slices"
	"time"

	"github.com/ozanturksever/go-cluster/host"
	"github.com/ozanturksever/go-cluster/host/extend"
	"github.com/ozanturksever/go-cluster/host/plugin/failure"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// PluginsConfig says which plugins may run on a node, see [host.Plugins].
type PluginsConfig = host.Plugins

// WithPlugins lets plugins of the platform run on this node: what is installed
// with gchost plugin install, or with a host that has this option, comes to all
// nodes that have it. It needs a data directory. Without it, the node takes no
// part in plugins.
func WithPlugins(cfg PluginsConfig) PlatformOption {
	return func(c *host.Config) { c.Plugins = &cfg }
}

// HookKind names an event that a hook is told of, see [pluginapi.HookKind].
type HookKind = pluginapi.HookKind

// HookPlugin says how an app uses a plugin as a hook.
type HookPlugin struct {
	Name   string     // of the plugin
	Config []byte     // JSON, checked against the plugin's schema; nil: its default
	Events []HookKind // that it is told; empty: all that it wants
	// Timeout of one call; 0: 5 s. The hook timeout of the app bounds all calls for
	// one event.
	Timeout time.Duration
	// OnError says what an error does when the retries are used up: "ignore", or
	// "fail" the transition; "": what is safe for the kind of event, see
	// docs/plugins.md. A veto of a migration is never ignored.
	OnError string
	Retries int // with OnError: how many times more it is called
}

// rules are those of all kinds when the app has its own; nil: the defaults.
func (h HookPlugin) rules() map[HookKind]failure.Rule {
	if h.OnError == "" {
		return nil
	}
	rules := map[HookKind]failure.Rule{}
	for _, k := range pluginapi.HookKinds() {
		rules[k] = failure.Rule{Retries: h.Retries, Wait: 200 * time.Millisecond, MaxWait: 5 * time.Second, Then: failure.Outcome(h.OnError)}
	}
	return rules
}

// WithHookPlugin lets a plugin of the platform be told of what happens to the
// app, after the app's own hooks. The node needs [WithPlugins].
func WithHookPlugin(h HookPlugin) AppOption {
	return func(a *App) {
		a.uses.Hooks = append(a.uses.Hooks, extend.HookUse{
			Plugin: h.Name, Config: settings(h.Config), Events: slices.Clone(h.Events), Timeout: h.Timeout, Rules: h.rules(),
		})
	}
}

// WithBackendPlugin lets a plugin of the platform control the app's service, in
// place of [WithBackend]. config is JSON; nil for the plugin's default.
func WithBackendPlugin(name string, config []byte) AppOption {
	return func(a *App) { a.uses.Backend = &extend.PluginUse{Plugin: name, Config: settings(config)} }
}

// WithPolicyPlugin lets a plugin of the platform rank the nodes that may lead the
// app: the best one is the next, and one that the plugin calls unfit does not
// lead it. When the plugin fails, what is built in ranks them.
func WithPolicyPlugin(name string, config []byte) AppOption {
	return func(a *App) { a.uses.Policy = &extend.PluginUse{Plugin: name, Config: settings(config)} }
}

// settings is nil for nothing: the plugin's default.
func settings(config []byte) []byte {
	if len(config) == 0 {
		return nil
	}
	return slices.Clone(config)
}
