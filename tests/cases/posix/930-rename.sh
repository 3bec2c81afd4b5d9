#!/bin/sh
# rename: every kind over every kind, within and between directories, each flag.
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
import socket
from lib import *

os.chdir(M)
KINDS = ("none", "file", "linked", "empty", "full", "sub", "link", "dlink",
         "dang", "fifo", "sock", "dev")
DIRS = ("empty", "full", "sub")
def make(q, kind):
    if kind in ("file", "linked"): put(q, kind.encode())
    if kind == "linked": os.link(q, "other")
    if kind in DIRS: os.mkdir(q)
    if kind == "full": put(q + "/inside", b"inside")
    if kind == "sub": os.mkdir(q + "/inside")
    if kind == "link": os.symlink("../keep/f", q)
    if kind == "dlink": os.symlink("../keep", q)
    if kind == "dang": os.symlink("nowhere", q)
    if kind == "fifo": os.mkfifo(q)
    if kind == "dev": os.mknod(q, stat.S_IFCHR | 0o600, os.makedev(9, 9))
    if kind == "sock":
        s = socket.socket(socket.AF_UNIX)
        s.bind(q)
        s.close()
def seen(q):
    """What a name is now; inode and, of a directory, what .. is."""
    if not os.path.lexists(q): return None
    st = os.lstat(q)
    up = os.stat(q + "/..").st_ino if stat.S_ISDIR(st.st_mode) else 0
    return (st.st_ino, stat.S_IFMT(st.st_mode), st.st_size, st.st_nlink, up)
def wanted(a, b, flags):
    if a == "none": return errno.ENOENT
    if flags == RENAME_NOREPLACE: return 0 if b == "none" else errno.EEXIST
    if flags == RENAME_EXCHANGE: return errno.ENOENT if b == "none" else 0
    if b == "none": return 0
    if a in DIRS and b not in DIRS: return errno.ENOTDIR
    if a not in DIRS and b in DIRS: return errno.EISDIR
    return errno.ENOTEMPTY if b in ("full", "sub") else 0
os.mkdir("keep")
put("keep/f", b"keep")
bad = []
n = 0
for flags in (0, RENAME_NOREPLACE, RENAME_EXCHANGE):
    for a in KINDS:
        for b in KINDS:
            for to in ("p", "q"):
                os.mkdir("p")
                os.mkdir("q")
                make("p/a", a)
                if a == b == "linked": os.unlink("other")
                make(to + "/b", b)
                x, y = seen("p/a"), seen(to + "/b")
                np, nt = os.stat("p").st_nlink, os.stat(to).st_nlink
                try:
                    renameat2("p/a", to + "/b", flags)
                    got = 0
                except OSError as e: got = e.errno
                want = wanted(a, b, flags)
                what = (flags, a, b, to, name(got))
                if got != want: bad.append(what + ("want", name(want)))
                pi, ti = os.stat("p").st_ino, os.stat(to).st_ino
                def moved(v, up): return v and v[:4] + (up if v[4] else 0,)
                if want: after = (x, y)
                elif flags == RENAME_EXCHANGE: after = (moved(y, pi),
                                                        moved(x, ti))
                else: after = (None, moved(x, ti))
                now = (seen("p/a"), seen(to + "/b"))
                if now != after: bad.append(what + (now, after))
                # A directory counts those in it.
                for d in ("p", "q"):
                    subs = sum(e.is_dir(follow_symlinks=False)
                               for e in os.scandir(d))
                    if os.stat(d).st_nlink != 2 + subs:
                        bad.append(what + (d, os.stat(d).st_nlink, subs))
                # What was replaced has one name less.
                if os.path.lexists("other"):
                    left = sum(os.path.lexists(z) and os.lstat(z).st_ino ==
                               os.lstat("other").st_ino
                               for z in ("other", "p/a", to + "/b"))
                    if os.stat("other").st_nlink != left:
                        bad.append(what + ("links of other", left))
                    os.unlink("other")
                for d in ("p", "q"): shutil.rmtree(d)
                n += 1
eq(bad, [], "%d renames: result, names, link counts, .." % n)
eq(get("keep/f"), b"keep", "what symlinks point to stays")

# ---- Two names of one inode: nothing happens, with or without flags.
put("a", b"a")
os.mkdir("d")
os.link("a", "b")
os.link("a", "d/c")
for x, y in (("a", "b"), ("a", "d/c"), ("a", "a"), ("d/c", "d/c")):
    os.rename(x, y)
    renameat2(x, y, RENAME_EXCHANGE)
    err(errno.EEXIST, "NOREPLACE between two names of a file", renameat2, x, y,
        RENAME_NOREPLACE)
eq((os.stat("a").st_nlink, sorted(os.listdir("."))), (3, ["a", "b", "d",
                                                         "keep"]),
   "three names before and after")
