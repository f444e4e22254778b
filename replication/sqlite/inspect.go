package sqlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Inspection is what is in a database that nobody writes.
type Inspection struct {
	Pages    uint32
	PageSize int     // bytes
	Differ   uint32  // pages that are not those of the table that was given
	Tables   []Usage // tables and indexes; those with most pages that differ first
}

// Usage is what one table or index has of a database.
type Usage struct {
	Name          string
	Pages, Differ uint32
}

// Inspect says which pages of a database are not those of a table of hashes, and
// to which of its tables and indexes they belong. nil stands for a table of
// nothing. The database is opened, brought into WAL mode, and nobody else can
// write to it meanwhile.
//
// # Errors
//
// Those of [OpenApplier]; what keeps SQLite from walking through it: then
// Tables is empty, and the rest is right.
func Inspect(ctx context.Context, path string, old *Table) (in Inspection, err error) {
	a, err := OpenApplier(ctx, path, ApplierOptions{})
	if err != nil {
		return in, fmt.Errorf("inspect: %w", err)
	}
	defer a.Close()
	if a.d == nil {
		return in, errors.New("inspect: there is no database")
	}
	if old == nil {
		old = &Table{}
	}
	in.Pages, in.PageSize = a.table.Pages(), a.table.PageSize()
	differs := func(n uint32) bool { return a.table.hash(n) != old.hash(n) || in.PageSize != old.pageSize }
	for n := range max(in.Pages, old.Pages()) {
		if differs(n + 1) {
			in.Differ++
		}
	}
	rows, err := a.c.QueryContext(ctx, "SELECT name, pageno FROM dbstat")
	if err != nil {
		return in, fmt.Errorf("inspect %s: %w", path, err)
	}
	defer rows.Close()
	all := map[string]*Usage{}
	for rows.Next() {
		var name string
		var n uint32
		if err := rows.Scan(&name, &n); err != nil {
			return in, fmt.Errorf("inspect %s: %w", path, err)
		}
		if all[name] == nil {
			all[name] = &Usage{Name: strings.ToValidUTF8(name, "?")}
		}
		all[name].Pages++
		if differs(n) {
			all[name].Differ++
		}
	}
	if err := rows.Err(); err != nil {
		return in, fmt.Errorf("inspect %s: %w", path, err)
	}
	in.Tables = byUse(all)
	return in, nil
}

func byUse(all map[string]*Usage) (out []Usage) {
	for _, u := range all {
		out = append(out, *u)
	}
	slices.SortFunc(out, func(a, b Usage) int {
		return cmp.Or(cmp.Compare(b.Differ, a.Differ), cmp.Compare(b.Pages, a.Pages), cmp.Compare(a.Name, b.Name))
	})
	return out
}
