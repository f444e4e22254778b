package sqlite

import (
	"context"
	"fmt"

	"github.com/ozanturksever/go-cluster/replication/page"
)

// Page returns a page of the copy as it is now, normalized; of a change that
// has begun with its parts up to here. It is for the differences of which the
// next part is made.
func (a *Applier) Page(ctx context.Context, number uint32) ([]byte, error) {
	if number == 0 || number > a.table.Pages() {
		return nil, fmt.Errorf("read page %d of a copy of %d pages: %w", number, a.table.Pages(), ErrDiverged)
	}
	if a.begun == nil && a.stale {
		if err := a.connect(ctx); err != nil {
			return nil, err
		}
	}
	var data []byte
	if err := a.c.QueryRowContext(ctx, "SELECT data FROM sqlite_dbpage WHERE pgno = ?", number).Scan(&data); err != nil {
		return nil, fmt.Errorf("read page %d of %s: %w", number, a.path, err)
	}
	page.Normalize(page.Page{Number: number, Data: data})
	return data, nil
}
