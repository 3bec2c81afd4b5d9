#!/bin/sh
# Reads and writes of every size around the block boundaries, truncation up and
# down, overwriting, and the same bytes after a remount.
# Serves: R8 R30
. "$(dirname "$0")/../../lib.sh"
require_fuse
new_store
bucket docs
start_mount docs

cat >"$T/sizes.py" <<'EOS'
SIZES = [0, 1, 2, 15, 16, 17, 1000, 1023, 1024, 1025, 4095, 4096, 4097, 8191,
         8192, 8193, 65535, 65536, 65537, 262143, 262144, 262145, 1048575,
         1048576, 1048577, 5000000]
EOS
export PYTHONPATH="$PYTHONPATH:$T"

py <<'PY'
import random
from lib import *
from sizes import SIZES

for n in SIZES:
    put(p("s%d" % n), pattern(n, n))
eq([n for n in SIZES if get(p("s%d" % n)) != pattern(n, n)], [],
   "files of %d sizes read back" % len(SIZES))
eq([n for n in SIZES if os.stat(p("s%d" % n)).st_size != n], [],
   "with the right sizes")

# Truncate every size to every size: what is kept is kept, the rest is zero.
bad = []
fd = os.open(p("t"), os.O_CREAT | os.O_RDWR)
few = [0, 1, 1000, 1024, 1025, 4095, 4096, 4097, 8192, 10000, 262145]
for a in few:
    for b in few:
        os.ftruncate(fd, 0)
        data = pattern(a, a + 7)
        os.pwrite(fd, data, 0)
        if (a + b) % 2: os.fsync(fd)
        os.ftruncate(fd, b)
        want = data[:b] + bytes(max(0, b - a))
        if os.pread(fd, 300000, 0) != want: bad.append((a, b))
        # Growing again after a cut must not bring old bytes back.
        os.ftruncate(fd, b + 5000)
        if os.pread(fd, 300000, 0) != want + bytes(5000):
            bad.append((a, b, "grown"))
os.close(fd)
eq(bad, [], "truncate and grow again")

# Random overwrites against a copy in memory, through one descriptor.
rnd = random.Random(42)
size = 600000
mirror = bytearray(pattern(size, 9))
put(p("r"), mirror)
fd = os.open(p("r"), os.O_RDWR)
bad = 0
for i in range(1500):
    off = rnd.randrange(size)
    n = min(size - off, rnd.choice((1, 10, 100, 4096, 5000, 20000)))
    if rnd.random() < 0.6:
        b = rnd.randbytes(n)
        os.pwrite(fd, b, off)
        mirror[off:off + n] = b
    else:
        bad += os.pread(fd, n, off) != mirror[off:off + n]
    if i % 300 == 299: os.fsync(fd)
os.close(fd)
eq(bad, 0, "random overwrites and reads")
eq(get(p("r")), bytes(mirror), "and the whole file")
open(T + "/mirror", "wb").write(mirror)

fd = os.open(p("gap"), os.O_CREAT | os.O_RDWR)
os.pwrite(fd, b"end", 1000000)
eq(os.pread(fd, 1000, 500000), bytes(1000), "a gap reads as zeros")
eq(os.pread(fd, 100, 1000000), b"end", "its end is there")
eq(os.pread(fd, 100, 1000003), b"", "reading at the end gives nothing")
eq(os.pread(fd, 100, 1 << 40), b"", "reading far past it too")
os.preadv(fd, [bytearray(10), bytearray(10)], 0)
eq(os.pwritev(fd, [b"ab", b"", b"cd"], 1), 4, "pwritev")
eq(os.pread(fd, 6, 0), b"\0abcd\0", "and what it wrote")
err(errno.EBADF, "write through a read-only descriptor", os.write,
    os.open(p("gap"), os.O_RDONLY), b"x")
os.close(fd)
err(errno.EFBIG, "past the largest size", os.truncate, p("gap"), 1 << 62)
PY
remount
py <<'PY'
from lib import *
from sizes import SIZES
eq([n for n in SIZES if get(p("s%d" % n)) != pattern(n, n)], [],
   "every size after a remount")
eq(get(p("r")), open(T + "/mirror", "rb").read(),
   "the overwritten file after a remount")
# Grow and shrink across the inline limit after a remount.
put(p("grow"), b"a" * 1000)
for i in range(8):
    with open(p("grow"), "ab") as f: f.write(b"%d" % i * 1000)
eq(get(p("grow")), b"a" * 1000 + b"".join(b"%d" % i * 1000 for i in range(8)),
   "a small file grows")
os.truncate(p("grow"), 10)
eq(get(p("grow")), b"a" * 10, "and shrinks")
PY
remount
py <<'PY'
from lib import *
eq(get(p("grow")), b"a" * 10, "and stays so")
PY
done_testing
