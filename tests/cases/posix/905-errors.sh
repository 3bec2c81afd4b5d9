#!/bin/sh
# Errors of paths: too long, loops, no directory, read-only, other devices, busy.
# Serves: R30
. "$(dirname "$0")/../../lib.sh"
require_fuse
require_root
new_store
bucket docs
start_mount docs -o allow_other
chmod 755 "$M"

py <<'PY'
import shutil
import subprocess
from lib import *

A = acl(("u", 6), ("u", 1, 4), ("g", 4), ("m", 4), ("o", 4))
def opener(flags): return lambda q: os.close(os.open(q, flags, 0o600))
# Every call that takes a path, with that path.
LOOKS = (("stat", os.stat), ("lstat", os.lstat), ("open", opener(os.O_RDONLY)),
         ("open to write", opener(os.O_WRONLY)),
         ("access", lambda q: libc_call("access", q, 0)),
         ("chmod", lambda q: os.chmod(q, 0o600)),
         ("chown", lambda q: os.chown(q, 0, 0)),
         ("lchown", lambda q: os.lchown(q, 0, 0)),
         ("truncate", lambda q: os.truncate(q, 0)),
         ("utimensat", lambda q: utimensat(q, (1, 1), (1, 1))),
         ("readlink", os.readlink), ("unlink", os.unlink), ("rmdir", os.rmdir),
         ("opendir", os.listdir), ("statfs", os.statvfs),
         ("rename from", lambda q: os.rename(q, p("new"))),
         ("link from", lambda q: os.link(q, p("new"), follow_symlinks=False)),
         ("getxattr", lambda q: os.getxattr(q, "user.a")),
         ("setxattr", lambda q: os.setxattr(q, "user.a", b"")),
         ("listxattr", os.listxattr),
         ("removexattr", lambda q: os.removexattr(q, "user.a")),
         ("ACL", lambda q: os.setxattr(q, "system.posix_acl_access", A)),
         ("chdir", os.chdir), ("O_PATH", opener(os.O_PATH)),
         ("O_TMPFILE", opener(os.O_TMPFILE | os.O_RDWR)))
MAKES = (("create", opener(os.O_CREAT | os.O_WRONLY)),
         ("create O_EXCL", opener(os.O_CREAT | os.O_EXCL | os.O_WRONLY)),
         ("mkdir", os.mkdir), ("mkfifo", os.mkfifo),
         ("mknod", lambda q: os.mknod(q, stat.S_IFCHR | 0o600, 5)),
         ("symlink", lambda q: os.symlink("t", q)),
         ("link to", lambda q: os.link(p("f"), q)),
         ("rename to", lambda q: os.rename(p("f"), q)),
         ("NOREPLACE to", lambda q: renameat2(p("f"), q, RENAME_NOREPLACE)))
def libc_call(fn, q, *a):
    if getattr(libc, fn)(os.fsencode(q), *a) < 0:
        e = ctypes.get_errno()
        raise OSError(e, os.strerror(e))
def every(want, what, q, calls, but=()):
    """Each call fails with want; all of them together are one test."""
    bad = []
    for n, fn in calls:
        try:
            fn(q)
            bad.append((n, "succeeded"))
        except OSError as e:
            if e.errno != dict(but).get(n, want): bad.append((n, name(e.errno)))
    eq(bad, [], "%s: %s from all of %d calls" % (what, name(want), len(calls)))
os.chdir("/")

