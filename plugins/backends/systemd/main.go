// Command systemd is a backend plugin: it runs the service of an app as a unit
// of systemd, as the built-in systemd backend does, and restarts it when it ends.
package main

import (
	"time"

	"github.com/ozanturksever/go-cluster/builtin/backend"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/serve"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
	"github.com/ozanturksever/go-cluster/plugins/backends/settings"
)

func main() {
	serve.Backend(serve.About{Name: "systemd", Version: "1.0.0"}, newBackend)
}

// config is the JSON of the plugin's configuration: the keys and defaults of the
// built-in systemd backend in the daemon's configuration.
type config struct {
	Unit           string            `json:"unit"`
	Dependencies   []string          `json:"dependencies"`
	HealthEndpoint string            `json:"health_endpoint"`
	HealthInterval settings.Duration `json:"health_interval"`
	HealthTimeout  settings.Duration `json:"health_timeout"`
	StartTimeout   settings.Duration `json:"start_timeout"`
	StopTimeout    settings.Duration `json:"stop_timeout"`
	Restart        settings.Restart  `json:"restart"`
}

func newBackend(c wire.Configure) (pluginapi.Backend, error) {
	b, err := parse(c.Config)
	if err != nil {
		return nil, err
	}
	if err := settings.Adopt(c, b); err != nil {
		return nil, err
	}
	return b, nil
}

func parse(b []byte) (*backend.SystemdBackend, error) {
	var c config
	if err := settings.Read(b, &c); err != nil {
		return nil, err
	}
	restart, err := c.Restart.Policy()
	if err != nil {
		return nil, err
	}
	return backend.NewSystemd(c.Unit, backend.WithDependencies(c.Dependencies...), backend.WithHealthEndpoint(c.HealthEndpoint),
		backend.WithHealthInterval(time.Duration(c.HealthInterval)), backend.WithHealthTimeout(time.Duration(c.HealthTimeout)),
		backend.WithStartTimeout(time.Duration(c.StartTimeout)), backend.WithStopTimeout(time.Duration(c.StopTimeout)),
		backend.WithSystemdRestart(restart)), nil
}
