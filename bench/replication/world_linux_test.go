package replication

import (
	"context"
	"database/sql"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	_ "modernc.org/sqlite"
)

const patience = 90 * time.Second

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// now is the clock that the writer has too.
func now(b *testing.B) int64 {
	var t unix.Timespec
	must(b, unix.ClockGettime(unix.CLOCK_MONOTONIC, &t))
	return t.Nano()
}

// source is a new database with one row, so that a copy can be seen to be there.
func source(b *testing.B) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), "source.db")
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(wal)")
	must(b, err)
	_, err = db.Exec("CREATE TABLE a(n INTEGER PRIMARY KEY, v BLOB); INSERT INTO a VALUES(1, x'00')")
	must(b, err)
	must(b, db.Close())
	return path
}

// load is what the writer does.
type load struct {
	seconds, rate float64 // transactions a second; 0: as many as can be
	size          int     // bytes of a row
	sync          string  // NORMAL, FULL
}

// write runs the writer and returns the times of its commits and how many it made
// in a second.
func write(b *testing.B, path string, l load) (commits []int64, perSecond float64) {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), "python3", "testdata/write.py", path, fmt.Sprint(l.seconds), fmt.Sprint(l.rate), strconv.Itoa(l.size), l.sync)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		b.Fatalf("writer: %v\n%s", err, stderr.String())
	}
	head, rest, _ := strings.Cut(string(out), "\n")
	var n int
	var took float64
	_, err = fmt.Sscan(head, &n, &took)
	must(b, err)
	for _, line := range strings.Fields(rest) {
		at, err := strconv.ParseInt(line, 10, 64)
		must(b, err)
		commits = append(commits, at)
	}
	if len(commits) != n || n == 0 {
		b.Fatalf("writer: %d times of %d commits", len(commits), n)
	}
	return commits, float64(n) / took
}

// sight is a moment at which a reader saw so many rows.
type sight struct {
	rows int
	at   int64
}

// watcher reads a copy each half millisecond.
type watcher struct {
	sights []sight
	errors int // readings that failed
	last   error
	first  chan struct{} // closed when the copy is there
	ended  chan struct{}
	want   chan int // the number of rows at which it ends
}

// watch begins to read a copy. With reconnect each reading is a connection of its
// own: Litestream's follow mode applies nothing while a reader stays connected.
func watch(b *testing.B, path string, reconnect bool) *watcher {
	b.Helper()
	w := &watcher{first: make(chan struct{}), ended: make(chan struct{}), want: make(chan int, 1)}
	db, err := sql.Open("sqlite", "file:"+path+"?mode=ro&_pragma=busy_timeout(1000)")
	must(b, err)
	db.SetMaxOpenConns(1)
	if reconnect {
		db.SetMaxIdleConns(-1)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer close(w.ended)
		defer db.Close()
		tick := time.NewTicker(500 * time.Microsecond)
		defer tick.Stop()
		for want := -1; want < 0 || w.rows() < want; {
			select {
			case <-ctx.Done():
				return
			case want = <-w.want:
			case <-tick.C:
			}
			w.look(ctx, b, db)
		}
	}()
	b.Cleanup(func() { cancel(); <-w.ended })
	return w
}

func (w *watcher) rows() int {
	if len(w.sights) == 0 {
		return 0
	}
	return w.sights[len(w.sights)-1].rows
}

func (w *watcher) look(ctx context.Context, b *testing.B, db *sql.DB) {
	var n int
	if err := db.QueryRowContext(ctx, "SELECT max(n) FROM a").Scan(&n); err != nil {
		if len(w.sights) > 0 {
			w.errors, w.last = w.errors+1, err
		}
		return
	}
	if n > w.rows() {
		w.sights = append(w.sights, sight{n, now(b)})
		if len(w.sights) == 1 {
			close(w.first)
		}
	}
}

// there waits until the copy can be read.
func (w *watcher) there(b *testing.B) {
	b.Helper()
	select {
	case <-w.first:
	case <-time.After(patience):
		b.Fatal("the copy does not come into being")
	}
}

// lags waits until the copy has all, and returns how much later each commit was
// readable there.
func (w *watcher) lags(b *testing.B, commits []int64) (all []time.Duration) {
	b.Helper()
	w.want <- len(commits) + 1
	select {
	case <-w.ended:
	case <-time.After(patience):
		b.Fatalf("the copy does not come to %d rows", len(commits)+1)
	}
	next := 0
	for i, at := range commits {
		for w.sights[next].rows < i+2 {
			next++
		}
		all = append(all, max(0, time.Duration(w.sights[next].at-at)))
	}
	return all
}

// quantile is in milliseconds.
func quantile(all []time.Duration, q float64) float64 {
	slices.Sort(all)
	return all[min(len(all)-1, int(q*float64(len(all))))].Seconds() * 1e3
}
