package replication

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/ozanturksever/go-cluster/replication/sqlite"
)

// divergedMost bounds what a report lists.
const divergedMost = 1000

// reportDiverged writes, for people, what is in a database that was moved aside:
// <aside>.txt. What cannot be found out is said in it; only that it cannot be
// written is an error.
func reportDiverged(ctx context.Context, path, aside string, head Head) error {
	var b strings.Builder
	hint := remembered(path)
	fmt.Fprintf(&b, "Database %s was moved here on %s.\n", path, time.Now().UTC().Format(time.RFC3339))
	fmt.Fprintf(&b, "It has transactions that the other nodes do not have: it was written here and they were not fed,\nor not before another node led. The app goes on without them.\n\n")
	fmt.Fprintf(&b, "Last known to be in the feed: transaction %d of epoch %d. The feed is in epoch %d now.\n", hint.TX, hint.Epoch, head.Epoch)
	old, err := keptPages(path)
	if err != nil {
		fmt.Fprintf(&b, "Which pages differ is not known: %v.\n", err)
	}
	in, err := sqlite.Inspect(ctx, aside, old.table)
	if err != nil {
		fmt.Fprintf(&b, "The database cannot be read: %v.\n", err)
	}
	fmt.Fprintf(&b, "It has %d pages of %d bytes.\n", in.Pages, in.PageSize)
	if old.table != nil && err == nil {
		fmt.Fprintf(&b, "%d pages differ from what the feed had when the hashes were last written.\n", in.Differ)
	}
	if len(in.Tables) > 0 {
		b.WriteString("\nTables and indexes, with the pages that they have and those of them that differ:\n")
	}
	for i, t := range in.Tables {
		if i == divergedMost {
			fmt.Fprintf(&b, "and %d more\n", len(in.Tables)-i)
			break
		}
		fmt.Fprintf(&b, "%q: %d pages, %d differ\n", t.Name, t.Pages, t.Differ)
	}
	if err := os.WriteFile(aside+".txt", []byte(b.String()), 0o600); err != nil {
		return errors.Join(fmt.Errorf("report of %s: %w", aside, err), os.Remove(aside+".txt"))
	}
	return nil
}
