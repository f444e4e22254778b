package control

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// The verbs of plugins.
const (
	verbPlugins       = "plugins"
	verbPluginBegin   = "pluginbegin"
	verbPluginPiece   = "pluginpiece"
	verbPluginInstall = "plugininstall"
	verbPluginChange  = "pluginchange"
	verbPluginVerify  = "pluginverify"
	verbPluginLogs    = "pluginlogs"
)

// MaxPiece is the largest piece of a package in one request, in bytes.
const MaxPiece = 512 << 10

// maxPieceRequest is the longest request with a piece: base64 makes four bytes
// of three.
const maxPieceRequest = MaxPiece/3*4 + 4<<10

// The changes of a plugin that is installed.
const (
	PluginRollback = "rollback"
	PluginRemove   = "remove"
	PluginEnable   = "enable"
	PluginDisable  = "disable"
)

// Plugin is a plugin as the platform has it.
type Plugin struct {
	Name     string         `json:"name"`
	Contract string         `json:"contract,omitempty"`
	Current  string         `json:"current,omitempty"`  // version; empty before the first one is active
	Previous string         `json:"previous,omitempty"` // version that rollback goes to
	Enabled  bool           `json:"enabled"`
	Digest   string         `json:"digest,omitempty"` // SHA-256 of the current version's package
	Signer   string         `json:"signer,omitempty"` // its public key; empty: not signed
	Rollout  *PluginRollout `json:"rollout,omitempty"`
	Last     *PluginOutcome `json:"last,omitempty"` // how the last rollout has ended
	Nodes    []PluginNode   `json:"nodes"`
}

// PluginRollout is a change of the version that is going on.
type PluginRollout struct {
	To    string `json:"to"`
	Phase string `json:"phase"`            // canary, trial, prepare, activate, watch
	Node  string `json:"canary,omitempty"` // that tries it first
}

// PluginOutcome is how a rollout has ended.
type PluginOutcome struct {
	From   string `json:"from,omitempty"`
	To     string `json:"to"`
	Done   bool   `json:"done"` // false: it was rolled back
	Reason string `json:"reason,omitempty"`
}

// PluginNode is what a living node has of a plugin.
type PluginNode struct {
	Node     string          `json:"node"`
	Local    bool            `json:"local,omitempty"` // from its own folder (plugins.dir)
	Versions []PluginVersion `json:"versions"`
}

// PluginVersion is a version on a node.
type PluginVersion struct {
	Version string `json:"version"`
	Stage   string `json:"stage"` // missing, fetched, verified, prepared, active, failed
	Reason  string `json:"reason,omitempty"`
	Calls   uint64 `json:"calls"`
	Faults  uint64 `json:"faults"`
	SlowUS  int64  `json:"slow_us"` // nine calls of ten took at most so long
}

// PluginUpload is where the pieces of a package go.
type PluginUpload struct {
	Node string `json:"node"`
	ID   string `json:"id"`
}

// PluginCheck is what came of verifying one version on one node.
type PluginCheck struct {
	Node    string `json:"node"`
	Version string `json:"version,omitempty"`
	Digest  string `json:"digest,omitempty"`
	Signer  string `json:"signer,omitempty"`
	OK      bool   `json:"ok"`
	Reason  string `json:"reason,omitempty"`
}

// PluginLine is a line that a plugin has logged on a node.
type PluginLine struct {
	Time    time.Time `json:"time"`
	Node    string    `json:"node"`
	Version string    `json:"version"`
	Level   string    `json:"level"`
	Text    string    `json:"text"`
}

