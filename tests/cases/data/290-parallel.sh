#!/bin/sh
# Many processes work on one tree at once; nothing is lost or mixed up.
# Serves: R30
. "$(dirname "$0")/../../lib.sh"
require_fuse
new_store
bucket docs
start_mount docs

py <<'PY'
from lib import *
import random

def worker(k):
    rnd = random.Random(k)
    mine = {}
    for i in range(250):
        n = "w%d-%d" % (k, rnd.randrange(40))
        r = rnd.random()
        if r < 0.5:
            b = rnd.randbytes(rnd.choice((10, 1000, 5000, 70000)))
            put(p("shared", n), b)
            mine[n] = b
        elif r < 0.7 and mine:
            n = rnd.choice(sorted(mine))
            os.unlink(p("shared", n))
            del mine[n]
        elif r < 0.85 and mine:
            a = rnd.choice(sorted(mine))
            os.rename(p("shared", a), p("shared", n))
            b = mine.pop(a)
            mine[n] = b
        elif mine:
            a = rnd.choice(sorted(mine))
            if get(p("shared", a)) != mine[a]:
                os._exit(3)
        if i % 50 == 0:
            fd = os.open(p("shared"), os.O_RDONLY)
            os.fsync(fd)
            os.close(fd)
    for n, b in mine.items():
        if get(p("shared", n)) != b:
            os._exit(4)
    with open(T + "/w%d" % k, "w") as f:
        f.write("\n".join(sorted(mine)))
    os._exit(0)

os.mkdir(p("shared"))
pids = []
for k in range(6):
    pid = os.fork()
    if pid == 0:
        try: worker(k)
        except BaseException as e:
            print("# %d: %r" % (k, e), flush=True)
            os._exit(5)
    pids.append(pid)
eq([os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids],
   [0] * 6, "six workers each saw their own files as they left them")
want = sorted(l for k in range(6)
              for l in open(T + "/w%d" % k).read().split("\n") if l)
eq(sorted(os.listdir(p("shared"))), want, "the directory holds all of theirs")

# One file, disjoint stripes.
fd = os.open(p("stripes"), os.O_CREAT | os.O_RDWR)
pids = []
for k in range(4):
    pid = os.fork()
    if pid == 0:
        for i in range(k, 400, 4):
            os.pwrite(fd, bytes([65 + k]) * 3000, i * 3000)
        os._exit(0)
    pids.append(pid)
for pid in pids: os.waitpid(pid, 0)
eq(get(p("stripes")), b"".join(bytes([65 + i % 4]) * 3000
                               for i in range(400)), "stripes by four writers")
# Make and remove one name by many.
pids = []
for k in range(6):
    pid = os.fork()
    if pid == 0:
        for i in range(150):
            for fn in (lambda: os.mkdir(p("x")), lambda: os.rmdir(p("x")),
                       lambda: put(p("x"), b"x"), lambda: os.unlink(p("x"))):
                try: fn()
                except OSError as e:
                    if e.errno not in (errno.EEXIST, errno.ENOENT,
                                       errno.EISDIR, errno.ENOTDIR):
                        os._exit(e.errno)
        os._exit(0)
    pids.append(pid)
eq([os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids],
   [0] * 6, "six processes fighting for one name see sane errors only")
PY
remount
is "stripes after a remount" "$(wc -c <"$M/stripes")" 1200000
done_testing
