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

// Variables that the host gives to the service where there is an access; the
// user's go over them.
const (
	envURL      = "GCHOST_APP_NATS_URL" // one or more, with commas between
	envUser     = "GCHOST_APP_NATS_USER"
	envPassword = "GCHOST_APP_NATS_PASSWORD"
	envCA       = "GCHOST_APP_NATS_CA" // absent without TLS
	envBucket   = "GCHOST_APP_KV_BUCKET"
)

// ownVariable says whether a variable is the host's to set.
func ownVariable(key string) bool {
	switch key {
	case envPlatform, envNode, envApp, envEpoch, envInstance, envRun:
		return true
	}
	return false
}

// accessVariable says whether a variable tells how to reach the app's data. In
// the host's own environment it is about the app of an outer host.
func accessVariable(key string) bool {
	switch key {
	case envURL, envUser, envPassword, envCA, envBucket:
		return true
	}
	return false
}

// hostOnly says whether a variable was meant for the host alone: by systemd, to
// which a service would speak in the host's name, or because it is a secret
// that opens more than the service's app.
func hostOnly(key string) bool {
	switch key {
	case "GCHOST_CLUSTER__SECRET", "GCHOST_NATS__PASSWORD", "GCHOST_NATS__TOKEN",
		"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES":
		return true
	}
	return false
}

// instanceName is unique without being escaped: names have no dots.
func instanceName(in pluginapi.Instance) string {
	return in.Platform + "." + in.Node + "." + in.App
}

// environ is the environment of a child: the host's, the way to the app's data,
// the user's, ours.
func environ(user []string, in *pluginapi.Instance, access *pluginapi.Access, lease *pluginapi.Lease, runMark string) []string {
	env := slices.DeleteFunc(os.Environ(), func(e string) bool {
		key, _, _ := strings.Cut(e, "=")
		return ownVariable(key) || accessVariable(key) || hostOnly(key)
	})
	env = append(env, toldAccess(access)...)
	env = append(env, user...)
	return append(append(env, toldInstance(in, lease)...), runMark)
}

// toldAccess is the way to the app's data.
func toldAccess(access *pluginapi.Access) []string {
	if access == nil {
		return nil
	}
	env := []string{envURL + "=" + strings.Join(access.URLs, ","), envUser + "=" + access.User, envPassword + "=" + access.Password, envBucket + "=" + access.Bucket}
	if access.CA != "" {
		env = append(env, envCA+"="+access.CA)
	}
	return env
}

// toldInstance is whose the service is, and under which epoch.
func toldInstance(in *pluginapi.Instance, lease *pluginapi.Lease) (env []string) {
	if in != nil {
		env = append(env, envPlatform+"="+in.Platform, envNode+"="+in.Node, envApp+"="+in.App,
			envInstance+"="+instanceName(*in))
	}
	if lease != nil {
		env = append(env, envEpoch+"="+strconv.FormatUint(uint64(lease.Epoch), 10))
	}
	return env
}
