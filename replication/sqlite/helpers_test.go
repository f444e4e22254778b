package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/replication/page"
	"github.com/ozanturksever/go-cluster/replication/sqlite"
)

// patience is how long a test waits for what must come.
const patience = 90 * time.Second

// rig is a source that a capture follows, and a copy that its changes go to.
type rig struct {
	t       testing.TB
	dir     string
	source  string
	copy    string
	capture *sqlite.Capture
	applier *sqlite.Applier

	mu      sync.Mutex
	changes []sqlite.Change // without pages
	before  func(sqlite.Change)

	stop func() error // ends Run and returns what it returned
}

// needs skips where the tools of the tests are not, and fails in CI.
func needs(t testing.TB, tool string) {
	t.Helper()
	missing := func(why string) {
		if os.Getenv("CI") != "" && os.Getuid() == 0 {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	if runtime.GOOS != "linux" {
		t.Skip("replication of SQLite needs Linux")
	}
	if tool == "" {
		return
	}
	if _, err := exec.LookPath(tool); err != nil {
		missing("no " + tool)
	}
}

// long says whether the long forms of tests are wanted.
func long() bool { return os.Getenv("CHAOS") == "long" }

// newRig makes an empty source in WAL mode with pages of that size.
func newRig(t testing.TB, pageSize int) *rig {
	t.Helper()
	needs(t, "")
	if t, ok := t.(*testing.T); ok {
		t.Parallel()
	}
	dir := t.TempDir()
	r := &rig{t: t, dir: dir, source: filepath.Join(dir, "source.db"), copy: filepath.Join(dir, "copy.db")}
	db := r.open(r.source)
	defer db.Close()
	exe(t, db, fmt.Sprintf("PRAGMA page_size=%d", pageSize))
	exe(t, db, "PRAGMA auto_vacuum=2")
	exe(t, db, "PRAGMA journal_mode=wal")
	exe(t, db, "CREATE TABLE a(i INTEGER PRIMARY KEY, v)")
	return r
}

// open opens a database with one connection.
func (r *rig) open(path string, pragmas ...string) *sql.DB {
	r.t.Helper()
	q := "?_pragma=busy_timeout(30000)"
	for _, p := range pragmas {
		q += "&_pragma=" + p
	}
	db, err := sql.Open("sqlite", "file:"+path+q)
	if err != nil {
		r.t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	return db
}

func exe(t testing.TB, db *sql.DB, q string, args ...any) {
	t.Helper()
	if _, err := db.Exec(q, args...); err != nil {
		t.Fatalf("%.200s: %v", q, err)
	}
}

// start opens capture and copy, and lets them run.
func (r *rig) start(o sqlite.CaptureOptions) {
	r.t.Helper()
	if testing.Verbose() && o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(testWriter{r.t}, nil))
	}
	ctx, cancel := context.WithCancel(context.Background())
	var err error
	if r.applier, err = sqlite.OpenApplier(ctx, r.copy, sqlite.ApplierOptions{}); err != nil {
		r.t.Fatal(err)
	}
	if r.capture, err = sqlite.OpenCapture(ctx, r.source, o); err != nil {
		r.t.Fatal(err)
	}
	base := sqlite.NewTable(r.applier.Table().PageSize(), bytesOf(r.applier.Table().Hashes()))
	done := make(chan error, 1)
	go func() { done <- r.capture.Run(ctx, base, r.emit) }()
	var once sync.Once
	var result error
	r.stop = func() error {
		once.Do(func() {
			cancel()
			result = <-done
			r.capture.Close()
			r.applier.Close()
		})
		return result
	}
	r.t.Cleanup(func() { _ = r.stop() })
}

func bytesOf(h []uint64) []uint64 { return append([]uint64(nil), h...) }

func (r *rig) emit(ctx context.Context, c sqlite.Change) error {
	if r.before != nil {
		r.before(c)
	}
	if err := r.applier.Apply(ctx, c); err != nil {
		return err
	}
	c.Pages = nil
	r.mu.Lock()
	defer r.mu.Unlock()
	if !c.More {
		r.changes = append(r.changes, c)
	}
	return nil
}

// sync waits until all is in the copy.
func (r *rig) sync() {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := r.capture.Sync(ctx); err != nil {
		r.t.Fatalf("sync: %v; %+v; run: %v", err, r.capture.Stats(), r.stop())
	}
}

// same compares source and copy page by page, read through SQLite, and lets
// SQLite check both.
func (r *rig) same() {
	r.t.Helper()
	r.sync()
	a, b := r.pages(r.source), r.pages(r.copy)
	differ := 0
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || !bytes.Equal(a[i], b[i]) {
			differ++
		}
	}
	if differ > 0 || len(a) != len(b) {
		r.t.Errorf("%d of %d pages of the source differ from the copy's %d", differ, len(a), len(b))
	}
	r.intact(r.source)
	r.intact(r.copy)
	if r.t.Failed() {
		r.t.Fatalf("%+v", r.capture.Stats())
	}
}

