package adapt

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// Where a fence may point to: the name of the instance, as the variable that
// marks its processes, or as a folder below the control groups.
const (
	markKey = "GCHOST_INSTANCE="
	groups  = "/sys/fs/cgroup/"
	maxPath = 1024
)

// Bind tells the plugin whose it is and asks what the guard has to kill. A plugin
// without that operation has nothing that outlives it.
//
// # Errors
//
// The plugin's; one that wraps ErrPluginProtocol when it names what is not this
// instance's: a guard kills what a fence names, so a plugin may name nothing
// else.
func (b *Backend) Bind(in pluginapi.Instance) ([]pluginapi.Fence, error) {
	ctx, cancel := context.WithTimeout(context.Background(), bindTime)
	defer cancel()
	m := wire.Bind{Platform: in.Platform, Node: in.Node, App: in.App, Dir: in.Dir}
	out, err := b.i.Call(ctx, wire.OpBind, m.Append(nil))
	if errors.Is(err, pluginapi.ErrNoMethod) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var f wire.Fences
	if err := f.Decode(out); err != nil {
		return nil, fmt.Errorf("read fences of backend: %w", err)
	}
	if len(f.Fences) > maxFences {
		return nil, fmt.Errorf("%w: %d fences, allowed are %d", pluginapi.ErrPluginProtocol, len(f.Fences), maxFences)
	}
	for _, fence := range f.Fences {
		if err := checkFence(in, fence); err != nil {
			return nil, err
		}
	}
	return f.Fences, nil
}

func checkFence(in pluginapi.Instance, f pluginapi.Fence) error {
	name := in.Platform + "." + in.Node + "." + in.App
	switch f.Kind {
	case pluginapi.FenceEnv:
		if f.Name == markKey+name {
			return nil
		}
		return fmt.Errorf("%w: fence env %.300q: give %s%s", pluginapi.ErrPluginProtocol, f.Name, markKey, name)
	case pluginapi.FenceCgroup:
		inside := strings.HasPrefix(f.Name, groups) && path.Clean(f.Name) == f.Name && len(f.Name) <= maxPath && !strings.ContainsRune(f.Name, 0)
		if inside && slices.Contains(strings.Split(f.Name, "/"), name) {
			return nil
		}
		return fmt.Errorf("%w: fence cgroup %.300q: give a folder below %s that is named %s, or lies in one", pluginapi.ErrPluginProtocol, f.Name, groups, name)
	}
	return fmt.Errorf("%w: fence kind %.80q: give %s or %s", pluginapi.ErrPluginProtocol, f.Kind, pluginapi.FenceCgroup, pluginapi.FenceEnv)
}
