#!/bin/sh
# Sizes: the largest, limits of a process, sparse files, holes, statvfs.
# Serves: R30
. "$(dirname "$0")/../../lib.sh"
require_fuse
require_root
new_store
bucket docs
start_mount docs -o allow_other
chmod 755 "$M"

py <<'PY'
import mmap
import random
import resource
import signal
from lib import *

MAX = 1 << 45
f = p("f")
fd = os.open(f, os.O_CREAT | os.O_RDWR)
def size(): return os.fstat(fd).st_size
# ---- The largest file.
works("ftruncate to 32 TiB", os.ftruncate, fd, MAX)
eq(size(), MAX, "... is its size")
err(errno.EFBIG, "one byte more", os.ftruncate, fd, MAX + 1)
err(errno.EFBIG, "truncate to 2^63 - 1", os.truncate, f, (1 << 63) - 1)
err(errno.EFBIG, "a write at the end", os.pwrite, fd, b"x", MAX)
err(errno.EFBIG, "a write far beyond", os.pwrite, fd, b"x", (1 << 62))
eq(os.pwrite(fd, b"0123456789", MAX - 5), 5, "a write across: what fits")
eq(os.pread(fd, 20, MAX - 7), b"\0\0" + b"01234", "... and that is there")
eq(os.pwrite(fd, pattern(300000), MAX - 200000), 200000, "a long one across")
eq(os.pread(fd, 300000, MAX - 200000), pattern(300000)[:200000], "... too")
err(errno.EFBIG, "fallocate beyond", fallocate, fd, KEEP_SIZE, MAX, 1)
err(errno.EFBIG, "ZERO_RANGE across", fallocate, fd, ZERO_RANGE, MAX - 1, 2)
eq((size(), os.lseek(fd, 0, os.SEEK_END)), (MAX, MAX), "the size stays")
src = os.open(p("src"), os.O_CREAT | os.O_RDWR)
os.write(src, b"s" * 10000)
eq(os.copy_file_range(src, fd, 10000, 0, MAX - 100), 100,
   "copy_file_range across: what fits")
err(errno.EFBIG, "copy_file_range to the end", os.copy_file_range, src, fd,
    100, 0, MAX)
fa = os.open(f, os.O_WRONLY | os.O_APPEND)
err(errno.EFBIG, "an append to the largest file", os.write, fa, b"x")
os.close(fa)
m = mmap.mmap(fd, 4096, offset=MAX - 4096)
eq(m[4086:], b"s" * 10, "a map of its last page")
m[4095] = 33
m.close()
eq(os.pread(fd, 9, MAX - 1), b"!", "... and a change through it")
ok(os.stat(f).st_blocks * 512 < 1 << 20, "all that takes little space")
os.ftruncate(fd, 0)
eq((size(), os.stat(f).st_blocks), (0, 0), "truncated: nothing")

# ---- RLIMIT_FSIZE: a signal, or EFBIG without it; what fits is written.
def limited(sig, fn, *a):
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGXFSZ, sig)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10000, 10000))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        try:
            r = fn(*a)
            os._exit(0 if r is None else r % 250)
        except OSError as e: os._exit(e.errno)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
IG, DF = signal.SIG_IGN, signal.SIG_DFL
eq(limited(IG, os.pwrite, fd, bytes(100), 9950), 50, "RLIMIT_FSIZE: what fits")
eq(limited(IG, os.pwrite, fd, bytes(100), 10000), errno.EFBIG, "then EFBIG")
eq(limited(DF, os.pwrite, fd, bytes(100), 10000), -signal.SIGXFSZ,
   "or the signal")
eq(limited(IG, os.ftruncate, fd, 10001), errno.EFBIG, "ftruncate beyond")
eq(limited(IG, os.truncate, f, 10001), errno.EFBIG, "truncate beyond")
eq(limited(IG, os.truncate, f, 10000), 0, "truncate to it")
eq(limited(IG, fallocate, fd, 0, 0, 10001), errno.EFBIG, "fallocate beyond")
eq(limited(DF, fallocate, fd, 0, 0, 10001), -signal.SIGXFSZ,
   "fallocate beyond: the signal")
eq(limited(IG, os.copy_file_range, src, fd, 5000, 0, 9990), 10,
   "copy_file_range: what fits")
eq(size(), 10000, "the size after all that")
os.ftruncate(fd, 50000)
eq(limited(IG, os.truncate, f, 40000), 0, "a smaller size is no growth")

# ---- Sparse files against a list of what was written.
rnd = random.Random(5)
os.ftruncate(fd, 0)
image, top = {}, 0
for i in range(200):
    at = rnd.choice((rnd.randrange(1 << 20), rnd.randrange(1 << 34),
                     rnd.randrange(1 << 44)))
    b = rnd.randbytes(rnd.randrange(1, 9000))
    os.pwrite(fd, b, at)
    image[at] = b
    top = max(top, at + len(b))
