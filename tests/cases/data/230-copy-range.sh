#!/bin/sh
# copy_file_range: whole files, odd offsets, shared blocks that part on write.
# Serves: R8 R10 R30
. "$(dirname "$0")/../../lib.sh"
require_fuse
new_store
bucket docs
start_mount docs

py <<'PY'
from lib import *

def copy(src, dst, n, so=0, do=0):
    a = os.open(src, os.O_RDONLY)
    b = os.open(dst, os.O_CREAT | os.O_WRONLY)
    done = 0
    try:
        while done < n:
            k = os.copy_file_range(a, b, n - done, so + done, do + done)
            if k == 0: break
            done += k
    finally:
        os.close(a)
        os.close(b)
    return done

N = 3 * (1 << 20) + 777
data = pattern(N, 5)
put(p("src"), data)
eq(copy(p("src"), p("c1"), N), N, "copy all of a file")
eq(get(p("c1")), data, "the copy has the bytes")
eq(copy(p("src"), p("c2"), 1 << 30), N, "asking for more stops at the end")
bad = []
for so, do, n in ((0, 4096, 8192), (1, 1, 10000), (4096, 0, 4096), (5, 9000, 1),
                  (100, 200, 300000), (262144, 262144, 262144),
                  (N - 10, 0, 10), (4096, 1 << 20, 1 << 20)):
    base = pattern(2 << 20, 6)
    put(p("t"), base)
    k = copy(p("src"), p("t"), n, so, do)
    want = bytearray(base)
    want[do:do + n] = data[so:so + n]
    if k != n or get(p("t")) != bytes(want): bad.append((so, do, n, k))
eq(bad, [], "parts at odd offsets")
fd = os.open(p("c1"), os.O_RDWR)
os.pwrite(fd, b"CHANGED", 5000)
os.fsync(fd)
os.close(fd)
eq(get(p("src")), data, "a write to the copy leaves the source alone")
fd = os.open(p("src"), os.O_RDWR)
os.pwrite(fd, b"SOURCE", 100000)
os.close(fd)
want = bytearray(data)
want[5000:5007] = b"CHANGED"
eq(get(p("c1")), bytes(want), "a write to the source leaves the copy alone")
open(T + "/want", "wb").write(want)
os.unlink(p("src"))
eq(get(p("c1")), bytes(want), "the copy survives its source")
fd = os.open(p("c2"), os.O_RDWR)
err(errno.EINVAL, "overlapping ranges of one file", os.copy_file_range, fd,
    fd, 10000, 0, 5000)
eq(os.copy_file_range(fd, fd, 8192, 0, 1 << 20), 8192,
   "two ranges of one file")
os.close(fd)
eq(get(p("c2"))[1 << 20:(1 << 20) + 8192], data[:8192], "moved inside")

small = b"small content"
put(p("sm"), small)
eq(copy(p("sm"), p("sm2"), 100), len(small), "copy of an inline file")
eq(get(p("sm2")), small, "its bytes")
fd = os.open(p("holes"), os.O_CREAT | os.O_RDWR)
os.pwrite(fd, b"x", 4 << 20)
os.close(fd)
eq(copy(p("holes"), p("holes2"), 8 << 20), (4 << 20) + 1, "copy of a hole")
eq(get(p("holes2")), bytes(4 << 20) + b"x", "its bytes")
PY
remount
py <<'PY'
from lib import *
eq(get(p("c1")), open(T + "/want", "rb").read(), "the copy after a remount")
PY
done_testing
