"""load.py K LOOP SEED ACKS [STEPS]: write until the mount dies, or STEPS times.

A line is appended to ACKS after each fsync that returned:
    new NAME SEED SIZE      the file has exactly this content
    ver NAME N              the file is version N or a later one, whole
    app NAME N              the log holds N records or more
    del NAME                the name is gone
Exit 0: all steps are done; 3: the mount died.  Any other error is a failure.
"""
import random
from lib import *

k, loop, seed, acks = (int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]),
                       sys.argv[4])
steps = int(sys.argv[5]) if len(sys.argv) > 5 else 1 << 60
rnd = random.Random(seed * 1000 + loop * 10 + k)
out = os.open(acks, os.O_CREAT | os.O_WRONLY | os.O_APPEND)

def ack(*words):
    os.write(out, (" ".join(str(w) for w in words) + "\n").encode())

def sync_dir(d):
    fd = os.open(d, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)

base = p("w%d" % k)
i = 0
mine = []
try:
    # On a busy machine the kill may come even before this.
    os.makedirs(base, exist_ok=True)
    while i < steps:
        i += 1
        n = "%d-%d" % (loop, i)
        what = rnd.random()
        if what < 0.45:
            size = rnd.choice((10, 1000, 5000, 70000, 600000))
            s = rnd.randrange(1 << 30)
            fd = os.open(base + "/" + n, os.O_CREAT | os.O_WRONLY)
            view = memoryview(pattern(size, s))
            while view: view = view[os.write(fd, view[:65536]):]
            os.fsync(fd)
            os.close(fd)
            ack("new", n, s, size)
            mine.append(n)
        elif what < 0.65:
            fd = os.open(base + "/v.tmp", os.O_CREAT | os.O_WRONLY |
                         os.O_TRUNC)
            v = loop * 100000 + i
            os.write(fd, b"%012d" % v + pattern(20000, v))
            os.fsync(fd)
            os.close(fd)
            os.rename(base + "/v.tmp", base + "/v")
            sync_dir(base)
            ack("ver", "v", v)
        elif what < 0.85:
            fd = os.open(base + "/log", os.O_CREAT | os.O_RDWR | os.O_APPEND)
            at, half = divmod(os.fstat(fd).st_size, 100)
            # A write across the end of a page that is not in the cache is
            # two requests; the kill may have come between them.
            if half: os.ftruncate(fd, at * 100)
            os.write(fd, b"%099d\n" % at)
            os.fsync(fd)
            os.close(fd)
            ack("app", "log", at + 1)
        elif what < 0.92 and mine:
            gone = mine.pop(rnd.randrange(len(mine)))
            ack("maybe", gone)
            os.unlink(base + "/" + gone)
            sync_dir(base)
            ack("del", gone)
        else:
            # Work that is not synced, so that a kill finds some.
            d = base + "/loose%d" % (i % 7)
            os.makedirs(d, exist_ok=True)
            for j in range(20): put(d + "/x%d" % j, pattern(3000, j))
            os.rename(d + "/x1", d + "/x2")
except OSError as e:
    # The second is of the request that was under way.
    if e.errno not in (errno.ENOTCONN, errno.ECONNABORTED): raise
    sys.exit(3)
