package control

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Snapshot describes a snapshot of an app's database.
type Snapshot struct {
	ID       string    `json:"id"`
	Node     string    `json:"node"` // that took it
	Time     time.Time `json:"time"` // by the clock of that node
	Size     int64     `json:"size"` // of the database, in bytes
	Epoch    uint64    `json:"epoch"`
	TX       uint64    `json:"tx"`       // the last transaction that is in it
	Checksum string    `json:"checksum"` // of the database
}

// What is asked about snapshots.
const (
	SnapshotList   = "list"
	SnapshotCreate = "create"
	SnapshotDelete = "delete"
	SnapshotVerify = "verify"
	SnapshotParts  = "parts" // the digests of a snapshot, some at a time
	SnapshotChunk  = "chunk" // what is stored under a digest
)

// MaxParts is how many digests one answer has, at most.
const MaxParts = 8192

// maxID bounds the id of a snapshot in bytes.
const maxID = 128

// SnapshotRequest asks something about the snapshots of an app.
type SnapshotRequest struct {
	App    string `json:"app"`
	Do     string `json:"do"`
	ID     string `json:"id,omitempty"`     // delete, verify, parts
	From   int    `json:"from,omitempty"`   // parts: the first digest wanted
	Digest string `json:"digest,omitempty"` // chunk
}

// SnapshotAnswer is what a node says to it.
type SnapshotAnswer struct {
	Snapshots []Snapshot     `json:"snapshots,omitempty"` // list; create and parts: one
	Parts     *SnapshotPages `json:"parts,omitempty"`
	Data      []byte         `json:"data,omitempty"` // chunk
}

// SnapshotPages is what a snapshot is put together from.
type SnapshotPages struct {
	Sum      uint64   `json:"sum,string"`
	Seq      uint64   `json:"seq"`
	Platform string   `json:"platform"`
	PageSize int      `json:"page_size"`
	Pages    uint32   `json:"pages"`
	Digests  []string `json:"digests"` // SHA-256 in hex, from the wanted one on
}

func (r SnapshotRequest) check() error {
	if err := pluginapi.CheckName("app", r.App); err != nil {
		return err
	}
	needID := slices.Contains([]string{SnapshotDelete, SnapshotVerify, SnapshotParts}, r.Do)
	switch {
	case needID && (r.ID == "" || len(r.ID) > maxID):
		return fmt.Errorf("%w: id of a snapshot %.40q: give one that the list shows", pluginapi.ErrInvalid, r.ID)
	case r.From < 0:
		return fmt.Errorf("%w: digest %d", pluginapi.ErrInvalid, r.From)
	case r.Do == SnapshotChunk:
		if b, err := hex.DecodeString(r.Digest); err != nil || len(b) != 32 {
			return fmt.Errorf("%w: digest %.80q: it is no SHA-256 in hex", pluginapi.ErrInvalid, r.Digest)
		}
	case !needID && r.Do != SnapshotList && r.Do != SnapshotCreate:
		return fmt.Errorf("%w: %.20q cannot be done with snapshots", pluginapi.ErrInvalid, r.Do)
	}
	return nil
}

// Keeper finds a node that has the database of an app; following says that it
// has to keep a copy that follows.
//
// # Errors
//
// ErrAppNotFound; ErrInvalid for an app without a database; ErrNoStandby when no
// copy follows.
func (c *Client) Keeper(ctx context.Context, app string, following bool) (node string, err error) {
	a, err := c.App(ctx, app)
	if err != nil {
		return "", err
	}
	has := slices.DeleteFunc(slices.Clone(a.Instances), func(i Instance) bool { return i.Database == nil })
	if len(has) == 0 {
		return "", fmt.Errorf("%w: no node that answers has a database of app %s: set apps[].sqlite", pluginapi.ErrInvalid, app)
	}
	slices.SortStableFunc(has, func(x, y Instance) int { return cmp.Compare(readiness(x), readiness(y)) })
	if following && !has[0].Database.Follows {
		return "", fmt.Errorf("%w: a snapshot is taken of a copy, and none of app %s follows at the moment", pluginapi.ErrNoStandby, app)
	}
	return has[0].Node, nil
}

// readiness is less for the better one to ask.
func readiness(i Instance) int {
	switch {
	case i.Database.Follows:
		return 0
	case i.Database.Role != DatabaseOpening:
		return 1
	}
	return 2
}

// SnapshotOn asks one node about snapshots.
func (c *Client) SnapshotOn(ctx context.Context, node string, r SnapshotRequest) (SnapshotAnswer, error) {
	if err := r.check(); err != nil {
		return SnapshotAnswer{}, err
	}
	return ask[SnapshotAnswer](ctx, c, node, verbSnapshot, r)
}

// Snapshot finds a node that can answer and asks it.
func (c *Client) Snapshot(ctx context.Context, r SnapshotRequest) (SnapshotAnswer, error) {
	if err := r.check(); err != nil {
		return SnapshotAnswer{}, err
	}
	node, err := c.Keeper(ctx, r.App, r.Do == SnapshotCreate)
	if err != nil {
		return SnapshotAnswer{}, err
	}
	return c.SnapshotOn(ctx, node, r)
}
