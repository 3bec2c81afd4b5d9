#!/bin/sh
# Which call changes which time of which object; a call that fails changes none.
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
import time
from lib import *

G = 10 ** 9
def look():
    """Times of every object below M by a name; the first found counts."""
    out = {}
    for d, dirs, files in os.walk(M):
        for n in dirs + files:
            st = os.lstat(os.path.join(d, n))
            out[os.path.relpath(os.path.join(d, n), M)] = (
                st.st_atime_ns, st.st_mtime_ns, st.st_ctime_ns, st.st_ino)
    return out
def wait(fd=None):
    time.sleep(0.005)   # a tick of the kernel's clock
def changes(desc, want, fn, *a, **k):
    """fn changes mtime or ctime of these objects, and of no others: want maps
    names after the call to "m", "c", "mc"; "new" for what is made."""
    before = look()
    old = {v[3]: v for v in before.values()}
    wait()
    r = works(desc, fn, *a, **k)
    got = {}
    for n, v in look().items():
        if v[3] not in old:
            got[n] = "new"
            continue
        w = "".join(x for x, i in (("m", 1), ("c", 2))
                    if v[i] != old[v[3]][i])
        if w: got[n] = w
    eq(got, want, "... and changes the times that it should")
    return r
def nothing(want, desc, fn, *a, **k):
    before = look()
    wait()
    err(want, desc, fn, *a, **k)
    after = look()
    b = {n: v[1:] for n, v in before.items()}
    a = {n: v[1:] for n, v in after.items()}
    if a != b: eq(a, b, "... without touching a time")

os.mkdir(p("d"))
os.mkdir(p("e"))
f = p("d", "f")
MC = "mc"
# ---- Making.
changes("open O_CREAT", {"d": MC, "d/f": "new"}, put, f, b"")
changes("open O_CREAT of what is there", {}, lambda: os.close(
    os.open(f, os.O_CREAT | os.O_RDWR)))
changes("mkdir", {"d": MC, "d/s": "new"}, os.mkdir, p("d", "s"))
changes("mkfifo", {"d": MC, "d/p": "new"}, os.mkfifo, p("d", "p"))
changes("mknod", {"d": MC, "d/n": "new"}, os.mknod, p("d", "n"),
        stat.S_IFCHR | 0o600, os.makedev(1, 3))
changes("symlink", {"d": MC, "d/l": "new"}, os.symlink, "f", p("d", "l"))
changes("link", {"e": MC, "d/f": "c", "e/h": "c"}, os.link, f, p("e", "h"))
changes("link of a symlink", {"e": MC, "d/l": "c", "e/l": "c"}, os.link,
        p("d", "l"), p("e", "l"), follow_symlinks=False)
fd = changes("O_TMPFILE", {}, os.open, p("d"), os.O_TMPFILE | os.O_RDWR)
os.write(fd, b"t")
before = os.fstat(fd)
wait()
changes("linkat of it", {"d": MC, "d/t": "new"}, linkat_tmp, fd, p("d", "t"))
after = os.fstat(fd)
eq((after.st_mtime_ns == before.st_mtime_ns,
    after.st_ctime_ns > before.st_ctime_ns), (True, True),
   "linkat of it moves its ctime, not its mtime")
os.close(fd)

# ---- Content.
F = {"d/f": MC, "e/h": MC}
C = {"d/f": "c", "e/h": "c"}
def fdo(fn, flags=os.O_RDWR):
    fd = os.open(f, flags)
    try: fn(fd)
    finally: os.close(fd)
changes("write", F, fdo, lambda fd: os.write(fd, b"12345"))
changes("write of nothing", {}, fdo, lambda fd: os.write(fd, b""))
changes("write O_DIRECT", F, fdo, lambda fd: os.write(fd, bytes(4096)),
        os.O_RDWR | os.O_DIRECT)
changes("append", F, fdo, lambda fd: os.write(fd, b"6"),
        os.O_WRONLY | os.O_APPEND)
changes("truncate shorter", F, os.truncate, f, 3)
changes("truncate longer", F, os.truncate, f, 10000)
changes("ftruncate to its size", F, fdo, lambda fd: os.ftruncate(fd, 10000))
changes("open O_TRUNC", F, lambda: os.close(
    os.open(f, os.O_WRONLY | os.O_TRUNC)))
changes("open O_TRUNC of an empty file", F, lambda: os.close(
    os.open(f, os.O_WRONLY | os.O_TRUNC)))
os.truncate(f, 8192)
for m, n in ((0, "fallocate"), (KEEP_SIZE, "KEEP_SIZE"),
             (KEEP_SIZE | PUNCH_HOLE, "PUNCH_HOLE"), (ZERO_RANGE, "ZERO_RANGE")):
    changes(n, F, fdo, lambda fd: fallocate(fd, m, 0, 4096))
changes("copy_file_range", {"d/t": MC}, lambda: os.copy_file_range(
    os.open(f, os.O_RDONLY), os.open(p("d", "t"), os.O_WRONLY), 100))
def mapped(fd):
    with mmap.mmap(fd, 4096) as m:
        m[5] = 7
        m.flush()
