"""Writes rows, each one transaction: write.py DB SECONDS RATE SIZE SYNC, with RATE
transactions a second (0: as many as can be). It prints how many and in how many
seconds, then the time of each commit on the monotonic clock in ns."""
import random
import sqlite3
import sys
import time

path, seconds, rate, size, sync = sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
db = sqlite3.connect(path, timeout=30, isolation_level=None)
db.execute("PRAGMA synchronous=%s" % sync)
value = random.randbytes(size)
times = []
began = time.monotonic()
while time.monotonic() - began < seconds:
    db.execute("INSERT INTO a(v) VALUES(?)", (value,))
    times.append(time.monotonic_ns())
    if rate:
        time.sleep(max(0, began + len(times) / rate - time.monotonic()))
print(len(times), time.monotonic() - began)
print("\n".join(map(str, times)))
