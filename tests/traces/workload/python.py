# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# What python.strace shows: imports, threads with their arenas, maps that come and go at random, buffers that
# grow, an in-memory database, a child program and a pool of forked workers.
import collections, ctypes, decimal, email, http.client, json, mmap, multiprocessing, random, re, sqlite3
import subprocess, threading, unittest, xml.dom.minidom
random.seed(1)
def worker(seed):
    r = random.Random(seed)
    live = []
    for i in range(400):
        live.append(bytearray(r.choice((100, 5000, 70000, 150000, 300000, 900000))))
        if len(live) > 12:
            del live[r.randrange(len(live))]
    json.loads(json.dumps({str(i): list(range(50)) for i in range(300)}))
threads = [threading.Thread(target=worker, args=(n,)) for n in range(4)]
for t in threads: t.start()
for t in threads: t.join()
maps = []
for i in range(1500):
    maps.append(mmap.mmap(-1, 4096 * random.randrange(1, 60)))
    if i % 3 == 2 and i > 200:
        maps.pop(random.randrange(len(maps))).close()
for m in maps[::9]:
    m.resize(len(m) * 3)
text = b""
for i in range(200):
    text += bytes(20000)
objects = [{"n": i, "s": str(i) * 10} for i in range(60000)]
del objects[::2]
re.compile("|".join("word%d" % i for i in range(2000))).search("word1999")
db = sqlite3.connect(":memory:")
db.execute("create table t(a, b)")
db.executemany("insert into t values(?, ?)", ((i, "x" * (i % 90)) for i in range(20000)))
db.execute("create index i on t(b)")
subprocess.run(["/bin/true"])
def square(n): return n * n
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(sum(pool.map(square, range(100))))
