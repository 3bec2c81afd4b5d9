#!/bin/sh
# Nanosecond times, UTIME_NOW and UTIME_OMIT, and which calls touch which time.
# Serves: R30
. "$(dirname "$0")/../../lib.sh"
require_fuse
require_root
new_store
bucket docs
start_mount docs -o allow_other

py <<'PY'
import time
from lib import *

def times(n):
    st = os.stat(p(n), follow_symlinks=False)
    return st.st_atime_ns, st.st_mtime_ns, st.st_ctime_ns

def tick():
    time.sleep(0.02)    # the kernel's coarse clock moves on

put(p("f"), b"x")
G = 10 ** 9
utimensat(p("f"), (111, 222333444), (1 << 31, 999999999))
a, m, c = times("f")
eq((a, m), (111 * G + 222333444, (1 << 31) * G + 999999999),
   "nanoseconds, and seconds past 2038")
utimensat(p("f"), (-5, 7), (0, 0))
a, m, c = times("f")
eq((a, m), (-5 * G + 7, 0), "seconds before 1970")
utimensat(p("f"), UTIME_OMIT, (5, 6))
a, m, c = times("f")
eq((a, m), (-5 * G + 7, 5 * G + 6), "UTIME_OMIT keeps atime")
utimensat(p("f"), (7, 8), UTIME_OMIT)
eq(times("f")[:2], (7 * G + 8, 5 * G + 6), "UTIME_OMIT keeps mtime")
before = times("f")
tick()
utimensat(p("f"), UTIME_OMIT, UTIME_OMIT)
eq(times("f")[:2], before[:2], "both omitted change no time")
now = time.time_ns()
utimensat(p("f"), UTIME_NOW, UTIME_NOW)
a, m, c = times("f")
ok(abs(a - now) < 60 * G and abs(m - now) < 60 * G, "UTIME_NOW")
os.symlink("f", p("l"))
utimensat(p("l"), (1, 2), (3, 4), AT_SYMLINK_NOFOLLOW)
eq(times("l")[:2], (G + 2, 3 * G + 4), "times of a symlink itself")

os.chmod(p("f"), 0o666)
def u_now(): utimensat(p("f"), UTIME_NOW, UTIME_NOW)
def u_set(): utimensat(p("f"), (1, 1), (1, 1))
eq(as_user(1000, 1000, u_now), 0, "a writer may set the time to now")
eq(as_user(1000, 1000, u_set), errno.EPERM, "but to nothing else")

def changed(desc, which, n, fn):
    """fn must change exactly the times named in which, of n."""
    b = times(n)
    tick()
    fn()
    g = times(n)
    eq("".join(x for x, y, z in zip("amc", b, g) if y != z and x != "a"),
       which, desc)

os.mkdir(p("d"))
put(p("d", "x"), b"1")
def append():
    with open(p("d", "x"), "ab") as f:
        f.write(b"2")
        f.flush()
        os.fsync(f.fileno())
changed("write: mtime and ctime", "mc", "d/x", append)
changed("truncate: mtime and ctime", "mc", "d/x",
        lambda: os.truncate(p("d", "x"), 1))
changed("chmod: ctime", "c", "d/x", lambda: os.chmod(p("d", "x"), 0o600))
changed("chown: ctime", "c", "d/x", lambda: os.chown(p("d", "x"), 1, 1))
changed("setxattr: ctime", "c", "d/x",
        lambda: os.setxattr(p("d", "x"), "user.a", b"b"))
changed("removexattr: ctime", "c", "d/x",
        lambda: os.removexattr(p("d", "x"), "user.a"))
changed("link: ctime of the file", "c", "d/x",
        lambda: os.link(p("d", "x"), p("d", "y")))
changed("unlink: ctime of what stays", "c", "d/x",
        lambda: os.unlink(p("d", "y")))
changed("rename: ctime of the file", "c", "d/x",
        lambda: (os.rename(p("d", "x"), p("d", "z")),
                 os.rename(p("d", "z"), p("d", "x"))))
changed("create: the directory", "mc", "d", lambda: put(p("d", "n")))
changed("unlink: the directory", "mc", "d", lambda: os.unlink(p("d", "n")))
changed("mkdir: the directory", "mc", "d", lambda: os.mkdir(p("d", "n")))
changed("rmdir: the directory", "mc", "d", lambda: os.rmdir(p("d", "n")))
changed("rename: the directory", "mc", "d",
        lambda: os.rename(p("d", "x"), p("d", "w")))
changed("stat changes nothing", "", "d", lambda: os.stat(p("d")))

# relatime: the first read after a write moves atime.
put(p("r"), b"data")
utimensat(p("r"), (1000, 0), (2000, 0))
get(p("r"))
ok(times("r")[0] > 2000 * G, "relatime: a read after a write moves atime")

utimensat(p("f"), (12, 34), (56, 78))
utimensat(p("d"), (21, 43), (65, 87))
PY
remount
py <<'PY'
from lib import *
st = os.stat(p("f"))
eq((st.st_atime_ns, st.st_mtime_ns), (12 * 10**9 + 34, 56 * 10**9 + 78),
   "times of a file after a remount")
st = os.stat(p("d"))
eq((st.st_atime_ns, st.st_mtime_ns), (21 * 10**9 + 43, 65 * 10**9 + 87),
   "times of a directory after a remount")
PY
done_testing
