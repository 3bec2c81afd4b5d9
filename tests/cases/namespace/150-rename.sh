#!/bin/sh
# The table of rename(2), with NOREPLACE and EXCHANGE.
# Serves: R30
. "$(dirname "$0")/../../lib.sh"
require_fuse
new_store
bucket docs
start_mount docs

py <<'PY'
import shutil
from lib import *

KINDS = ("file", "empty", "full", "link")
def make(n, kind):
    if kind == "file": put(p(n), n.encode())
    elif kind == "link": os.symlink("t", p(n))
    elif kind != "none":
        os.mkdir(p(n))
        if kind == "full": put(p(n, "inside"), b"i")
def wipe():
    for n in os.listdir(M):
        if os.path.isdir(p(n)) and not os.path.islink(p(n)):
            shutil.rmtree(p(n))
        else: os.unlink(p(n))
def is_dir(k): return k in ("empty", "full")
def expect(a, b):
    if b == "none": return 0
    if is_dir(a) and not is_dir(b): return errno.ENOTDIR
    if not is_dir(a) and is_dir(b): return errno.EISDIR
    if b == "full": return errno.ENOTEMPTY
    return 0
def attempt(fn):
    try: fn()
    except OSError as e: return e.errno
    return 0

for a in KINDS:
    for b in KINDS + ("none",):
        for flags, n in ((0, "plain"), (RENAME_NOREPLACE, "NOREPLACE"),
                         (RENAME_EXCHANGE, "EXCHANGE")):
            make("a", a)
            make("b", b)
            ia = os.lstat(p("a")).st_ino
            ib = None if b == "none" else os.lstat(p("b")).st_ino
            if flags == 0:
                want = expect(a, b)
                got = attempt(lambda: os.rename(p("a"), p("b")))
            else:
                want = ((0 if b == "none" else errno.EEXIST)
                        if flags == RENAME_NOREPLACE else
                        (errno.ENOENT if b == "none" else 0))
                got = attempt(lambda: renameat2(p("a"), p("b"), flags))
            def ino(x):
                return os.lstat(p(x)).st_ino if os.path.lexists(p(x)) else None
            if want:
                after = (ia, ib)
            else:
                after = (ib if flags == RENAME_EXCHANGE else None, ia)
            eq((name(got), ino("a"), ino("b")), (name(want),) + after,
               "%s: %s onto %s" % (n, a, b))
            wipe()

put(p("f"), b"1")
os.link(p("f"), p("g"))
works("two names of one inode", os.rename, p("f"), p("g"))
eq(sorted(os.listdir(M)), ["f", "g"], "keep both names")
works("onto itself", os.rename, p("f"), p("f"))
err(errno.EINVAL, "both flags", renameat2, p("f"), p("g"), 3)
err(errno.ENOENT, "of nothing", os.rename, p("none"), p("x"))
os.makedirs(p("d", "e", "f"))
err(errno.EINVAL, "into itself", os.rename, p("d"), p("d", "e", "x"))
err(errno.EINVAL, "into itself, deeper", os.rename, p("d"),
    p("d", "e", "f", "d"))
err(errno.EINVAL, "exchange with a descendant", renameat2, p("d"),
    p("d", "e"), RENAME_EXCHANGE)
err(errno.ENOTEMPTY, "onto an ancestor", os.rename, p("d", "e"), p("d"))
err(errno.ENAMETOOLONG, "to a name of 256 bytes", os.rename, p("f"),
    p("x" * 256))
put(p("d", "e", "f", "deep"), b"deep")
os.mkdir(p("t"))
n0, t0 = os.stat(p("d")).st_nlink, os.stat(p("t")).st_nlink
os.rename(p("d", "e"), p("t", "e2"))
eq(get(p("t", "e2", "f", "deep")), b"deep", "a directory moves with its tree")
eq((os.stat(p("d")).st_nlink, os.stat(p("t")).st_nlink), (n0 - 1, t0 + 1),
   "link counts of both parents")
eq(os.stat(p("t", "e2", "..")).st_ino, os.stat(p("t")).st_ino,
   "its .. is the new parent")
os.mkdir(p("t", "y"))
put(p("d", "x"), b"x")
n0, t0 = os.stat(p("d")).st_nlink, os.stat(p("t")).st_nlink
renameat2(p("d", "x"), p("t", "y"), RENAME_EXCHANGE)
eq((os.stat(p("d")).st_nlink, os.stat(p("t")).st_nlink), (n0 + 1, t0 - 1),
   "exchange of a file and a directory moves a link")

fd = os.open(p("f"), os.O_RDWR)
put(p("new"), b"new")
os.rename(p("new"), p("f"))
eq(os.pread(fd, 9, 0), b"1", "an open file that was replaced keeps its bytes")
os.pwrite(fd, b"still", 0)
eq(os.pread(fd, 9, 0), b"still", "and can be written")
os.close(fd)
eq(get(p("f")), b"new", "the new one has its own")
fd = os.open(p("f"), os.O_RDWR)
os.rename(p("f"), p("t", "moved"))
os.pwrite(fd, b"NEW", 0)
os.close(fd)
eq(get(p("t", "moved")), b"NEW", "an open file follows its rename")
PY
remount
py <<'PY'
from lib import *
eq(get(p("t", "moved")), b"NEW", "content after a remount")
eq(get(p("t", "e2", "f", "deep")), b"deep", "tree after a remount")
ok(os.path.isdir(p("d", "x")), "exchange after a remount")
PY
done_testing