// ends compares once more, and then what the files of the copy have with what
// the last change promised: a reader would not see pages behind its size.
func (r *rig) ends() {
	r.t.Helper()
	r.same()
	_ = r.stop()
	a, err := sqlite.OpenApplier(r.t.Context(), r.copy, sqlite.ApplierOptions{})
	if err != nil {
		r.t.Fatal(err)
	}
	defer a.Close()
	last := r.changes[len(r.changes)-1]
	if a.Table().Sum() != last.Post || a.Table().Pages() != last.Commit {
		r.t.Errorf("the copy has %d pages with the sum %016x; its last change made %d with %016x",
			a.Table().Pages(), a.Table().Sum(), last.Commit, last.Post)
	}
}

func (r *rig) pages(path string) (all [][]byte) {
	r.t.Helper()
	db := r.open(path)
	defer db.Close()
	rows, err := db.Query("SELECT pgno, data FROM sqlite_dbpage ORDER BY pgno")
	if err != nil {
		r.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var p page.Page
		if err := rows.Scan(&p.Number, &p.Data); err != nil {
			r.t.Fatal(err)
		}
		page.Normalize(p)
		all = append(all, p.Data)
	}
	if err := rows.Err(); err != nil {
		r.t.Fatal(err)
	}
	return all
}

func (r *rig) intact(path string) {
	r.t.Helper()
	db := r.open(path)
	defer db.Close()
	var word string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&word); err != nil || word != "ok" {
		r.t.Errorf("integrity of %s: %q, %v", filepath.Base(path), word, err)
	}
}

// count asks the copy.
func (r *rig) count(path, q string) (n int) {
	r.t.Helper()
	db := r.open(path)
	defer db.Close()
	if err := db.QueryRow(q).Scan(&n); err != nil {
		r.t.Fatalf("%s: %v", q, err)
	}
	return n
}

// python starts a script of testdata; wait ends with it.
func (r *rig) python(name string, args ...string) *exec.Cmd {
	r.t.Helper()
	needs(r.t, "python3")
	cmd := exec.Command("python3", append([]string{filepath.Join("testdata", name)}, args...)...)
	cmd.Stdout, cmd.Stderr = &lines{}, &lines{}
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

func (r *rig) stress(seed, operations int, features ...string) *exec.Cmd {
	r.t.Helper()
	return r.python("stress.py", append([]string{r.source, strconv.Itoa(seed), strconv.Itoa(operations)}, features...)...)
}

func (r *rig) finish(cmd *exec.Cmd) string {
	r.t.Helper()
	err := cmd.Wait()
	out := cmd.Stdout.(*lines).String()
	if err != nil {
		r.t.Fatalf("%v: %v\n%s%s", cmd.Args, err, out, cmd.Stderr)
	}
	return strings.TrimSpace(out)
}

// lines is what a process has written so far.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Logf("%s", bytes.TrimSpace(b))
	return len(b), nil
}

// until waits for a condition.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	end := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("not in %s: %s", patience, what)
		}
	}
}

// watch reads the copy all the time, as a program beside it does, and checks
// what stress.py keeps true. The returned function ends it and says how often it
// looked.
func (r *rig) watch() func() int {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan int)
	go func() {
		looks := 0
		defer func() { done <- looks }()
		if _, err := os.Stat(r.copy); errors.Is(err, os.ErrNotExist) {
			return
		}
		db, err := sql.Open("sqlite", "file:"+r.copy+"?mode=ro&_pragma=busy_timeout(30000)")
		if err != nil {
			r.t.Error(err)
			return
		}
		defer db.Close()
		db.SetMaxOpenConns(1)
		for ctx.Err() == nil {
			if err := consistent(db); err != nil {
				r.t.Errorf("a reader of the copy: %v", err)
				return
			}
			looks++
		}
	}()
	return func() int {
		cancel()
		return <-done
	}
}

func consistent(db *sql.DB) error {
	var tables int
	if err := db.QueryRow("SELECT count(*) FROM sqlite_schema WHERE name='total'").Scan(&tables); err != nil || tables == 0 {
		return err
	}
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var n, s, count, sum, byIndex int
	err = tx.QueryRow("SELECT (SELECT n FROM total), (SELECT s FROM total), (SELECT count(*) FROM t NOT INDEXED), (SELECT coalesce(sum(v),0) FROM t), (SELECT count(*) FROM t INDEXED BY tk WHERE k >= 0)").
		Scan(&n, &s, &count, &sum, &byIndex)
	if err == nil && (n != count || s != sum || byIndex != count) {
		err = fmt.Errorf("total has %d rows with sum %d, the table %d with %d, its index %d", n, s, count, sum, byIndex)
	}
	return err
}