changes("a change through a shared map", F, fdo, mapped)
changes("stat, access, open", {}, lambda: (
    os.stat(f), os.access(f, os.R_OK), os.close(os.open(f, os.O_RDWR))))
changes("fsync", {}, fdo, os.fsync)

# ---- Attributes.
changes("chmod", C, os.chmod, f, 0o600)
changes("chmod to the same", C, os.chmod, f, 0o600)
changes("chown", C, os.chown, f, 1001, 1001)
changes("chown of -1, -1", C, os.chown, f, -1, -1)
changes("lchown", {"d/l": "c", "e/l": "c"}, os.lchown, p("d", "l"), 1001, 1001)
changes("setxattr", C, os.setxattr, f, "user.a", b"b")
changes("removexattr", C, os.removexattr, f, "user.a")
changes("an ACL", C, os.setxattr, f, "system.posix_acl_access",
        acl(("u", 6), ("g", 4), ("m", 4), ("o", 4)))
changes("utimensat of the access time", C, utimensat, f, (1, 1), UTIME_OMIT)
changes("utimensat of mtime", F, utimensat, f, UTIME_OMIT, (5, 5))
changes("utimensat, both omitted", {}, utimensat, f, UTIME_OMIT, UTIME_OMIT)
changes("chmod of a directory", {"d": "c"}, os.chmod, p("d"), 0o777)

# ---- Removing and renaming.
changes("unlink of one of two names", {"e": MC, "d/f": "c"}, os.unlink,
        p("e", "h"))
fd = os.open(p("d", "t"), os.O_RDONLY)
c = os.fstat(fd).st_ctime_ns
changes("unlink of the last", {"d": MC}, os.unlink, p("d", "t"))
st = os.fstat(fd)
eq((st.st_nlink, st.st_ctime_ns > c), (0, True), "... and the open file's ctime")
os.close(fd)
changes("rename", {"d": MC, "d/g": "c"}, os.rename, f, p("d", "g"))
changes("rename elsewhere", {"d": MC, "e": MC, "e/g": "c"}, os.rename,
        p("d", "g"), p("e", "g"))
changes("rename of a directory", {"d": MC, "e": MC, "e/s": "c"}, os.rename,
        p("d", "s"), p("e", "s"))
put(p("e", "x"))
os.link(p("e", "x"), p("d", "x2"))
changes("rename over a file with another name", {"e": MC, "e/x": "c",
        "d/x2": "c"}, os.rename, p("e", "g"), p("e", "x"))
os.mkdir(p("d", "empty"))
fd = os.open(p("d", "empty"), os.O_RDONLY)
c = os.fstat(fd).st_ctime_ns
changes("rename over an empty directory", {"d": MC, "e": MC, "d/empty": "c"},
        os.rename, p("e", "s"), p("d", "empty"))
st = os.fstat(fd)
eq((st.st_nlink, st.st_ctime_ns > c), (0, True), "... which has no links left")
os.close(fd)
changes("exchange", {"d": MC, "e": MC, "d/empty": "c", "e/x": "c"}, renameat2,
        p("d", "empty"), p("e", "x"), RENAME_EXCHANGE)
changes("rename onto itself", {}, os.rename, p("d", "x2"), p("d", "x2"))
os.link(p("d", "x2"), p("d", "x3"))
changes("rename onto another name of it", {}, os.rename, p("d", "x2"),
        p("d", "x3"))
changes("rmdir", {"e": MC}, os.rmdir, p("e", "x"))

# ---- What fails.
f = p("d", "x2")
os.mkdir(p("e", "full"))
put(p("e", "full", "x"))
os.symlink("loop", p("e", "loop"))
for w, n, fn, *a in (
        (errno.EEXIST, "mkdir", os.mkdir, p("d")),
        (errno.EEXIST, "mknod", os.mkfifo, f),
        (errno.EEXIST, "symlink", os.symlink, "a", f),
        (errno.EEXIST, "link", os.link, f, p("d", "x3")),
        (errno.EPERM, "link of a directory", os.link, p("d"), p("e", "dd")),
        (errno.EEXIST, "O_EXCL", os.open, f, os.O_CREAT | os.O_EXCL),
        (errno.ENOTDIR, "O_DIRECTORY", os.open, f, os.O_DIRECTORY),
        (errno.ELOOP, "open of a loop", os.open, p("e", "loop"), os.O_RDONLY),
        (errno.ENOENT, "unlink of nothing", os.unlink, p("d", "none")),
        (errno.EISDIR, "unlink of a directory", os.unlink, p("e", "full")),
        (errno.ENOTEMPTY, "rmdir", os.rmdir, p("e", "full")),
        (errno.ENOTDIR, "rmdir of a file", os.rmdir, f),
        (errno.EISDIR, "rename", os.rename, f, p("e")),
        (errno.ENOTDIR, "rename of a directory", os.rename, p("e"), f),
        (errno.ENOTEMPTY, "rename onto a full one", os.rename, p("d"),
         p("e", "full")),
        (errno.EINVAL, "rename into itself", os.rename, p("e"),
         p("e", "full", "e")),
        (errno.EEXIST, "NOREPLACE", renameat2, f, p("d", "x3"), 1),
        (errno.ENOENT, "EXCHANGE", renameat2, f, p("d", "none"), 2),
        (errno.EISDIR, "truncate", os.truncate, p("d"), 0),
        (errno.EINVAL, "truncate below 0", os.truncate, f, -1),
        (errno.EFBIG, "truncate over the limit", os.truncate, f,
         (1 << 45) + 1),
        (errno.EINVAL, "utimensat", utimensat, f, (1, 10 ** 9), (1, 1)),
        (errno.ENODATA, "removexattr", os.removexattr, f, "user.none"),
        (errno.EOPNOTSUPP, "setxattr", os.setxattr, f, "odd.x", b""),
        (errno.ENAMETOOLONG, "create", put, p("d", "x" * 256)),
        (errno.ENAMETOOLONG, "rename to", os.rename, f, p("d", "x" * 256))):
    nothing(w, "%s fails" % n, fn, *a)