eq(size(), top, "200 islands in up to 16 TiB: the size")
def expect(at, n):
    out = bytearray(n)
    for a, b in image.items():      # in the order they were written
        lo, hi = max(a, at), min(a + len(b), at + n)
        if lo < hi: out[lo - at:hi - at] = b[lo - a:hi - a]
    return bytes(out[:max(0, min(n, top - at))])
bad = []
for a in image:
    for at in (a - 5000, a - 1, a, a + len(image[a]) - 1, a + 20000):
        if at >= 0 and os.pread(fd, 12000, at) != expect(at, 12000):
            bad.append(at)
eq(bad, [], "data and the zeros around it")
# SEEK_DATA and SEEK_HOLE walk over all of it, and over nothing else.
walk, at = [], 0
while True:
    try: d = os.lseek(fd, at, os.SEEK_DATA)
    except OSError as e:
        eq(e.errno, errno.ENXIO, "the walk ends with ENXIO")
        break
    at = os.lseek(fd, d, os.SEEK_HOLE)
    walk.append((d, at))
ok(all(a < b for a, b in walk) and
   all(b < c for (_, b), (c, _) in zip(walk, walk[1:])), "it goes forward")
ok(all(any(d <= a and a + len(b) <= h for d, h in walk)
       for a, b in image.items()), "every island lies in data")
ok(sum(h - d for d, h in walk) < 200 * 20000, "and data is little else")
for w in (os.SEEK_DATA, os.SEEK_HOLE):
    for at in (top, top + 1, -1):
        err(errno.ENXIO, "seek %d from %s" % (w, "the end" if at == top else
                                              "beyond" if at > 0 else "-1"),
            os.lseek, fd, at, w)
os.ftruncate(fd, top + 100000)
eq(os.lseek(fd, top + 5000, os.SEEK_HOLE), top + 5000, "a hole is where one is")
err(errno.ENXIO, "no data in the last hole", os.lseek, fd, top + 5000,
    os.SEEK_DATA)
# ---- fallocate's modes.
g = os.open(p("g"), os.O_CREAT | os.O_RDWR)
os.write(g, pattern(100000))
err(errno.EOPNOTSUPP, "COLLAPSE_RANGE", fallocate, g, 8, 0, 4096)
err(errno.EOPNOTSUPP, "INSERT_RANGE", fallocate, g, 32, 0, 4096)
err(errno.EOPNOTSUPP, "UNSHARE_RANGE", fallocate, g, 64, 0, 4096)
err(errno.EOPNOTSUPP, "PUNCH_HOLE alone", fallocate, g, PUNCH_HOLE, 0, 4096)
err(errno.EOPNOTSUPP, "PUNCH_HOLE and ZERO_RANGE", fallocate, g,
    PUNCH_HOLE | ZERO_RANGE | KEEP_SIZE, 0, 4096)
err(errno.EINVAL, "no length", fallocate, g, 0, 0, 0)
err(errno.EINVAL, "a negative length", fallocate, g, 0, 0, -1)
err(errno.EFBIG, "the end over 2^63", fallocate, g, 0, (1 << 63) - 10, 100)
err(errno.ESPIPE, "of a pipe", fallocate, os.pipe()[1], 0, 0, 1)
os.mkfifo(p("fifo"))
err(errno.ESPIPE, "of a fifo", fallocate, os.open(p("fifo"), os.O_RDWR), 0, 0,
    1)
err(errno.EBADF, "of a directory", fallocate, os.open(M, os.O_RDONLY), 0, 0, 1)
eq((os.fstat(g).st_size, os.pread(g, 100001, 0)), (100000, pattern(100000)),
   "what was refused changed nothing")
fallocate(g, KEEP_SIZE | PUNCH_HOLE, 200000, 5)
fallocate(g, KEEP_SIZE | ZERO_RANGE, 99990, 1000)
eq((os.fstat(g).st_size, os.pread(g, 100, 99980)),
   (100000, pattern(100000)[99980:99990] + bytes(10)),
   "KEEP_SIZE keeps the size, beyond the end too")
fallocate(g, 0, 150000, 10)
eq((os.fstat(g).st_size, os.pread(g, 99, 149990)), (150010, bytes(20)),
   "without it the file grows, by zeros")
# ---- statvfs.
v = os.statvfs(M)
eq((v.f_namemax, v.f_frsize, v.f_bsize), (255, 4096, 4096), "statvfs: units")
ok(v.f_blocks >= v.f_bfree >= v.f_bavail > 0 and v.f_files >= v.f_ffree > 0,
   "statvfs: counts")
# Others use the disk, too, and may give some back meanwhile.
for i in range(5):
    b = os.statvfs(M).f_bavail
    put(p("big%d" % i), pattern(40 << 20))
    os.sync()
    x = os.open(p("big%d" % i), os.O_RDONLY)
    os.fsync(x)
    less = os.statvfs(M).f_bavail < b
    if less: break
ok(less, "40 MiB more, less is free")
eq(os.statvfs(p("f")).f_fsid == v.f_fsid, True, "of any file the same")
eq((os.pathconf(M, "PC_NAME_MAX"), os.pathconf(M, "PC_PATH_MAX")), (255, 4096),
   "pathconf")
PY
done_testing
