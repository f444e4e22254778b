"""Writes at random to a database, as programs do that know nothing of its
replication: stress.py DB SEED OPERATIONS FEATURES

FEATURES is a list of words: savepoint (rollbacks to one, with spilled pages),
checkpoint (all modes), vacuum, full (synchronous=FULL). Invariant for readers:
the row of table total has the count and the sum of table t, and the index of t
has as many rows as t. It prints one line when it begins to write, and one with
SQLite's version and the number of commits at the end."""
import random
import sqlite3
import sys

path, seed, operations, features = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), set(sys.argv[4:])
r = random.Random(seed)
db = sqlite3.connect(path, timeout=30, isolation_level=None)
db.execute("PRAGMA cache_size=%d" % r.choice([10, 20, 100, 2000]))
db.execute("PRAGMA synchronous=%s" % ("FULL" if "full" in features else "NORMAL"))
db.execute("PRAGMA secure_delete=%d" % r.choice([0, 1]))
db.execute("PRAGMA cache_spill=%d" % r.choice([1, 5, 20]))


def do(sql, *args):
    return db.execute(sql, args)


def total():
    do("UPDATE total SET n=(SELECT count(*) FROM t), s=(SELECT coalesce(sum(v),0) FROM t)")


def blob():
    return r.randbytes(r.choice([5, 50, 300, 3000, 20000]))


def insert():
    for _ in range(r.randint(1, 20)):
        do("INSERT INTO t(k,v,b) VALUES(?,?,?)", r.randint(0, 10**6), r.randint(0, 1000), blob())


def update():
    do("UPDATE t SET v=v+1, b=? WHERE id%%%d=%d" % (r.choice([3, 10, 50]), r.randint(0, 2)), blob())


def delete():
    do("DELETE FROM t WHERE id IN (SELECT id FROM t ORDER BY random() LIMIT ?)", r.choice([1, 10, 100, 1000]))


def work():
    r.choice([insert, insert, update, delete])()


def savepoint():
    do("SAVEPOINT a")
    for _ in range(r.randint(1, 4)):
        work()
    if r.random() < 0.3:
        do("SAVEPOINT b")
        update()
        update()
        do("ROLLBACK TO b")
    if r.random() < 0.6:
        do("ROLLBACK TO a")
    do("RELEASE a")
    insert()


def transaction():
    do("BEGIN IMMEDIATE")
    for _ in range(r.randint(1, 3)):
        work()
    if "savepoint" in features and r.random() < 0.5:
        savepoint()
    if r.random() < 0.1:
        do("ROLLBACK")
        return
    total()
    do("COMMIT")


def ddl():
    name = "x%d" % r.randint(0, 3)
    do("BEGIN IMMEDIATE")
    do("CREATE TABLE IF NOT EXISTS %s(a, b UNIQUE) " % name)
    do("INSERT INTO %s SELECT id, k||'.'||id FROM t LIMIT 50 ON CONFLICT DO NOTHING" % name)
    if r.random() < 0.5:
        do("DROP TABLE %s" % name)
    do("COMMIT")


def other():
    if "checkpoint" in features and r.random() < 0.5:
        do("PRAGMA wal_checkpoint(%s)" % r.choice(["PASSIVE", "FULL", "RESTART", "TRUNCATE"])).fetchall()
    elif "vacuum" in features and r.random() < 0.5:
        do(r.choice(["VACUUM", "PRAGMA incremental_vacuum(5)"])).fetchall()
    else:
        ddl()


do("BEGIN IMMEDIATE")
do("CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, k, v, b)")
do("CREATE INDEX IF NOT EXISTS tk ON t(k)")
do("CREATE TABLE IF NOT EXISTS total(n, s)")
if not do("SELECT 1 FROM total").fetchone():
    do("INSERT INTO total VALUES(0,0)")
total()
do("COMMIT")
print("writing", flush=True)
commits = 0
for _ in range(operations):
    try:
        if r.random() < 0.05:
            other()
        else:
            transaction()
        commits += 1
    except sqlite3.OperationalError as e:
        if "locked" not in str(e):
            raise
        if db.in_transaction:
            do("ROLLBACK")
print(sqlite3.sqlite_version, commits, flush=True)