put(p("f"), b"content")
os.mkdir(p("d"))
ALL = LOOKS + MAKES
# ---- ENAMETOOLONG.
every(errno.ENAMETOOLONG, "a name of 256 bytes", p("n" * 256), ALL)
every(errno.ENAMETOOLONG, "below a name of 256 bytes", p("n" * 256, "x"), ALL)
every(errno.ENOENT, "a name of 255 bytes", p("n" * 255), LOOKS)
deep = M + "/." * ((4095 - len(M)) // 2)
deep += "/" * (4095 - len(deep))
works("a path of 4095 bytes", os.stat, deep)
every(errno.ENAMETOOLONG, "a path of 4096 bytes", deep + "/", ALL)
for n, fn in MAKES[:-2]:
    works("%s a name of 255 bytes" % n, fn, p("d", "m" * 255))
    (os.rmdir if n == "mkdir" else os.unlink)(p("d", "m" * 255))
# ---- ENOTDIR, ENOENT.
every(errno.ENOTDIR, "below a file", p("f", "x"), ALL)
every(errno.ENOTDIR, "a file and a slash", p("f/"), LOOKS)
every(errno.ENOENT, "below nothing", p("none", "x"), ALL)
every(errno.ENOENT, "an empty path", "", ALL)
os.mkfifo(p("fifo"))
every(errno.ENOTDIR, "below a fifo", p("fifo", "x"), ALL)
# ---- ELOOP.
os.symlink("b", p("a"))
os.symlink("a", p("b"))
every(errno.ELOOP, "below a circle of symlinks", p("a", "x"), ALL)
FOLLOW = tuple(x for x in LOOKS if x[0] not in (
    "lstat", "lchown", "readlink", "unlink", "rmdir", "rename from",
    "link from"))
every(errno.ELOOP, "a circle of symlinks", p("a"), FOLLOW)
os.unlink(p("a"))
os.unlink(p("b"))
prev = "f"
for i in range(41):
    os.symlink(prev, p("s%d" % i))
    prev = "s%d" % i
works("40 symlinks in a row", os.stat, p("s39"))
every(errno.ELOOP, "41 symlinks in a row", p("s40"), FOLLOW)
for i in range(41): os.unlink(p("s%d" % i))
err(errno.ELOOP, "O_NOFOLLOW of a symlink",
    lambda: (os.symlink("f", p("l")), os.open(p("l"), os.O_NOFOLLOW)))
err(errno.EEXIST, "O_EXCL over a dangling symlink",
    lambda: (os.symlink("gone", p("dang")),
             os.open(p("dang"), os.O_CREAT | os.O_EXCL)))
err(errno.EEXIST, "mkdir over a dangling symlink", os.mkdir, p("dang"))
err(errno.ENOTDIR, "O_DIRECTORY|O_NOFOLLOW of a symlink to a directory",
    lambda: (os.symlink("d", p("ld")),
             os.open(p("ld"), os.O_DIRECTORY | os.O_NOFOLLOW)))
# ---- EEXIST of everything that makes, on everything that is there.
for n in ("f", "d", "fifo", "l", "dang"):
    every(errno.EEXIST, "made over %s" % n, p(n), MAKES[1:7] + MAKES[8:])
# ---- Dots and slashes.
os.mkdir(p("d", "e"))
err(errno.EINVAL, "rmdir of .", os.rmdir, p("d", "."))
err(errno.ENOTEMPTY, "rmdir of ..", os.rmdir, p("d", "e", ".."))
err(errno.EISDIR, "unlink of .", os.unlink, p("d", "."))
err(errno.EBUSY, "rename of .", os.rename, p("d", "."), p("x"))
err(errno.EBUSY, "rename of ..", os.rename, p("d", "e", ".."), p("x"))
err(errno.EBUSY, "rename to .", os.rename, p("d"), p("d", "e", "."))
works("mkdir with a slash", os.mkdir, p("d", "m/"))
works("rename of a directory with slashes", os.rename, p("d", "m/"),
      p("d", "n/"))
err(errno.ENOTDIR, "rename of a file to a name with a slash", os.rename,
    p("f"), p("q/"))
err(errno.ENOENT, "link to a name with a slash", os.link, p("f"), p("q/"))
err(errno.ENOENT, "symlink with a slash", os.symlink, "f", p("q/"))
err(errno.EISDIR, "create with a slash", put, p("q/"))
works("rmdir with a slash", os.rmdir, p("d", "n/"))
err(errno.EBUSY, "rmdir of the mount", os.rmdir, M)
err(errno.EBUSY, "rename of the mount", os.rename, M, M + "2")
# ---- Kinds.
err(errno.EISDIR, "truncate of a directory", os.truncate, p("d"), 0)
err(errno.EISDIR, "read of a directory", lambda: os.read(
    os.open(p("d"), os.O_RDONLY), 1))
err(errno.EINVAL, "truncate of a fifo", os.truncate, p("fifo"), 0)
err(errno.EINVAL, "readlink of a directory", os.readlink, p("d"))
err(errno.EPERM, "a hard link to a directory", os.link, p("d"), p("dl"))
err(errno.EBADF, "write to what was opened to read", lambda: os.write(
    os.open(p("f"), os.O_RDONLY), b"x"))
err(errno.EBADF, "read of what was opened to write", lambda: os.read(
    os.open(p("f"), os.O_WRONLY), 1))
err(errno.EINVAL, "ftruncate of what was opened to read", lambda: os.ftruncate(
    os.open(p("f"), os.O_RDONLY), 1))
err(errno.ESPIPE, "lseek of a fifo", lambda: os.lseek(
    os.open(p("fifo"), os.O_RDWR), 0, 0))
err(errno.EINVAL, "lseek below 0", lambda: os.lseek(
    os.open(p("f"), os.O_RDONLY), -1, 0))
err(errno.EINVAL, "pwrite below 0", lambda: os.pwrite(
    os.open(p("f"), os.O_RDWR), b"x", -1))
# ---- EXDEV, ETXTBSY.  (EMLINK: tests/unit/store_ns.c.)
err(errno.EXDEV, "link to another filesystem", os.link, p("f"), T + "/f")
err(errno.EXDEV, "rename to another filesystem", os.rename, p("f"), T + "/f")
err(errno.EXDEV, "rename from another filesystem", os.rename, T + "/script.py",
    p("g"))
shutil.copy("/bin/sleep", p("prog"))
os.chmod(p("prog"), 0o755)
run = subprocess.Popen([p("prog"), "600"])
while os.readlink("/proc/%d/exe" % run.pid) != p("prog"): pass
err(errno.ETXTBSY, "a running program is not written", os.open, p("prog"),
    os.O_WRONLY)
err(errno.ETXTBSY, "nor opened O_TRUNC", os.open, p("prog"),
    os.O_WRONLY | os.O_TRUNC)
err(errno.ETXTBSY, "nor truncated", os.truncate, p("prog"), 0)
works("but renamed", os.rename, p("prog"), p("prog2"))
works("and removed", os.unlink, p("prog2"))
run.kill()
run.wait()
shutil.copy("/bin/true", p("prog"))
fd = os.open(p("prog"), os.O_WRONLY)
err(errno.ETXTBSY, "what is open to write is not run", subprocess.call,
    [p("prog")])
os.close(fd)
eq(subprocess.call([p("prog")]), 0, "after its close it runs")
os.chmod(p("prog"), 0o644)
err(errno.EACCES, "without x not even for root", subprocess.call, [p("prog")])
eq(get(p("f")), b"content", "what failed has changed nothing")
PY
stop_mount
start_mount docs -o allow_other,ro
py <<'PY'
from lib import *
A = acl(("u", 6), ("u", 1, 4), ("g", 4), ("m", 4), ("o", 4))
f = p("f")
bad = []
for n, fn, *a in (
        ("create", put, p("new")), ("write", os.open, f, os.O_WRONLY),
        ("O_TRUNC", os.open, f, os.O_RDONLY | os.O_TRUNC),
        ("O_TMPFILE", os.open, M, os.O_TMPFILE | os.O_RDWR),
        ("mkdir", os.mkdir, p("new")), ("mkfifo", os.mkfifo, p("new")),
        ("symlink", os.symlink, "x", p("new")), ("link", os.link, f, p("new")),
        ("unlink", os.unlink, f), ("rmdir", os.rmdir, p("d")),
        ("rename", os.rename, f, p("new")), ("chmod", os.chmod, f, 0o600),
        ("chown", os.chown, f, 1, 1), ("truncate", os.truncate, f, 0),
        ("utimensat", utimensat, f, (1, 1), (1, 1)),
        ("setxattr", os.setxattr, f, "user.a", b""),
        ("removexattr", os.removexattr, f, "user.a"),
        ("ACL", os.setxattr, f, "system.posix_acl_access", A)):
    try:
        fn(*a)
        bad.append((n, "succeeded"))
    except OSError as e:
        if e.errno != errno.EROFS: bad.append((n, name(e.errno)))
eq(bad, [], "mounted ro: EROFS from all that changes")
ok(not os.access(f, os.W_OK) and os.access(f, os.R_OK), "access says so")
err(errno.EEXIST, "mkdir of what is there", os.mkdir, p("d"))
a = os.stat(f).st_atime_ns
eq((get(f), os.stat(f).st_atime_ns), (b"content", a), "reading works")
eq(os.statvfs(M).f_flag & os.ST_RDONLY, os.ST_RDONLY, "statvfs says read-only")
PY
done_testing
