package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/ozanturksever/go-cluster/host/control"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/replication/page"
	"github.com/ozanturksever/go-cluster/replication/snapshot"
)

// restoreTimeout is how long a restore may take as a whole.
const restoreTimeout = 12 * time.Hour

func (p *program) snapshotRestoreCommand() *cobra.Command {
	var app, to string
	c := &cobra.Command{
		Use: "restore ID", Short: "Make the database of a snapshot on this machine",
		Long: "Restore writes the database of a snapshot to a file of this machine, where nothing may\nbe, and checks it as a whole before it appears there. No host's database is touched.",
		Args: args("ID"),
		RunE: func(c *cobra.Command, a []string) error {
			if to == "" {
				return usagef("--to is missing: name the file that is to be made")
			}
			path, err := filepath.Abs(to)
			if err != nil {
				return fmt.Errorf("find %s: %w", to, err)
			}
			return p.ask(c, restoreTimeout, func(ctx context.Context, client *control.Client) error {
				m, err := restore(ctx, client, app, a[0], path)
				if err != nil {
					return err
				}
				return p.print(map[string]any{"app": app, "id": m.ID, "path": path, "size": m.Size()}, func(out *screen) {
					out.linef("%s: snapshot %s restored to %s, %d bytes", app, m.ID, path, m.Size())
				})
			})
		},
	}
	c.Flags().StringVar(&to, "to", "", "the file that is made")
	appFlag(c, &app)
	return c
}

// restore fetches a snapshot from a host that has the app's database.
func restore(ctx context.Context, client *control.Client, app, id, path string) (m snapshot.Manifest, err error) {
	src := chunkSource{client: client, app: app}
	if src.node, err = client.Keeper(ctx, app, false); err != nil {
		return m, err
	}
	if m, err = src.manifest(ctx, id); err != nil {
		return m, err
	}
	return m, snapshot.Restore(ctx, m, src, path)
}

// chunkSource reads a snapshot by asking a host.
type chunkSource struct {
	client    *control.Client
	app, node string
}

// manifest puts a manifest together.
func (s chunkSource) manifest(ctx context.Context, id string) (m snapshot.Manifest, err error) {
	for {
		a, err := s.client.SnapshotOn(ctx, s.node, control.SnapshotRequest{App: s.app, Do: control.SnapshotParts, ID: id, From: len(m.Chunks)})
		if err != nil {
			return m, err
		}
		p := a.Parts
		if p == nil || len(a.Snapshots) != 1 || a.Snapshots[0].ID != id {
			return m, fmt.Errorf("read snapshot %s: the answer of %s is of something else", id, s.node)
		}
		m.ID, m.App, m.Platform, m.Seq = id, s.app, p.Platform, p.Seq
		m.Sum, m.PageSize, m.Pages = page.Sum(p.Sum), p.PageSize, p.Pages
		m.Epoch, m.TX, m.Node, m.Time = a.Snapshots[0].Epoch, a.Snapshots[0].TX, a.Snapshots[0].Node, a.Snapshots[0].Time
		for _, text := range p.Digests {
			d, err := snapshot.ParseDigest(text)
			if err != nil {
				return m, fmt.Errorf("read snapshot %s: %w", id, err)
			}
			m.Chunks = append(m.Chunks, d)
		}
		if len(p.Digests) < control.MaxParts || len(m.Chunks) > snapshot.MaxPages {
			// Encode checks it as if it came from the store.
			data, err := m.Encode()
			if err != nil {
				return m, fmt.Errorf("read snapshot %s: %w", id, err)
			}
			return snapshot.Decode(data)
		}
	}
}

// Get implements [snapshot.Store].
func (s chunkSource) Get(ctx context.Context, d [32]byte) ([]byte, error) {
	a, err := s.client.SnapshotOn(ctx, s.node, control.SnapshotRequest{App: s.app, Do: control.SnapshotChunk, Digest: snapshot.Digest(d).String()})
	return a.Data, err
}

// Put implements [snapshot.Store]; nothing is put.
func (chunkSource) Put(context.Context, [32]byte, []byte) error {
	return errors.Join(pluginapi.ErrInvalid, errors.New("a snapshot is only read here"))
}
