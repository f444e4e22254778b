package replica

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/ozanturksever/go-cluster/replication"
	"github.com/ozanturksever/go-cluster/replication/sqlite"
)

// lead feeds the changes of the database. opened is told when the service may
// write: the database is open, or there is none yet and the service will make
// it.
func (k *Keeper) lead(ctx context.Context, epoch uint64, opened chan<- error) error {
	tell := func(err error) {
		if opened != nil {
			opened <- err
			opened = nil
		}
	}
	for {
		p, err := replication.OpenPrimary(ctx, replication.PrimaryConfig{
			Path: k.cfg.Path, Epoch: epoch, Feed: k.tools.Feed, Chunks: k.tools.Chunks, Shelf: k.tools.Shelf, Logger: k.cfg.Logger,
			Capture: sqlite.CaptureOptions{Convert: true},
		})
		if err == nil {
			k.note(func() { k.primary, k.err = p, nil })
			tell(nil)
			err = p.Run(ctx)
			k.note(func() { k.primary = nil })
			p.Close()
			return err
		}
		missing := k.missing()
		if !missing {
			tell(err)
			return err
		}
		tell(nil)
		k.note(func() { k.err = ErrNoFile })
		select {
		case <-time.After(filePause):
		case <-k.look:
		case <-ctx.Done():
			return nil
		}
	}
}

// Aside is between the path of a database and the time at which a copy was kept.
const Aside = replication.Aside

// ErrNoFile is what a leader's state says as long as there is no database.
var ErrNoFile = errors.New("the database is not there yet: its service has not made it")

// missing says whether there is no database: no file, or an empty one.
func (k *Keeper) missing() bool {
	st, err := os.Stat(k.cfg.Path)
	return errors.Is(err, os.ErrNotExist) || err == nil && st.Mode().IsRegular() && st.Size() == 0
}
