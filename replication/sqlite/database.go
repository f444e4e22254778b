package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	modernc "modernc.org/sqlite"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/replication/page"
	"github.com/ozanturksever/go-cluster/replication/wal"
)

// What can be wrong with a database. All but ErrReplaced are found when it is
// opened.
var (
	ErrNotDatabase = errors.New("not a SQLite database, or an encrypted one")
	ErrNotWAL      = errors.New("database is not in WAL mode")
	ErrReplaced    = errors.New("database was replaced or deleted under its replication")
)

var errNetwork = errors.New("it is on a network file system, where locks and shared memory do not reach other machines: put the database on a local disk")

// Bytes of the -shm file that are locks.
const (
	byteWrite      = 120 // held by who writes, or holds writers off (the seal)
	byteCheckpoint = 121 // held by who copies the log into the database file
)

// headerSize is what is read of page 1 before the page size is known.
const headerSize = 100

// database is an open database in WAL mode: SQLite's connections and, beside
// them, its three files.
type database struct {
	path     string
	db       *sql.DB
	pageSize int
	file     *raw
	log      *raw
	shm      *raw
}

// open opens a database that is there. pragmas are set on each connection.
func open(ctx context.Context, path string, convert bool, pragmas ...string) (*database, error) {
	if err := supported(); err != nil {
		return nil, err
	}
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, fmt.Errorf("find database: %w", err)
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, fmt.Errorf("find database: %w", err)
	}
	d := &database{path: path}
	if err := d.open(ctx, convert, pragmas); err != nil {
		d.close()
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	return d, nil
}

func (d *database) open(ctx context.Context, convert bool, pragmas []string) (err error) {
	if st, err := os.Stat(d.path); err != nil {
		return err
	} else if !st.Mode().IsRegular() {
		return fmt.Errorf("%w: it is no regular file", ErrNotDatabase)
	}
	if err := checkFilesystem(d.path); err != nil {
		return err
	}
	// Where connections were opened before in this process, it says that it is
	// too late. The locks of those are then in the care of raw.close.
	_, _ = modernc.OFDLocking(true)
	if d.file, err = openRaw(d.path); err != nil {
		return err
	}
	isWAL, err := d.readHeader()
	if err != nil {
		return err
	}
	query := url.Values{"_pragma": append([]string{"busy_timeout(5000)"}, pragmas...)}
	// Without cache: one connection in one place holds a transaction for long.
	u := url.URL{Scheme: "file", OmitHost: true, Path: d.path, RawQuery: query.Encode()}
	if d.db, err = sql.Open("sqlite", u.String()); err != nil {
		return err
	}
	if err := d.ensureWAL(ctx, isWAL, convert); err != nil {
		return err
	}
	if d.log, err = openRaw(d.path + "-wal"); err != nil {
		return err
	}
	d.shm, err = openRaw(d.path + "-shm")
	return err
}

// readHeader looks at page 1 in the file.
func (d *database) readHeader() (isWAL bool, err error) {
	var b [headerSize]byte
	n, err := d.file.ReadAt(b[:], 0)
	if n == 0 {
		if size, sizeErr := d.file.size(); sizeErr == nil && size == 0 {
			return false, nil // an empty database, in no mode yet
		}
	}
	if n < len(b) {
		return false, fmt.Errorf("%w: its header: %w", ErrNotDatabase, err)
	}
	if string(b[:16]) != "SQLite format 3\x00" {
		return false, ErrNotDatabase
	}
	d.pageSize = int(binary.BigEndian.Uint16(b[16:]))
	if d.pageSize == 1 {
		d.pageSize = page.MaxSize
	}
	if err := page.CheckSize(d.pageSize); err != nil {
		return false, fmt.Errorf("%w: %w", ErrNotDatabase, err)
	}
	return b[18] == 2 && b[19] == 2, nil
}

