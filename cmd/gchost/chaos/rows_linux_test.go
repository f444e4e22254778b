package chaos

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	cluster "github.com/ozanturksever/go-cluster"
)

// openRows opens the database of the service.
func openRows(path, more string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(20000)"+more)
	if err == nil {
		db.SetMaxOpenConns(1)
	}
	return db, err
}

// Every so many rows one is too large for a page, many pages, one message.
const largeEvery = 40

// runRows is a service that adds rows to a database for ever. It knows nothing
// of replication. What it has committed last it writes to a file beside the
// database, which is its own of its leadership: an older one tells of rows that
// may have been lost.
func runRows() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	path := os.Args[2]
	db, err := openRows(path, "&_pragma=journal_mode(wal)")
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := db.Exec("CREATE TABLE IF NOT EXISTS rows(n INTEGER PRIMARY KEY, tag TEXT NOT NULL, fill BLOB)"); err != nil {
		return err
	}
	var n int64
	if err := db.QueryRow("SELECT coalesce(max(n), 0) FROM rows").Scan(&n); err != nil {
		return err
	}
	mark, err := os.Create(markPath(path, os.Getenv("GCHOST_EPOCH")))
	if err != nil {
		return err
	}
	defer mark.Close()
	tag := fmt.Sprintf("%s.%s.%d", os.Getenv("GCHOST_NODE"), os.Getenv("GCHOST_EPOCH"), os.Getpid())
	tick := time.NewTicker(actEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		if _, err := os.Stat(filepath.Join(os.Getenv(envGate), "pause")); err == nil {
			continue
		}
		size := 100
		if n++; n%largeEvery == 0 {
			size = 300_000
		}
		if _, err := db.Exec("INSERT INTO rows VALUES(?, ?, randomblob(?))", n, tag, size); err != nil {
			return err
		}
		if _, err := mark.WriteAt(fmt.Appendf(nil, "%020d %s\n", n, tag), 0); err != nil {
			return err
		}
	}
}

func markPath(database, epoch string) string { return database + ".mark." + epoch }

// row is a row by what cannot be mistaken.
type row struct {
	n   int64
	tag string
}

// readMark returns what a service has committed last.
func readMark(path string) (r row, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return r, err
	}
	return parseRow(strings.TrimSuffix(string(text), "\n"))
}

func parseRow(text string) (r row, err error) {
	n, tag, found := strings.Cut(text, " ")
	if !found {
		return r, fmt.Errorf("%q is no row", text)
	}
	r.tag = tag
	r.n, err = strconv.ParseInt(strings.TrimLeft(n, "0"), 10, 64)
	return r, err
}

// rowsApp is an app whose service is a process that writes a database; while
// this node leads, each row is written to the ledger that is safe by a barrier
// that has returned.
func rowsApp(ctx context.Context, name, self string, s librarySpec) *cluster.App {
	app := cluster.NewApp(name, cluster.WithSQLite(s.Database),
		cluster.WithBackend(cluster.Process(cluster.ProcessConfig{Command: self, Args: []string{roleRows, s.Database}})))
	go func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		var last row
		for {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			if err := confirm(ctx, app, s, &last); err != nil && !errors.Is(err, os.ErrNotExist) {
				fmt.Fprintln(os.Stderr, "confirm:", err)
			}
		}
	}()
	return app
}

// confirm writes the row to the ledger that the service has committed last, when
// a barrier that began after it has returned in the same leadership.
func confirm(ctx context.Context, app *cluster.App, s librarySpec, last *row) error {
	if !app.IsLeader() {
		return nil
	}
	epoch := app.Election().Epoch()
	r, err := readMark(markPath(s.Database, strconv.FormatUint(uint64(epoch), 10)))
	if err != nil || r == *last {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := app.WAL().Sync(ctx); err != nil {
		return err
	}
	if app.Election().Epoch() != epoch {
		return nil
	}
	f, err := os.OpenFile(s.Ledger, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	*last = r
	_, err = fmt.Fprintf(f, "%d %s\n", r.n, r.tag)
	return errors.Join(err, f.Close())
}
