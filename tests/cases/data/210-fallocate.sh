#!/bin/sh
# fallocate: extend, KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE; SEEK_DATA and SEEK_HOLE.
# Serves: R30
. "$(dirname "$0")/../../lib.sh"
require_fuse
new_store
bucket docs
start_mount docs

py <<'PY'
from lib import *

def fresh(n, data):
    fd = os.open(p(n), os.O_CREAT | os.O_RDWR | os.O_TRUNC)
    if data: os.pwrite(fd, data, 0)
    return fd
def size(fd): return os.fstat(fd).st_size
def used(fd):
    os.fsync(fd)
    return os.stat("/proc/self/fd/%d" % fd).st_blocks * 512

fd = fresh("a", b"x" * 100)
fallocate(fd, 0, 0, 10000)
eq(size(fd), 10000, "plain fallocate extends the size")
eq(os.pread(fd, 20000, 0), b"x" * 100 + bytes(9900), "with zeros")
fallocate(fd, KEEP_SIZE, 0, 50000)
eq(size(fd), 10000, "KEEP_SIZE keeps the size")
os.posix_fallocate(fd, 9000, 5000)
eq(size(fd), 14000, "posix_fallocate")
err(errno.EINVAL, "a length of 0", fallocate, fd, 0, 0, 0)
err(errno.EINVAL, "a negative offset", fallocate, fd, 0, -1, 5)
err(errno.EOPNOTSUPP, "PUNCH_HOLE without KEEP_SIZE", fallocate, fd,
    PUNCH_HOLE, 0, 100)
err(errno.EBADF, "through a read-only descriptor", fallocate,
    os.open(p("a"), os.O_RDONLY), 0, 0, 10)
os.close(fd)

N = 1 << 20
data = pattern(N, 3)
bad = []
for off, n in ((0, 4096), (4096, 4096), (1, 4095), (4095, 2), (100, 100),
               (5000, 10000), (0, 1), (N - 1, 1), (N - 5000, 5000),
               (N - 5000, 50000), (262144, 262144), (262143, 262146),
               (0, N), (N + 100, 100)):
    for mode, what in ((PUNCH_HOLE | KEEP_SIZE, "punch"),
                       (ZERO_RANGE, "zero"),
                       (ZERO_RANGE | KEEP_SIZE, "zero keep")):
        for sync in (False, True):
            fd = fresh("h", data)
            if sync: os.fsync(fd)
            fallocate(fd, mode, off, n)
            want = bytearray(data)
            if off < N:
                want[off:min(N, off + n)] = bytes(min(N, off + n) - off)
            if mode == ZERO_RANGE and off + n > N:
                want += bytes(off + n - N)
            if size(fd) != len(want) or os.pread(fd, 2 * N, 0) != want:
                bad.append((what, off, n, sync))
            os.close(fd)
eq(bad, [], "punched and zeroed ranges read as zeros, the rest as before")

fd = fresh("u", data)
full = used(fd)
ok(full >= N, "a full file uses its size (%d)" % full)
fallocate(fd, PUNCH_HOLE | KEEP_SIZE, 0, N // 2)
ok(used(fd) <= full - N // 2 + 65536, "a punched half uses no space")
eq(os.lseek(fd, 0, os.SEEK_DATA), N // 2, "SEEK_DATA finds the data")
eq(os.lseek(fd, 0, os.SEEK_HOLE), 0, "SEEK_HOLE at a hole")
eq(os.lseek(fd, N // 2 + 5, os.SEEK_HOLE), N, "the end is a hole")
err(errno.ENXIO, "SEEK_DATA at the end", os.lseek, fd, N, os.SEEK_DATA)
err(errno.ENXIO, "SEEK_HOLE past the end", os.lseek, fd, N + 1, os.SEEK_HOLE)
os.close(fd)

fd = fresh("s", b"")
for i in range(4):
    os.pwrite(fd, b"d" * 65536, i * (1 << 20))
os.ftruncate(fd, 5 << 20)
os.fsync(fd)
segs, at = [], 0
while True:
    try: d = os.lseek(fd, at, os.SEEK_DATA)
    except OSError as e:
        eq(e.errno, errno.ENXIO, "the walk ends with ENXIO")
        break
    at = os.lseek(fd, d, os.SEEK_HOLE)
    segs.append((d, at - d))
eq(segs, [(i << 20, 65536) for i in range(4)], "the four islands")
err(errno.ENXIO, "no data after the last", os.lseek, fd, 4 << 20,
    os.SEEK_DATA)
os.close(fd)
fd = fresh("e", b"")
err(errno.ENXIO, "SEEK_DATA in an empty file", os.lseek, fd, 0, os.SEEK_DATA)
os.close(fd)
fd = fresh("i", b"tiny")
eq(os.lseek(fd, 0, os.SEEK_DATA), 0, "SEEK_DATA in a tiny file")
eq(os.lseek(fd, 0, os.SEEK_HOLE), 4, "SEEK_HOLE in a tiny file")
os.close(fd)
PY
remount
py <<'PY'
from lib import *
fd = os.open(p("s"), os.O_RDONLY)
segs, at = [], 0
while True:
    try: d = os.lseek(fd, at, os.SEEK_DATA)
    except OSError: break
    at = os.lseek(fd, d, os.SEEK_HOLE)
    segs.append((d, at - d))
eq(segs, [(i << 20, 65536) for i in range(4)], "islands after a remount")
eq(get(p("u")), bytes(1 << 19) + pattern(1 << 20, 3)[1 << 19:],
   "the punched file after a remount")
PY
done_testing
