package backend

import (
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Variables that the host gives to the service.
const (
	envPlatform = "GCHOST_PLATFORM"
	envNode     = "GCHOST_NODE"
	envApp      = "GCHOST_APP"
	envEpoch    = "GCHOST_EPOCH"    // absent when there is no leadership
	envInstance = "GCHOST_INSTANCE" // the mark of pluginapi.FenceEnv
	envRun      = "GCHOST_RUN"      // tells this run from an earlier one of the same instance
)

// ownVariable says whether a variable is the host's to set.
func ownVariable(key string) bool {
	switch key {
	case envPlatform, envNode, envApp, envEpoch, envInstance, envRun:
		return true
	}
	return false
}

// hostOnly says whether systemd meant a variable for the host alone. A service
// that got it would speak to systemd in the host's name.
func hostOnly(key string) bool {
	switch key {
	case "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES":
		return true
	}
	return false
}

// instanceName is unique without being escaped: names have no dots.
func instanceName(in pluginapi.Instance) string {
	return in.Platform + "." + in.Node + "." + in.App
}

// environ is the environment of a child: the host's, the user's, ours.
func environ(user []string, in *pluginapi.Instance, lease *pluginapi.Lease, runMark string) []string {
	env := slices.DeleteFunc(os.Environ(), func(e string) bool {
		key, _, _ := strings.Cut(e, "=")
		return ownVariable(key) || hostOnly(key)
	})
	env = append(env, user...)
	if in != nil {
		env = append(env, envPlatform+"="+in.Platform, envNode+"="+in.Node, envApp+"="+in.App,
			envInstance+"="+instanceName(*in))
	}
	if lease != nil {
		env = append(env, envEpoch+"="+strconv.FormatUint(uint64(lease.Epoch), 10))
	}
	return append(env, runMark)
}
