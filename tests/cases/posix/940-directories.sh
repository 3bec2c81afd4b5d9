#!/bin/sh
# Directories: link counts, long ones, positions, listing while others change.
# Serves: R30
. "$(dirname "$0")/../../lib.sh"
require_fuse
require_root
new_store
bucket docs
start_mount docs -o allow_other
chmod 755 "$M"

py <<'PY'
import random
import shutil
import struct
from lib import *

class dirent(ctypes.Structure):
    _fields_ = [("ino", ctypes.c_uint64), ("off", ctypes.c_int64),
                ("len", ctypes.c_uint16), ("type", ctypes.c_ubyte),
                ("name", ctypes.c_char * 256)]
libc.opendir.restype = ctypes.c_void_p
libc.readdir.restype = ctypes.POINTER(dirent)
for f in ("readdir", "rewinddir", "telldir", "closedir"):
    getattr(libc, f).argtypes = [ctypes.c_void_p]
libc.telldir.restype = ctypes.c_long
libc.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]
def rd(d):
    e = libc.readdir(d)
    return os.fsdecode(e.contents.name) if e else None
def rest(d):
    return list(iter(lambda: rd(d), None))
def getdents(fd, size):
    """One getdents64 with a buffer of that size: (name, ino, off, type)."""
    buf = ctypes.create_string_buffer(size)
    n = libc.syscall(217, fd, buf, size)
    if n < 0:
        e = ctypes.get_errno()
        raise OSError(e, os.strerror(e))
    out, at = [], 0
    while at < n:
        ino, off = struct.unpack_from("<Qq", buf, at)
        length, kind = struct.unpack_from("<HB", buf, at + 16)
        out.append((os.fsdecode(buf.raw[at + 19:at + length].split(b"\0")[0]),
                    ino, off, kind))
        at += length
    return out

# ---- Link counts.
os.mkdir(p("n"))
def links(): return os.stat(p("n")).st_nlink
eq(links(), 2, "an empty directory has 2 links")
for i in range(1000): os.mkdir(p("n", "d%d" % i))
eq(links(), 1002, "with 1000 directories in it 1002")
put(p("n", "file"))
os.symlink("d0", p("n", "link"))
eq(links(), 1002, "files and symlinks to directories do not count")
os.rmdir(p("n", "d0"))
os.mkdir(p("o"))
os.rename(p("n", "d1"), p("o", "d1"))
os.rename(p("o"), p("n", "o"))
eq((links(), os.stat(p("n", "o")).st_nlink), (1001, 3), "after rmdir and moves")
os.rename(p("n", "d2"), p("n", "d3"))
eq(links(), 1000, "after a rename over an empty one")
for i in range(3, 1000): os.rmdir(p("n", "d%d" % i))
shutil.rmtree(p("n", "o"))
eq(links(), 2, "and back to 2")

# ---- A long one: 20,000 names, some of them of 255 bytes.
N = 20000
os.mkdir(p("long"))
rnd = random.Random(1)
fd = os.open(p("long"), os.O_RDONLY)
want = set()
for i in range(N):
    n = "%05d" % i + "-" * rnd.choice((0, 3, 20, 250))
    os.mknod(n, stat.S_IFIFO | 0o600, dir_fd=fd)
    want.add(n)
os.close(fd)
got = os.listdir(p("long"))
eq((len(got), set(got) == want), (N, True), "%d names, each once" % N)
err(errno.EINVAL, "getdents with no room for an entry", getdents,
    os.open(p("long"), os.O_RDONLY), 20)
for size in (280, 1000, 4096, 100000, 1 << 20):
    fd = os.open(p("long"), os.O_RDONLY)
    seen, offs = [], []
    for part in iter(lambda: getdents(fd, size), []):
        seen += [x[0] for x in part]
        offs += [x[2] for x in part]
        if size < 1000 and len(seen) > 3000: break
    os.close(fd)
    full = len(seen) > 3000 and size < 1000 or sorted(seen) == sorted(
        want | {".", ".."})
    eq((full, len(set(seen)) == len(seen), len(set(offs)) == len(offs)),
       (True, True, True), "getdents in pieces of %d bytes" % size)
# Positions, in any order, each to its own name.
d = libc.opendir(os.fsencode(p("long")))
places = []
while True:
    at = libc.telldir(d)
    n = rd(d)
    if n is None: break
    places.append((at, n))
end = libc.telldir(d)
bad = 0
for at, n in rnd.sample(places, 300):
    libc.seekdir(d, at)
    bad += rd(d) != n
eq(bad, 0, "seekdir to 300 places, back and forth")
libc.seekdir(d, end)
eq(rd(d), None, "seekdir to the end")
libc.closedir(d)

