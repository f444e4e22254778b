package exec

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// maxHandshake is the longest first line of a plugin, in bytes: its certificate
// is in it.
const maxHandshake = 16 << 10

// errSilent is the handshake of a plugin that ended, or closed its stdout.
var errSilent = fmt.Errorf("%w: it printed no handshake", pluginapi.ErrPluginProtocol)

// versions are the major versions of the ABI that this host speaks.
var versions = [...]int{wire.Version}

// checkHandshake looks at the first line that a plugin prints, before go-plugin
// does: core|version|network|address|protocol|certificate. The plugin chooses
// where its host connects to, so the place must be its own: a socket in dir.
func checkHandshake(line, dir string) error {
	part := strings.Split(strings.TrimSpace(line), "|")
	if len(part) < 6 || part[0] != "1" {
		if line == "" {
			return errSilent
		}
		return fmt.Errorf("%w: its first line on stdout is %.200q, not a handshake: a plugin prints nothing to stdout before it serves",
			pluginapi.ErrPluginProtocol, line)
	}
	version, err := strconv.Atoi(part[1])
	if err != nil || !slices.Contains(versions[:], version) {
		return fmt.Errorf("%w: wrong ABI version %.20q, this host speaks %d: build the plugin against a version of pluginapi/serve that has it",
			pluginapi.ErrPluginProtocol, part[1], versions)
	}
	if part[4] != "grpc" {
		return fmt.Errorf("%w: it serves %.20q, not grpc", pluginapi.ErrPluginProtocol, part[4])
	}
	if err := checkAddress(part[2], part[3], dir); err != nil {
		return fmt.Errorf("%w: %w", pluginapi.ErrPluginProtocol, err)
	}
	if len(part[5]) <= 50 { // what go-plugin takes for no certificate
		return fmt.Errorf("%w: it has no certificate: only mutual TLS is spoken", pluginapi.ErrPluginProtocol)
	}
	return nil
}

func checkAddress(network, address, dir string) error {
	if runtime.GOOS == "windows" {
		if network == "tcp" && strings.HasPrefix(address, "127.0.0.1:") {
			return nil
		}
		return fmt.Errorf("it serves at %.20q %.200q, not at a port of 127.0.0.1", network, address)
	}
	if network != "unix" || filepath.Dir(filepath.Clean(address)) != filepath.Clean(dir) {
		return errors.New("it serves at " + strconv.Quote(network) + " " + strconv.Quote(address[:min(len(address), 200)]) +
			", not at a socket in the folder that it was given")
	}
	return nil
}
