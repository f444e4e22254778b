package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// versions is the JSON of version.
type versions struct {
	Version    string `json:"version"`
	Revision   string `json:"revision,omitempty"` // of the source, when the build knew it
	NATSServer string `json:"nats_server"`        // of the embedded server
	Go         string `json:"go"`
	OS         string `json:"os"`
	Arch       string `json:"arch"`
}

func thisVersion() versions {
	v := versions{Version: "unknown", NATSServer: "none", Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	v.Version = info.Main.Version
	for _, m := range info.Deps {
		if m.Path == "github.com/nats-io/nats-server/v2" {
			v.NATSServer = m.Version
		}
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			v.Revision = s.Value
		}
	}
	return v
}

// version is the version of this program, as nodes show it.
func version() string { return thisVersion().Version }

func (p *program) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Show the version of gchost and of its NATS server", Args: args(),
		RunE: func(*cobra.Command, []string) error {
			v := thisVersion()
			return p.print(v, func(out *screen) {
				out.pairs([][2]string{{"gchost", v.Version}, {"revision", v.Revision}, {"nats-server", v.NATSServer}, {"go", v.Go + " " + v.OS + "/" + v.Arch}})
			})
		},
	}
}