# ---- d_type and d_ino agree with stat.
os.mkdir(p("kinds"))
put(p("kinds", "f"))
os.mkdir(p("kinds", "d"))
os.symlink("f", p("kinds", "l"))
os.mkfifo(p("kinds", "p"))
os.mknod(p("kinds", "c"), stat.S_IFCHR, os.makedev(1, 1))
os.mknod(p("kinds", "b"), stat.S_IFBLK, os.makedev(1, 1))
os.mknod(p("kinds", "s"), stat.S_IFSOCK)
for stated in (False, True):
    bad = []
    for n, ino, off, kind in getdents(os.open(p("kinds"), os.O_RDONLY), 4096):
        st = os.lstat(p("kinds", n))
        if (ino, kind) != (st.st_ino, stat.S_IFMT(st.st_mode) >> 12):
            if n != "..": bad.append((n, ino, st.st_ino, kind))
    eq(bad, [], "d_ino and d_type%s" % (" again" if stated else ""))

# ---- Listing while others change: what stays is seen once.
os.mkdir(p("busy"))
stay = {"stay%05d" % i for i in range(2000)}
for n in stay: os.mknod(p("busy", n), stat.S_IFIFO)
stop = p("stop")
pids = []
for k in range(2):
    pid = os.fork()
    if pid == 0:
        r, mine, i = random.Random(k), [], 0
        while not os.path.exists(stop):
            i += 1
            c = r.randrange(3)
            if c == 0 or not mine:
                n = "%s%d-%d" % (r.choice(("a", "stay00500-", "t", "z" * 100)),
                                 k, i)
                os.mknod(p("busy", n), stat.S_IFIFO)
                mine.append(n)
            elif c == 1:
                os.unlink(p("busy", mine.pop(r.randrange(len(mine)))))
            else:
                n = "m%d-%d" % (k, i)
                os.rename(p("busy", mine.pop(r.randrange(len(mine)))),
                          p("busy", n))
                mine.append(n)
        os._exit(0)
    pids.append(pid)
bad = []
for i in range(30):
    d = libc.opendir(os.fsencode(p("busy")))
    names = []
    while True:
        n = rd(d)
        if n is None: break
        names.append(n)
        if i % 3 == 0 and len(names) % 500 == 0:
            libc.seekdir(d, libc.telldir(d))
    libc.closedir(d)
    if len(names) != len(set(names)):
        bad.append(("twice", sorted(n for n in set(names)
                                    if names.count(n) > 1)[:3]))
    if not stay <= set(names):
        bad.append(("missed", sorted(stay - set(names))[:3]))
put(stop)
for pid in pids: os.waitpid(pid, 0)
eq(bad, [], "30 listings beside two that make, remove and rename")
# The listing goes on from its place although names before it went.
d = libc.opendir(os.fsencode(p("busy")))
first = [rd(d) for _ in range(700)]
for n in first[2:]: os.unlink(p("busy", n))
names = rest(d)
eq((len(names) == len(set(names)), stay <= set(names) | set(first)),
   (True, True), "after all names before the place were removed")
libc.rewinddir(d)
eq(sorted(rest(d)), sorted(os.listdir(p("busy")) + [".", ".."]), "rewinddir")
# Two descriptors of one directory have places of their own; a dup has not.
f1, f2 = os.open(p("long"), os.O_RDONLY), os.open(p("long"), os.O_RDONLY)
a, b = getdents(f1, 2000), getdents(f2, 2000)
eq(a, b, "two descriptors")
f3 = os.dup(f1)
eq(getdents(f3, 2000), getdents(f2, 2000), "a dup goes on")
os.lseek(f1, 0, os.SEEK_SET)
eq(getdents(f1, 2000), a, "lseek to 0")
libc.closedir(d)

# ---- A directory that is gone.
os.mkdir(p("gone"))
os.mkdir(p("gone", "sub"))
put(p("gone", "sub", "f"))
sub = os.open(p("gone", "sub"), os.O_RDONLY)
os.unlink(p("gone", "sub", "f"))
os.rmdir(p("gone", "sub"))
up = os.open(p("gone"), os.O_RDONLY)
os.rmdir(p("gone"))
for fd in (sub, up):
    for n, fn, *a in (("create", os.open, "x", os.O_CREAT | os.O_RDWR),
                      ("mkdir", os.mkdir, "x"), ("mkfifo", os.mkfifo, "x"),
                      ("symlink", os.symlink, "a", "x"),
                      ("stat", os.stat, "x"), ("unlink", os.unlink, "x")):
        err(errno.ENOENT, "%s in a directory that is gone" % n, fn, *a,
            dir_fd=fd)
    err(errno.ENOENT, "link into it", os.link, p("kinds", "f"), "x",
        dst_dir_fd=fd)
    err(errno.ENOENT, "rename into it", os.rename, p("kinds", "f"), "x",
        dst_dir_fd=fd)
    eq((os.listdir(fd), os.fstat(fd).st_nlink), ([], 0), "it is empty, unlinked")
    works("its mode can be changed", os.fchmod, fd, 0o700)
    os.close(fd)
# rm -r of it all while it is listed, and a fast making and removing.
shutil.rmtree(p("busy"))
for i in range(300):
    os.mkdir(p("flip"))
    os.rmdir(p("flip"))
err(errno.ENOENT, "made and removed 300 times", os.stat, p("flip"))
PY
remount
is "20,000 names after a remount" "$(find "$M/long" -mindepth 1 | wc -l)" 20000
done_testing
