package replication_test

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/ozanturksever/go-cluster/replication/sqlite"
)

// statements is a script in the manner of sqllogictest: each line is done on the
// leader; what comes behind ? is asked on both sides afterwards.
const statements = `
CREATE TABLE series(value INTEGER PRIMARY KEY) ? SELECT count(*) FROM series
WITH RECURSIVE s(v) AS (SELECT 1 UNION ALL SELECT v+1 FROM s WHERE v < 500) INSERT INTO series SELECT v FROM s ? SELECT sum(value) FROM series
CREATE TABLE a(x INTEGER PRIMARY KEY, y TEXT COLLATE NOCASE, z REAL) ? SELECT * FROM pragma_table_info('a')
INSERT INTO a VALUES(1,'one',1.5),(2,'TWO',NULL),(3,x'00ff',-0.0) ? SELECT x, typeof(y), hex(y), z FROM a ORDER BY x
CREATE UNIQUE INDEX ay ON a(y) WHERE x > 1 ? SELECT x FROM a INDEXED BY ay WHERE y = 'two' AND x > 1
INSERT INTO a VALUES(4,'Two',4) ON CONFLICT DO UPDATE SET z = excluded.z ? SELECT * FROM a WHERE x > 1 ORDER BY x
CREATE TABLE b(k TEXT, n INT, v INT AS (n*2) STORED, w TEXT AS (k||n) VIRTUAL, PRIMARY KEY(k, n)) WITHOUT ROWID, STRICT ? SELECT name, type, hidden FROM pragma_table_xinfo('b')
INSERT INTO b SELECT 'k'||(value%7), value FROM series WHERE value <= 400 ? SELECT k, sum(v), max(w) FROM b GROUP BY k ORDER BY k
CREATE TRIGGER t AFTER DELETE ON b BEGIN INSERT INTO a(y,z) VALUES('gone '||old.w, old.v); END ? SELECT name FROM sqlite_schema WHERE type='trigger'
DELETE FROM b WHERE n % 13 = 0 ? SELECT count(*), sum(z) FROM a
CREATE VIEW big AS WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM c WHERE i<9) SELECT i, (SELECT count(*) FROM b WHERE n%9=i%9) m FROM c ? SELECT * FROM big
ALTER TABLE a ADD COLUMN extra DEFAULT 'new' ? SELECT DISTINCT extra FROM a
ALTER TABLE a RENAME COLUMN z TO zz ? SELECT sum(zz) FROM a
ALTER TABLE b RENAME TO bb ? SELECT count(*) FROM bb
DROP VIEW big ? SELECT type, name FROM sqlite_schema ORDER BY 1,2
ALTER TABLE a DROP COLUMN extra ? SELECT name FROM pragma_table_info('a')
CREATE VIRTUAL TABLE f USING fts5(body) ? SELECT name FROM sqlite_schema WHERE name LIKE 'f%' ORDER BY 1
INSERT INTO f SELECT 'word'||value||' common '||(value%5) FROM series WHERE value <= 300 ? SELECT rowid, body FROM f WHERE f MATCH 'word7 OR "common 3"' ORDER BY rowid LIMIT 20
INSERT INTO f(f) VALUES('optimize') ? SELECT count(*) FROM f WHERE f MATCH 'common'
CREATE VIRTUAL TABLE r USING rtree(id, x0, x1) ? SELECT count(*) FROM r
INSERT INTO r SELECT value, value, value+3 FROM series WHERE value <= 500 ? SELECT id FROM r WHERE x0 >= 50 AND x1 <= 60 ORDER BY id
CREATE TABLE blobs(b BLOB) ? SELECT count(*) FROM blobs
INSERT INTO blobs VALUES(zeroblob(3000000)) ? SELECT length(b) FROM blobs
UPDATE blobs SET b = substr(b, 1, 100)||x'01'||substr(b, 102) ? SELECT instr(b, x'01'), length(b) FROM blobs
DELETE FROM blobs ? SELECT count(*) FROM blobs
PRAGMA auto_vacuum=incremental ? SELECT 1
VACUUM ? PRAGMA page_count
INSERT INTO blobs SELECT randomblob(5000) FROM series WHERE value <= 100 ? SELECT sum(length(b)) FROM blobs
DELETE FROM blobs WHERE rowid > 10 ? SELECT count(*) FROM blobs
PRAGMA incremental_vacuum ? PRAGMA page_count
PRAGMA user_version=77 ? PRAGMA user_version
PRAGMA application_id=-5 ? PRAGMA application_id
REINDEX ? PRAGMA integrity_check
ANALYZE ? SELECT tbl, idx, stat FROM sqlite_stat1 ORDER BY 1,2
SAVEPOINT s; DELETE FROM a; ROLLBACK TO s; INSERT INTO a(y) VALUES('kept'); RELEASE s ? SELECT count(*), max(y) FROM a
BEGIN; UPDATE a SET y = y||x; ROLLBACK ? SELECT max(y) FROM a
DROP TABLE f ? SELECT count(*) FROM sqlite_schema
PRAGMA wal_checkpoint(TRUNCATE) ? SELECT group_concat(y) FROM a
CREATE TABLE after(i) ? SELECT count(*) FROM after`

// TestStatements: what SQLite can do to a database is on the copy after a
// barrier, statement by statement, for a reader that has it open all the time; in
// the end the files have the same pages.
func TestStatements(t *testing.T) {
	p := newPlatform(t, 71, 0)
	db := p.open(1)
	defer db.Close()
	p.exec(db, "PRAGMA user_version=1")
	pr := p.primary(1, 1, nil)
	s := p.standby(2)
	p.sync(pr)
	p.reach(s)
	copied, err := sql.Open("sqlite", "file:"+p.path(2)+"?mode=ro&_pragma=busy_timeout(30000)")
	if err != nil {
		t.Fatal(err)
	}
	defer copied.Close()
	copied.SetMaxOpenConns(1)
	done := 0
	for line := range strings.Lines(strings.TrimSpace(statements)) {
		statement, query, _ := strings.Cut(strings.TrimSpace(line), " ? ")
		p.exec(db, statement)
		p.sync(pr)
		p.reach(s)
		want, err := answer(db, query)
		if err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		got, err := answer(copied, query)
		if err != nil || got != want {
			t.Errorf("after %q: %q is %.300s on the copy, not %.300s (%v)", statement, query, got, want, err)
		}
		done++
	}
	if done < 35 {
		t.Errorf("%d statements", done)
	}
	at := pr.Stats().Durable.Sum
	_ = pr.stop()
	s.close()
	for node := 1; node <= 2; node++ {
		in, err := sqlite.OpenApplier(t.Context(), p.path(node), sqlite.ApplierOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if in.Table().Sum() != at {
			t.Errorf("the pages of node %d have the sum %016x, not %016x", node, uint64(in.Table().Sum()), uint64(at))
		}
		in.Close()
	}
}

// answer is all rows of a query in one text.
func answer(db *sql.DB, query string) (string, error) {
	rows, err := db.Query(query)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for rows.Next() {
		values := make([]any, len(names))
		for i := range values {
			values[i] = new(any)
		}
		if err := rows.Scan(values...); err != nil {
			return "", err
		}
		for _, v := range values {
			fmt.Fprintf(&b, "%v|", *v.(*any))
		}
		b.WriteByte('\n')
	}
	return b.String(), rows.Err()
}
