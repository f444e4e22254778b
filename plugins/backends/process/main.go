// Command process is a backend plugin: it runs the service of an app as a
// process, as the built-in process backend does, and restarts it when it ends.
package main

import (
	"fmt"

	"github.com/ozanturksever/go-cluster/builtin/backend"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/serve"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

func main() {
	serve.Backend(serve.About{Name: "process", Version: "1.0.0"}, newBackend)
}

// newBackend makes the backend of one app. It is bound to its instance at once:
// the process of a plugin that was restarted is not asked to bind again, and its
// service has to be in the same control group and with the same mark.
func newBackend(c wire.Configure) (pluginapi.Backend, error) {
	cfg, err := parse(c.Config)
	if err != nil {
		return nil, err
	}
	b := backend.NewProcess(cfg)
	if err := b.Validate(); err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	if c.App == "" {
		return nil, fmt.Errorf("%w: this plugin runs the service of one app, and was loaded without one", pluginapi.ErrInvalid)
	}
	if _, err := b.Bind(pluginapi.Instance{Platform: c.Platform, Node: c.Node, App: c.App}); err != nil {
		return nil, err
	}
	return b, nil
}
