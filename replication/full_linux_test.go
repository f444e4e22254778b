package replication_test

import (
	"bytes"
	"database/sql"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// small makes the platform's folder for a node a file system of so many MB.
func (p *platform) small(name, size string) (dir string, resize func(size string)) {
	p.t.Helper()
	if os.Getuid() != 0 {
		p.t.Skip("mounting a file system needs root")
	}
	dir = filepath.Join(p.dir, name)
	mount := func(flags uintptr, size string) {
		p.t.Helper()
		if err := syscall.Mount("tmpfs", dir, "tmpfs", flags, "size="+size); err != nil {
			if os.Getenv("CI") == "true" {
				p.t.Fatal(err)
			}
			p.t.Skip("mount tmpfs: ", err)
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		p.t.Fatal(err)
	}
	mount(0, size)
	p.t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir, func(size string) { mount(syscall.MS_REMOUNT, size) }
}

// spoken is what was logged.
type spoken struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *spoken) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *spoken) has(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Contains(s.b.String(), text)
}

func (p *platform) until(what string, ok func() bool) {
	p.t.Helper()
	ctx, tick := p.within(), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			p.t.Fatalf("not in %s: %s", patience, what)
		}
	}
}

// TestFullDiskOfCopy: no room for a copy that is made, or that grows: the reason
// is said, the copy stays between two transactions for who reads it, and goes on
// when there is room.
func TestFullDiskOfCopy(t *testing.T) {
	p := newPlatform(t, 41, 0)
	dir, resize := p.small("small", "1m")
	log := &spoken{}
	p.log = slog.New(slog.NewTextHandler(log, nil))
	db := p.create(1)
	defer db.Close()
	p.exec(db, "CREATE TABLE total(n, s)")
	p.exec(db, "INSERT INTO total SELECT 0, 0")
	grow := func(n int) {
		p.exec(db, "BEGIN")
		p.exec(db, "WITH RECURSIVE s(v) AS (SELECT 1 UNION ALL SELECT v+1 FROM s WHERE v < ?) INSERT INTO t SELECT NULL, randomblob(10000) FROM s", n)
		p.exec(db, "UPDATE total SET n = (SELECT count(*) FROM t), s = (SELECT sum(n) FROM t)")
		p.exec(db, "COMMIT")
	}
	grow(200)
	pr := p.primary(1, 1, nil)
	p.sync(pr)
	p.name[2] = filepath.Join(dir, "copy.db")
	s := p.standby(2)
	p.until("the full disk is spoken of", func() bool { return log.has("no space left on device") })
	if _, err := os.Stat(p.path(2)); err == nil {
		t.Error("half a copy is in its place")
	}
	resize("3m")
	p.reach(s)
	consistent(t, p.path(2))
	grow(200) // now it grows beyond that
	p.sync(pr)
	p.until("the full disk is spoken of", func() bool { return log.has("database or disk is full") })
	consistent(t, p.path(2))
	resize("64m")
	p.reach(s)
	consistent(t, p.path(2))
	if have := p.rows(2); len(have) != 400 {
		t.Errorf("%d rows", len(have))
	}
	if st := s.Stats(); len(st.Resyncs) != 0 {
		t.Errorf("%+v", st)
	}
}

// TestFullDiskOfSource: the service finds its disk full, and is told so by
// SQLite as without replication; what it has committed is fed, and so is what
// follows when there is room.
func TestFullDiskOfSource(t *testing.T) {
	p := newPlatform(t, 42, 0)
	dir, resize := p.small("small", "2m")
	p.name[1] = filepath.Join(dir, "source.db")
	db := p.create(1)
	defer db.Close()
	pr := p.primary(1, 1, nil)
	s := p.standby(2)
	stored := 0
	insert := func(most int) (err error) {
		for range most {
			if _, err = db.Exec("INSERT INTO t VALUES(NULL, randomblob(20000))"); err != nil {
				return err
			}
			stored++
		}
		return nil
	}
	if err := insert(500); err == nil || !strings.Contains(err.Error(), "full") {
		t.Fatalf("the disk holds more than it can: %v", err)
	}
	p.sync(pr)
	p.reach(s)
	if have := p.rows(2); len(have) != stored {
		t.Errorf("%d rows of %d", len(have), stored)
	}
	resize("64m")
	if err := insert(100); err != nil {
		t.Fatal(err)
	}
	p.sync(pr)
	p.reach(s)
	if have := p.rows(2); len(have) != stored {
		t.Errorf("%d rows of %d", len(have), stored)
	}
	if err := pr.stop(); err != nil {
		t.Error(err)
	}
	again := p.primary(1, 2, nil)
	p.sync(again)
	var n int
	kept, err := sql.Open("sqlite", "file:"+p.path(2))
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	if err := kept.QueryRow("SELECT count(*) FROM t WHERE length(v) = 20000").Scan(&n); err != nil || n != stored {
		t.Errorf("%d rows whole, %v", n, err)
	}
}
