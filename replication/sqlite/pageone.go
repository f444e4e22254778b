package sqlite

import (
	"context"
	"encoding/binary"
	"fmt"
)

// cookieAt is where page 1 has SQLite's number of the schema.
const cookieAt = 40

// writeLast writes page 1 and gives the copy its size. Behind a page 1 with
// another number of the schema no statement works: the connection would read
// the new schema by what it knows of the old pages. And a page that is written
// behind the shrinking cancels it, silently. So page 1 keeps the old number
// until the size is right, and the number is set in a way of its own. It returns
// the number that the copy has then.
func (a *Applier) writeLast(ctx context.Context, one []byte, pages uint32) (cookie uint32, err error) {
	shrinks := pages < a.table.Pages()
	cookie = a.schema
	if one != nil {
		cookie = binary.BigEndian.Uint32(one[cookieAt:])
		if shrinks {
			binary.BigEndian.PutUint32(one[cookieAt:], a.schema)
		}
		if _, err := a.put.ExecContext(ctx, 1, one); err != nil {
			return 0, fmt.Errorf("write page 1: %w", err)
		}
	}
	if !shrinks {
		return cookie, nil
	}
	if _, err := a.put.ExecContext(ctx, pages+1, nil); err != nil {
		return 0, fmt.Errorf("shrink to %d pages: %w", pages, err)
	}
	if cookie != a.schema {
		if _, err := a.c.ExecContext(ctx, fmt.Sprintf("PRAGMA schema_version=%d", int32(cookie))); err != nil {
			return 0, fmt.Errorf("set number of the schema: %w", err)
		}
	}
	return cookie, nil
}