// PluginHandler is what a host with plugins answers with beside [Handler]. Its
// arguments have been checked: names are names, changes are changes.
type PluginHandler interface {
	// Plugins lists all plugins of the platform.
	Plugins(ctx context.Context) ([]Plugin, error)
	// BeginPlugin makes room for a package of so many bytes.
	BeginPlugin(ctx context.Context, size int64) (PluginUpload, error)
	// PluginPiece takes a piece of it.
	PluginPiece(ctx context.Context, id string, offset int64, data []byte) error
	// InstallPlugin verifies and installs it, or upgrades what is there.
	InstallPlugin(ctx context.Context, id string, upgrade bool) (Plugin, error)
	// ChangePlugin rolls back, removes, enables or disables.
	ChangePlugin(ctx context.Context, name, change string) (Plugin, error)
	// VerifyPlugin verifies what this node has of a plugin, now.
	VerifyPlugin(ctx context.Context, name string) ([]PluginCheck, error)
	// PluginLogs are the last lines of a plugin on this node, oldest first.
	PluginLogs(ctx context.Context, name string) ([]PluginLine, error)
}

// Arguments of the verbs of plugins.
type (
	pluginArgs struct {
		Name string `json:"name"`
	}
	pluginChangeArgs struct {
		Name   string `json:"name"`
		Change string `json:"change"`
	}
	pluginBeginArgs struct {
		Size int64 `json:"size"`
	}
	pluginPieceArgs struct {
		ID     string `json:"id"`
		Offset int64  `json:"offset"`
		Data   []byte `json:"data"`
	}
	pluginInstallArgs struct {
		ID      string `json:"id"`
		Upgrade bool   `json:"upgrade,omitempty"`
	}
)

// PluginVerbs lists the verbs of hosts that have plugins; see [Verbs].
func PluginVerbs() []string {
	return []string{verbPlugins, verbPluginBegin, verbPluginPiece, verbPluginInstall, verbPluginChange, verbPluginVerify, verbPluginLogs}
}

// maxRequest is how long a request of a verb may be, in bytes.
func maxRequest(verb string) int {
	if verb == verbPluginPiece {
		return maxPieceRequest
	}
	return MaxRequest
}

// callPlugins calls the verbs of plugins.
func callPlugins(ctx context.Context, handler Handler, verb string, args json.RawMessage) (any, error) {
	h, ok := handler.(PluginHandler)
	if !ok {
		return nil, fmt.Errorf("%w: this host has no plugins", pluginapi.ErrInvalid)
	}
	switch verb {
	case verbPlugins:
		if len(args) > 0 {
			return nil, fmt.Errorf("%w: %s takes no arguments", pluginapi.ErrInvalid, verb)
		}
		return h.Plugins(ctx)
	case verbPluginBegin:
		var a pluginBeginArgs
		if err := readArgs(args, &a); err != nil {
			return nil, err
		}
		return h.BeginPlugin(ctx, a.Size)
	case verbPluginPiece:
		var a pluginPieceArgs
		if err := readArgs(args, &a); err != nil {
			return nil, err
		}
		return struct{}{}, h.PluginPiece(ctx, a.ID, a.Offset, a.Data)
	case verbPluginInstall:
		var a pluginInstallArgs
		if err := readArgs(args, &a); err != nil {
			return nil, err
		}
		return h.InstallPlugin(ctx, a.ID, a.Upgrade)
	}
	return callNamed(ctx, h, verb, args)
}

// callNamed calls the verbs that name a plugin.
func callNamed(ctx context.Context, h PluginHandler, verb string, args json.RawMessage) (any, error) {
	if verb == verbPluginChange {
		var a pluginChangeArgs
		if err := readArgs(args, &a); err != nil {
			return nil, err
		}
		if err := a.check(); err != nil {
			return nil, err
		}
		return h.ChangePlugin(ctx, a.Name, a.Change)
	}
	var a pluginArgs
	if err := readArgs(args, &a); err != nil {
		return nil, err
	}
	if err := pluginapi.CheckName("plugin", a.Name); err != nil {
		return nil, err
	}
	if verb == verbPluginVerify {
		return h.VerifyPlugin(ctx, a.Name)
	}
	return h.PluginLogs(ctx, a.Name)
}

func (a pluginChangeArgs) check() error {
	if err := pluginapi.CheckName("plugin", a.Name); err != nil {
		return err
	}
	switch a.Change {
	case PluginRollback, PluginRemove, PluginEnable, PluginDisable:
		return nil
	}
	return fmt.Errorf("%w: change %.20q of a plugin: there are rollback, remove, enable, disable", pluginapi.ErrInvalid, a.Change)
}
