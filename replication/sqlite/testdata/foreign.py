"""A program that does what it is told: foreign.py DB reads statements, one a
line, and answers each with one line: its rows, or ERROR and why, and how many
milliseconds it took."""
import sqlite3
import sys
import time

db = sqlite3.connect(sys.argv[1], timeout=3, isolation_level=None)
print("ready", flush=True)
for line in sys.stdin:
    began = time.monotonic()
    try:
        answer = "|".join(",".join(map(str, row)) for row in db.execute(line).fetchall())
    except sqlite3.Error as e:
        answer = "ERROR %s" % e
    print("%d %s" % ((time.monotonic() - began) * 1000, answer), flush=True)
