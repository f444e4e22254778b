package control

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Plugins lists the plugins of the platform, by name.
func (c *Client) Plugins(ctx context.Context) ([]Plugin, error) {
	list, err := ask[[]Plugin](ctx, c, "", verbPlugins, nil)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(a, b Plugin) int { return cmp.Compare(a.Name, b.Name) })
	for i := range list {
		list[i] = list[i].complete()
	}
	return orEmpty(list), nil
}

func (p Plugin) complete() Plugin {
	p.Nodes = orEmpty(p.Nodes)
	for i := range p.Nodes {
		p.Nodes[i].Versions = orEmpty(p.Nodes[i].Versions)
	}
	return p
}

// Plugin returns one plugin. ErrPluginNotFound if there is none of that name.
func (c *Client) Plugin(ctx context.Context, name string) (Plugin, error) {
	if err := pluginapi.CheckName("plugin", name); err != nil {
		return Plugin{}, err
	}
	list, err := c.Plugins(ctx)
	if err != nil {
		return Plugin{}, err
	}
	pluginName := func(p Plugin) string { return p.Name }
	i := slices.IndexFunc(list, func(p Plugin) bool { return p.Name == name })
	if i < 0 {
		return Plugin{}, fmt.Errorf("%w: %s: the platform has %s", pluginapi.ErrPluginNotFound, name, names(list, pluginName))
	}
	return list[i], nil
}

// InstallPlugin sends a package of so many bytes to one host, which verifies and
// installs it, or with upgrade begins to replace the version that is there. It
// returns when the platform knows what is wanted; see Plugin for what comes of
// it.
//
// # Errors
//
// What the host finds wrong with the package; ErrKeyExists, ErrConflict,
// ErrPluginNotFound, ErrPluginDisabled, ErrNotGranted, ErrUnauthorized,
// ErrTooLarge, ErrBusy.
func (c *Client) InstallPlugin(ctx context.Context, r io.Reader, size int64, upgrade bool) (Plugin, error) {
	up, err := ask[PluginUpload](ctx, c, "", verbPluginBegin, pluginBeginArgs{size})
	if err != nil {
		return Plugin{}, err
	}
	piece := make([]byte, MaxPiece)
	for at := int64(0); ; {
		n, err := io.ReadFull(r, piece)
		if n > 0 {
			if _, err := ask[struct{}](ctx, c, up.Node, verbPluginPiece, pluginPieceArgs{up.ID, at, piece[:n]}); err != nil {
				return Plugin{}, err
			}
			at += int64(n)
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return Plugin{}, fmt.Errorf("read package: %w", err)
		}
	}
	p, err := ask[Plugin](ctx, c, up.Node, verbPluginInstall, pluginInstallArgs{up.ID, upgrade})
	return p.complete(), err
}

// ChangePlugin makes one of the changes PluginRollback, PluginRemove,
// PluginEnable, PluginDisable.
//
// # Errors
//
// ErrPluginNotFound, ErrPluginDisabled, ErrConflict, ErrInvalid,
// ErrUnknownOutcome.
func (c *Client) ChangePlugin(ctx context.Context, name, change string) (Plugin, error) {
	a := pluginChangeArgs{name, change}
	if err := a.check(); err != nil {
		return Plugin{}, err
	}
	p, err := ask[Plugin](ctx, c, "", verbPluginChange, a)
	return p.complete(), err
}

// VerifyPlugin lets every living node that has a plugin verify it now. A node
// that does not answer is among the results.
//
// # Errors
//
// ErrPluginNotFound.
func (c *Client) VerifyPlugin(ctx context.Context, name string) ([]PluginCheck, error) {
	p, err := c.Plugin(ctx, name)
	if err != nil {
		return nil, err
	}
	out := []PluginCheck{}
	for _, n := range p.Nodes {
		checks, err := ask[[]PluginCheck](ctx, c, n.Node, verbPluginVerify, pluginArgs{name})
		if err != nil {
			checks = []PluginCheck{{Node: n.Node, Reason: err.Error()}}
		}
		out = append(out, checks...)
	}
	return out, nil
}

// PluginLogs collects the last lines of a plugin from every living node that has
// it, oldest first. Nodes that do not answer are named in missing.
//
// # Errors
//
// ErrPluginNotFound.
func (c *Client) PluginLogs(ctx context.Context, name string) (lines []PluginLine, missing []string, err error) {
	p, err := c.Plugin(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	lines, missing = []PluginLine{}, []string{}
	for _, n := range p.Nodes {
		got, err := ask[[]PluginLine](ctx, c, n.Node, verbPluginLogs, pluginArgs{name})
		if err != nil {
			missing = append(missing, n.Node)
		}
		lines = append(lines, got...)
	}
	slices.SortStableFunc(lines, func(a, b PluginLine) int { return a.Time.Compare(b.Time) })
	return lines, missing, nil
}