def user(fn, *a):
    e = as_user(1002, 1002, fn, *a)
    if e: raise OSError(e, "")
os.chown(f, 1001, 1001)
os.chmod(f, 0o600)
for n, fn, *a in (("chmod", os.chmod, f, 0), ("chown", os.chown, f, 1002, -1),
                  ("utimensat", utimensat, f, (1, 1), (1, 1)),
                  ("ACL", os.setxattr, f, "system.posix_acl_access",
                   acl(("u", 6), ("g", 4), ("o", 4)))):
    nothing(errno.EPERM, "%s by another user fails" % n, user, fn, *a)
for n, fn, *a in (("open to write", os.open, f, os.O_WRONLY | os.O_TRUNC),
                  ("truncate", os.truncate, f, 0),
                  ("unlink", os.unlink, p("e", "full", "x")),
                  ("mkdir", os.mkdir, p("e", "m")),
                  ("setxattr", os.setxattr, f, "user.a", b""),
                  ("utimensat now", utimensat, f, UTIME_NOW, UTIME_NOW)):
    nothing(errno.EACCES, "%s by another user fails" % n, user, fn, *a)

# ---- Access times: as relatime has it.
def at(q): return os.lstat(q).st_atime_ns
def read_moves(desc, q, fn, want):
    a = at(q)
    wait()
    fn(q)
    eq(at(q) != a, want, desc)
put(p("d", "r"), b"r" * 100)
os.mkdir(p("d", "rd"))
os.symlink("r", p("d", "rl"))
for q, fn, n in ((p("d", "r"), get, "a read"),
                 (p("d", "rd"), os.listdir, "listing a directory"),
                 (p("d", "rl"), os.readlink, "reading a symlink")):
    utimensat(q, (1000, 0), (2000, 0), AT_SYMLINK_NOFOLLOW)
    read_moves("%s moves atime when it is the older" % n, q, fn, True)
    ok(abs(at(q) - time.time_ns()) < 100 * G, "... to now")
    read_moves("%s again does not" % n, q, fn, False)
# ---- Far times, to the nanosecond; looked at again after a remount.
FAR = ((-(1 << 40), 999999999), (-1, 1), ((1 << 31) - 1, 999999999),
       (1 << 31, 0), ((1 << 32) + 5, 123456789), (1 << 34, 1), (1 << 40, 7))
for i, t in enumerate(FAR):
    put(p("d", "far%d" % i))
    utimensat(p("d", "far%d" % i), t, FAR[-1 - i])
    st = os.stat(p("d", "far%d" % i))
    eq((st.st_atime_ns, st.st_mtime_ns), (t[0] * G + t[1], FAR[-1 - i][0] * G +
                                         FAR[-1 - i][1]), "times %r" % (t,))
put(p("d", "big"), pattern(300000))
st = os.stat(p("d", "big"))
eq(st.st_atime_ns <= st.st_mtime_ns <= time.time_ns(), True,
   "a new file's times are now")
PY
stop_mount
start_mount docs -o allow_other,noatime
py <<'PY'
from lib import *
FAR = ((-(1 << 40), 999999999), (-1, 1), ((1 << 31) - 1, 999999999),
       (1 << 31, 0), ((1 << 32) + 5, 123456789), (1 << 34, 1), (1 << 40, 7))
eq([os.stat(p("d", "far%d" % i)).st_atime_ns for i in range(7)],
   [s * 10 ** 9 + n for s, n in FAR], "far times after a remount")
for q, fn in ((p("d", "big"), get), (p("d", "rd"), os.listdir)):
    utimensat(q, (1000, 0), (2000, 0))
    fn(q)
    eq(os.stat(q).st_atime_ns, 1000 * 10 ** 9, "noatime: %s" % fn.__name__)
PY
stop_mount
start_mount docs -o allow_other,nodiratime
py <<'PY'
from lib import *
for q, fn, want in ((p("d", "big"), get, True), (p("d", "rd"), os.listdir,
                                                 False)):
    utimensat(q, (1000, 0), (2000, 0))
    fn(q)
    eq(os.stat(q).st_atime_ns != 1000 * 10 ** 9, want,
       "nodiratime: %s" % fn.__name__)
PY
done_testing