// ensureWAL brings the files of the WAL mode into being, and the database into
// the mode if that is wished.
func (d *database) ensureWAL(ctx context.Context, isWAL, convert bool) error {
	if !isWAL && !convert {
		return fmt.Errorf("%w: run \"PRAGMA journal_mode=WAL\" once in the program that owns it, or allow the conversion", ErrNotWAL)
	}
	c, err := d.conn(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	pragma := "PRAGMA journal_mode"
	if !isWAL {
		pragma += "=WAL"
	}
	var mode string
	if err := c.QueryRowContext(ctx, pragma).Scan(&mode); err != nil {
		return fmt.Errorf("set WAL mode: %w", err)
	}
	if mode != "wal" {
		return fmt.Errorf("%w: it stays in mode %q: another program uses it at this moment", ErrNotWAL, mode)
	}
	if _, err := c.ExecContext(ctx, "BEGIN; PRAGMA user_version; COMMIT"); err != nil {
		return fmt.Errorf("read: %w", err)
	}
	_, err = d.readHeader()
	return err
}

// conn opens a connection that leaves the log in place when it is closed.
func (d *database) conn(ctx context.Context) (*sql.Conn, error) {
	c, err := d.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	err = c.Raw(func(conn any) error {
		_, err := conn.(modernc.FileControl).FileControlPersistWAL("main", 1)
		return err
	})
	if err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("keep log: %w", err)
	}
	return c, nil
}

// discard closes a connection for good, not back into the pool.
func discard(c *sql.Conn) {
	if c != nil {
		_ = c.Raw(func(any) error { return driver.ErrBadConn })
	}
}

// close ends SQLite's connections first: what its locks depend on goes last.
func (d *database) close() {
	if d.db != nil {
		_ = d.db.Close()
	}
	for _, r := range []*raw{d.shm, d.log, d.file} {
		if r != nil {
			r.close()
		}
	}
}

// index reads the header of the wal-index, as a reader of the database does.
func (d *database) index() (wal.Index, error) {
	var b [wal.IndexSize]byte
	if _, err := d.shm.ReadAt(b[:], 0); err != nil {
		return wal.Index{}, fmt.Errorf("%w: %w", wal.ErrIndex, err)
	}
	x, err := wal.ParseIndex(b[:])
	if err == nil && x.PageSize != d.pageSize && x.MaxFrame > 0 {
		return x, fmt.Errorf("%w: page size %d, the database has %d", wal.ErrIndex, x.PageSize, d.pageSize)
	}
	return x, err
}

// inPlace says whether the paths still lead to the files that are open.
func (d *database) inPlace() error {
	for _, r := range []*raw{d.file, d.log, d.shm} {
		if !r.inPlace() {
			return fmt.Errorf("%w: %s is another file now, or none: restart the replication, it compares all pages", ErrReplaced, r.path)
		}
	}
	return nil
}

// begin starts a read transaction on a connection. It reads no schema: that may
// need modules that only the owner of the database has.
func begin(ctx context.Context, c *sql.Conn) error {
	if _, err := c.ExecContext(ctx, "BEGIN"); err != nil {
		return err
	}
	var n int64
	if err := c.QueryRowContext(ctx, "PRAGMA user_version").Scan(&n); err != nil {
		_, _ = c.ExecContext(ctx, "ROLLBACK")
		return err
	}
	return nil
}

func rollback(c *sql.Conn) { _, _ = c.ExecContext(context.Background(), "ROLLBACK") }

// lock takes a byte of the -shm file, trying for at most d. It is pluginapi.ErrBusy
// if another holds it.
func (d *database) lock(ctx context.Context, at int64, most time.Duration) error {
	const between = 50 * time.Microsecond
	end := time.Now().Add(most)
	for {
		ok, err := d.shm.lock(at)
		if err != nil || ok {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("%w: byte %s of %s is locked", pluginapi.ErrBusy, strconv.FormatInt(at, 10), d.shm.path)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(between):
		}
	}
}
