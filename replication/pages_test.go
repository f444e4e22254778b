package replication_test

import (
	"os"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/replication"
	"github.com/ozanturksever/go-cluster/replication/segment"
)

// sent is how many pages the messages of the feed behind seq have.
func (p *platform) sent(seq uint64) (n int) {
	p.t.Helper()
	p.feed.mu.Lock()
	defer p.feed.mu.Unlock()
	for _, m := range p.feed.all[seq:] {
		if m.Epoch != 0 {
			continue
		}
		s, err := segment.Decode(m.Data)
		if err == nil {
			err = s.Numbers(func(uint32) { n++ })
		}
		if err != nil {
			p.t.Fatal(err)
		}
	}
	return n
}

// TestPagesKept: a primary that begins again sends the pages that differ from
// what the feed has; after a crash, also those that were sent since the hashes
// were written; and all of them where the hashes are torn, of another time, or
// where the feed has been trimmed since. The copy is right in each case.
func TestPagesKept(t *testing.T) {
	const all = 120 // pages, at least
	p := newPlatform(t, 21, 0)
	db := p.create(1)
	defer db.Close()
	p.exec(db, "WITH RECURSIVE s(v) AS (SELECT 1 UNION ALL SELECT v+1 FROM s WHERE v < 150) INSERT INTO t SELECT v, randomblob(4000) FROM s")
	s := p.standby(2)
	name, n := p.path(1)+".pages", 1000
	var old []byte // hashes of the first stop
	rows := 150
	for epoch, c := range []struct {
		name   string
		before func()
		most   int
	}{
		{"first", func() {}, 1 << 30},
		{"clean stop", func() { old = p.read(name) }, 20},
		{"crash", func() { p.write(name, old) }, 60},
		{"torn", func() { b := p.read(name); p.write(name, b[:len(b)/2]) }, 1 << 30},
		{"bit", func() { b := p.read(name); b[len(b)/2] ^= 1; p.write(name, b) }, 1 << 30},
		{"of another feed", func() { b := p.read(name); b[12]++; p.write(name, b) }, 1 << 30},
		{"none", func() { _ = os.Remove(name) }, 1 << 30},
		{"trimmed", func() { p.feed.trim(p.feed.last() + 1); p.snapshot(s, "s") }, 1 << 30},
	} {
		if epoch > 0 {
			c.before()
		}
		p.exec(db, "INSERT INTO t VALUES(?, 'while nobody looks')", n)
		from := len(p.feed.all)
		pr := p.primary(1, uint64(epoch+1), nil)
		p.sync(pr)
		got := p.sent(uint64(from))
		if got > c.most || c.most > all && got < all {
			t.Errorf("%s: %d pages were sent, the most is %d", c.name, got, c.most)
		}
		for i := range 5 {
			p.exec(db, "INSERT INTO t VALUES(?, randomblob(4000))", n+1+i)
		}
		p.exec(db, "DELETE FROM t WHERE n = ?", epoch+1)
		p.sync(pr)
		p.reach(s)
		_ = pr.stop()
		n, rows = n+10, rows+5
		if have := p.rows(2); len(have) != rows {
			t.Errorf("%s: %d rows, not %d", c.name, len(have), rows)
		}
	}
	if st := s.Stats(); len(st.Resyncs) != 0 {
		t.Errorf("%+v", st)
	}
}

// TestPagesWentBack: the database is an older one than the feed's end, put back
// by an operator or by a power cut, and the hashes are as old: the feed goes where
// the database is.
func TestPagesWentBack(t *testing.T) {
	p := newPlatform(t, 24, 0)
	db := p.create(1)
	p.exec(db, "INSERT INTO t VALUES(1, 'x')")
	s := p.standby(2)
	pr := p.primary(1, 1, nil)
	p.sync(pr)
	_ = pr.stop()
	p.exec(db, "PRAGMA wal_checkpoint(TRUNCATE)")
	file, hashes := p.read(p.path(1)), p.read(p.path(1)+".pages")
	pr = p.primary(1, 2, nil)
	p.exec(db, "INSERT INTO t VALUES(2, randomblob(20000))")
	p.sync(pr)
	p.reach(s)
	_ = pr.stop()
	db.Close()
	for _, end := range []string{"-wal", "-shm"} {
		_ = os.Remove(p.path(1) + end)
	}
	p.write(p.path(1), file)
	p.write(p.path(1)+".pages", hashes)
	pr = p.primary(1, 3, nil)
	p.sync(pr)
	p.reach(s)
	if have := p.rows(2); len(have) != 1 || len(s.Stats().Resyncs) != 0 {
		t.Errorf("%v %+v", have, s.Stats())
	}
}

// TestPagesWrittenMeanwhile: the hashes are also written while changes come, and
// a primary that is lost then sends little.
func TestPagesWrittenMeanwhile(t *testing.T) {
	p := newPlatform(t, 22, 20)
	db := p.create(1)
	defer db.Close()
	p.exec(db, "WITH RECURSIVE s(v) AS (SELECT 1 UNION ALL SELECT v+1 FROM s WHERE v < 150) INSERT INTO t SELECT v, randomblob(4000) FROM s")
	name := p.path(1) + ".pages"
	pr, err := replication.OpenPrimary(p.within(), replication.PrimaryConfig{
		Path: p.path(1), Epoch: 1, Feed: p.feed, Chunks: store{p.shelf}, PagesEvery: time.Nanosecond, Logger: p.log,
	})
	if err != nil {
		t.Fatal(err)
	}
	r := p.run(pr.Run)
	defer pr.Close()
	for n := range 20 {
		p.exec(db, "INSERT INTO t VALUES(?, randomblob(4000))", 1000+n)
		if err := pr.Sync(p.within()); err != nil {
			t.Fatal(err)
		}
	}
	crashed := p.read(name)
	_ = r.stop()
	p.write(name, crashed)
	s := p.standby(2)
	p.exec(db, "INSERT INTO t VALUES(2000, 'x')")
	from := len(p.feed.all)
	again := p.primary(1, 2, nil)
	p.sync(again)
	p.reach(s)
	if got := p.sent(uint64(from)); got > 40 {
		t.Errorf("%d pages were sent", got)
	}
	if have := p.rows(2); len(have) != 171 {
		t.Errorf("%d rows", len(have))
	}
}

// TestPromotedPages: a copy that is promoted knows what the feed has.
func TestPromotedPages(t *testing.T) {
	p := newPlatform(t, 23, 0)
	db := p.create(1)
	p.exec(db, "WITH RECURSIVE s(v) AS (SELECT 1 UNION ALL SELECT v+1 FROM s WHERE v < 150) INSERT INTO t SELECT v, randomblob(4000) FROM s")
	pr := p.primary(1, 1, nil)
	s := p.standby(2)
	p.sync(pr)
	p.reach(s)
	_ = pr.stop()
	db.Close()
	s.close()
	from := len(p.feed.all)
	next := p.primary(2, 2, nil)
	db = p.open(2)
	defer db.Close()
	p.exec(db, "INSERT INTO t VALUES(2000, 'x')")
	p.sync(next)
	if got := p.sent(uint64(from)); got > 20 {
		t.Errorf("%d pages were sent", got)
	}
}

func (p *platform) read(name string) []byte {
	p.t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		p.t.Fatal(err)
	}
	return b
}

func (p *platform) write(name string, b []byte) {
	p.t.Helper()
	if err := os.WriteFile(name, b, 0o600); err != nil {
		p.t.Fatal(err)
	}
}