# ---- Into itself and above itself.
os.makedirs("t/u/v/w")
for flags in (0, RENAME_NOREPLACE):
    for to in ("t/x", "t/u/x", "t/u/v/w/x"):
        err(errno.EINVAL, "%d: t to %s" % (flags, to), renameat2, "t", to,
            flags)
    err(errno.EINVAL if not flags else errno.EEXIST,
        "%d: t to t/u/v" % flags, renameat2, "t", "t/u/v", flags)
    err(errno.ENOTEMPTY if not flags else errno.EEXIST,
        "%d: t/u/v to t" % flags, renameat2, "t/u/v", "t", flags)
for x, y in (("t", "t/u"), ("t/u", "t"), ("t", "t/u/v/w"), ("t/u/v/w", "t")):
    err(errno.EINVAL, "exchange %s, %s" % (x, y), renameat2, x, y,
        RENAME_EXCHANGE)
err(errno.ENOENT, "exchange with what is not", renameat2, "t", "t/x",
    RENAME_EXCHANGE)
# ---- Exchanged trees: the way up is right at every depth.
os.makedirs("l/m/n")
put("l/m/n/deep", b"l")
put("t/u/v/w/deep", b"t")
renameat2("l/m", "t/u/v", RENAME_EXCHANGE)
eq((get("l/m/w/deep"), get("t/u/v/n/deep")), (b"t", b"l"), "exchanged trees")
for d, dirs, files in os.walk("."):
    for x in dirs:
        q = os.path.join(d, x)
        if os.stat(q + "/..").st_ino != os.stat(d).st_ino:
            ok(False, ".. of %s" % q)
ok(True, "every .. is the directory above")
os.rename("l/m/w", "w")
err(errno.EINVAL, "a tree that was exchanged still is a tree", os.rename, "l",
    "l/m/l")
works("and what it left may take it", os.rename, "l", "w/l")
# ---- Open files, working directories.
put("o1", b"one")
put("o2", b"two")
fd1, fd2 = os.open("o1", os.O_RDWR), os.open("o2", os.O_RDWR)
renameat2("o1", "o2", RENAME_EXCHANGE)
os.pwrite(fd1, b"ONE", 0)
eq((get("o2"), get("o1"), os.pread(fd2, 9, 0)), (b"ONE", b"two", b"two"),
   "open files follow an exchange")
os.rename("o1", "o2")
eq((os.fstat(fd1).st_nlink, os.pread(fd1, 9, 0), os.stat("o2").st_ino ==
    os.fstat(fd2).st_ino), (0, b"ONE", True), "the replaced one lives on")
os.close(fd1)
os.close(fd2)
os.makedirs("cwd/x")
os.chdir("cwd/x")
os.rename(p("cwd"), p("moved"))
put("here", b"h")
eq((get(p("moved", "x", "here")), os.getcwd()), (b"h", p("moved", "x")),
   "a working directory that moved")
os.chdir(M)
os.mkdir("v1")
os.mkdir("v2")
fd = os.open("v2", os.O_RDONLY)
os.rename("v1", "v2")
err(errno.ENOENT, "nothing is made in a directory that was replaced", os.mkdir,
    "x", dir_fd=fd)
eq((os.listdir(fd), os.fstat(fd).st_nlink), ([], 0), "which is empty, unlinked")
os.close(fd)

# ---- Many at once, in both directions: no name lost, no circle, no deadlock.
os.makedirs("r/a/b/c")
os.makedirs("r/x/y/z")
pids = []
for k in range(4):
    pid = os.fork()
    if pid == 0:
        rnd = random.Random(k)
        PLACES = ("r/a", "r/a/b", "r/a/b/c", "r/x", "r/x/y", "r/x/y/z", "r",
                  "r/a/y", "r/x/b")
        for i in range(1500):
            u, v = rnd.sample(PLACES, 2)
            try: renameat2(u, v + "/" + rnd.choice("abcxyz"),
                           rnd.choice((0, 0, 1, 2)))
            except OSError as e:
                if e.errno not in (errno.ENOENT, errno.EINVAL, errno.ENOTEMPTY,
                                   errno.EEXIST, errno.EBUSY):
                    os._exit(e.errno)
        os._exit(0)
    pids.append(pid)
eq([os.waitstatus_to_exitcode(os.waitpid(x, 0)[1]) for x in pids], [0] * 4,
   "four processes rename directories into each other")
left = [d for d, x, y in os.walk("r")]
ok(1 <= len(left) <= 7, "a tree is left (%d directories)" % len(left))
bad = [d for d, dirs, y in os.walk("r")
       if os.stat(d).st_nlink != 2 + len(dirs) or
       any(os.stat(os.path.join(d, x, "..")).st_ino != os.stat(d).st_ino
           for x in dirs)]
eq(bad, [], "with right link counts and ..")
PY
remount
py <<'PY'
from lib import *
bad = [d for d, dirs, y in os.walk(M)
       if os.stat(d).st_nlink != 2 + sum(not os.path.islink(os.path.join(d, x))
                                         for x in dirs) or
       any(os.stat(os.path.join(d, x, "..")).st_ino != os.stat(d).st_ino
           for x in dirs if not os.path.islink(os.path.join(d, x)))]
eq(bad, [], "after a remount too")
PY
done_testing
