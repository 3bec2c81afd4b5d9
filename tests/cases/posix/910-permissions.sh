#!/bin/sh
# Who may: owners, groups, others, supplementary groups, search and sticky bits.
# Serves: R30
. "$(dirname "$0")/../../lib.sh"
require_fuse
require_root
new_store
bucket docs
start_mount docs -o allow_other,suid
chmod 755 "$M"

py <<'PY'
import itertools
import shutil
import subprocess
from lib import *

OWNER, GROUP, OTHER, SUPP = ((1001, 1, ()), (1002, 2000, ()), (1003, 1, ()),
                             (1004, 1, (1999, 2000)))
def ask(who, *calls):
    """The errno (0: none) of each call, made as who, in one child."""
    rd, wr = os.pipe()
    if os.fork() == 0:
        out = []
        try:
            os.setgroups(who[2])
            os.setresgid(*(who[1],) * 3)
            os.setresuid(*(who[0],) * 3)
            for fn, *a in calls:
                try:
                    r = fn(*a)
                    out.append(errno.EACCES if r is False else 0)
                except OSError as e:
                    out.append(e.errno)
            os.write(wr, repr(out).encode())
        finally:
            os._exit(0)
    os.close(wr)
    b = os.read(rd, 1 << 16)
    os.close(rd)
    os.wait()
    return eval(b)
def one(who, fn, *a):
    e = ask(who, (fn, *a))[0]
    return name(e) if e else "0"
def op(q, flags): os.close(os.open(q, flags))
os.umask(0)

# ---- Every mode of a file, four users: open, access and what they need.
N = list(range(0o1000))
os.mkdir(p("m"))
for m in N:
    put(p("m", str(m)), b"", 0)
    os.chown(p("m", str(m)), 1001, 2000)
    os.chmod(p("m", str(m)), m)
for who, sh, n in ((OWNER, 6, "owner"), (GROUP, 3, "group"),
                   (SUPP, 3, "supplementary group"), (OTHER, 0, "others")):
    calls, want = [], []
    for m in N:
        q, bits = p("m", str(m)), m >> sh & 7
        for flags, need in ((os.O_RDONLY, 4), (os.O_WRONLY, 2), (os.O_RDWR, 6),
                            (os.O_RDONLY | os.O_TRUNC, 6)):
            calls.append((op, q, flags))
            want.append(0 if bits & need == need else errno.EACCES)
        for need in (1, 4, 7):
            calls.append((os.access, q, need))
            want.append(0 if bits & need == need else errno.EACCES)
    eq(ask(who, *calls) == want, True, "all 512 modes of a file: %s" % n)
# Root needs an x somewhere to execute, and nothing else.
eq([os.access(p("m", str(m)), os.X_OK) for m in N],
   [m & 0o111 != 0 for m in N], "root executes with any x bit")
ok(all(os.access(p("m", str(m)), 6) for m in N), "and reads and writes all")

# ---- Every mode of a directory: list, search, change.
os.mkdir(p("d"))
calls, want = {}, {}
for b in range(8):
    for k in "ogx":
        d = p("d", "%s%d" % (k, b))
        os.mkdir(d)
        for n in ("f", "g", "h", "i"): put(d + "/" + n, b"", 0o666)
        os.mkdir(d + "/s")
        os.chown(d, 1001, 2000)
        os.chmod(d, b << {"o": 6, "g": 3, "x": 0}[k])
for who, k, n in ((OWNER, "o", "owner"), (GROUP, "g", "group"),
                  (SUPP, "g", "supplementary group"), (OTHER, "x", "others")):
    got, want = [], []
    for b in range(8):
        d = p("d", "%s%d" % (k, b))
        if who is SUPP:
            os.chmod(d, 0o777)      # as before GROUP came
            for x in ("f", "g", "h", "i"): put(d + "/" + x, b"", 0o666)
            for x in ("n", "m", "l", "h2", "o"):
                if os.path.lexists(d + "/" + x):
                    (os.rmdir if x == "m" else os.unlink)(d + "/" + x)
            if not os.path.exists(d + "/s"): os.mkdir(d + "/s")
            os.chmod(d, b << 3)
        rc = ask(who, (os.listdir, d), (os.stat, d + "/f"),
                 (op, d + "/f", os.O_RDWR), (os.stat, d + "/none"),
                 (op, d + "/n", os.O_CREAT | os.O_EXCL),
                 (os.mkdir, d + "/m"), (os.symlink, "x", d + "/l"),
                 (os.link, d + "/i", d + "/h2"), (os.unlink, d + "/g"),
                 (os.rename, d + "/h", d + "/o"), (os.rmdir, d + "/s"),
                 (os.chdir, d))
        A = errno.EACCES
        x, w = b & 1, b & 2
        change = 0 if x and w else A
        # protected_hardlinks: a file of another's may be linked when it can
        # be read and written.
        want.append([0 if b & 4 else A, 0 if x else A, 0 if x else A,
                     errno.ENOENT if x else A] + [change] * 7 +
                    [0 if x else A])
        got.append(rc)
    eq(got, want, "all 8 modes of a directory: %s" % n)

# ---- The owner's calls.
f = p("f")
put(f, b"data", 0o666)
os.chown(f, 1001, 2000)
for who, n, want in ((OWNER, "owner", "0"), (GROUP, "group", "EPERM"),
                     (OTHER, "others", "EPERM")):
    eq(one(who, os.chmod, f, 0o666), want, "chmod: %s" % n)
    eq(one(who, utimensat, f, (1, 1), (1, 1)), want, "utimensat: %s" % n)
    eq(one(who, utimensat, f, (1, 1), UTIME_OMIT), want,
       "utimensat of one time: %s" % n)
    eq(one(who, utimensat, f, UTIME_NOW, UTIME_OMIT), want,
       "utimensat of one time to now: %s" % n)
    eq(one(who, utimensat, f, UTIME_NOW, UTIME_NOW), "0",
       "utimensat of both to now, writable: %s" % n)
    eq(one(who, utimensat, f, UTIME_OMIT, UTIME_OMIT), "0",
       "utimensat of none: %s" % n)
os.chmod(f, 0o444)
eq(one(OWNER, utimensat, f, UTIME_NOW, UTIME_NOW), "0",
   "the owner may, not writable")
eq(one(OTHER, utimensat, f, UTIME_NOW, UTIME_NOW), "EACCES",
   "others may not, not writable")
IN = (1001, 1, (2001,))
# who, uid, gid: result
for who, u, g, want in (
        (OWNER, 1001, -1, "0"), (OWNER, 1002, -1, "EPERM"),
        (OWNER, -1, 2000, "0"), (OWNER, -1, 2001, "EPERM"),
        (OWNER, -1, 1, "0"), (IN, -1, 2001, "0"), (IN, 1001, 2001, "0"),
        (IN, 1002, 2001, "EPERM"), (GROUP, -1, 2000, "EPERM"),
        (OTHER, 1003, -1, "EPERM"), (OTHER, -1, 1, "EPERM"),
        (OTHER, 1001, 2000, "EPERM")):
    os.chown(f, 1001, 2000)
    before = os.stat(f)
    eq(one(who, os.chown, f, u, g), want, "chown to %d, %d by %d%r" % (
        u, g, who[0], who[2]))
    st = os.stat(f)
    b = (before.st_uid, before.st_gid)
    if want == "0": b = (b[0] if u < 0 else u, b[1] if g < 0 else g)
    eq((st.st_uid, st.st_gid), b, "... and the owners after it")
eq(one(OTHER, os.mknod, p("dev"), stat.S_IFCHR | 0o600, 1), "EACCES",
   "mknod in a directory of root's")
os.mkdir(p("pub"), 0o777)
os.chmod(p("pub"), 0o777)
eq(one(OTHER, os.mknod, p("pub", "c"), stat.S_IFCHR | 0o600, 1), "EPERM",
   "a device by a user")
eq(one(OTHER, os.mkfifo, p("pub", "p"), 0o600), "0", "a fifo by a user")
eq(one(OTHER, os.chroot, p("pub")), "EPERM", "chroot")
# New files belong to the effective ids.
st = os.stat(p("pub", "p"))
eq((st.st_uid, st.st_gid), (1003, 1), "a new file's owners")
for m in (0, 0o022, 0o077, 0o777, 0o027):
    os.umask(m)
    put(p("pub", "u"), b"", 0o666)
    os.mkdir(p("pub", "ud"), 0o777)
    os.mkfifo(p("pub", "up"), 0o766)
    fd = os.open(p("pub"), os.O_TMPFILE | os.O_RDWR, 0o666)
    eq([stat.S_IMODE(x) for x in (
        os.stat(p("pub", "u")).st_mode, os.stat(p("pub", "ud")).st_mode,
        os.stat(p("pub", "up")).st_mode, os.fstat(fd).st_mode)],
       [0o666 & ~m, 0o777 & ~m, 0o766 & ~m, 0o666 & ~m], "umask %03o" % m)
    os.close(fd)
    os.unlink(p("pub", "u"))
    os.rmdir(p("pub", "ud"))
    os.unlink(p("pub", "up"))
os.umask(0)

# ---- Sticky directories: who may remove and rename, on both sides.
# A directory of D's with a file of F's; the caller is C.
U = (1001, 1002, 1003)
bad = []
for sticky, D, F, C in itertools.product((0, 1), U, U, U):
    for kind in ("file", "dir"):
        for what in ("remove", "rename from", "rename over", "exchange"):
            s, o = p("s"), p("o")
            os.mkdir(s)
            os.mkdir(o)
            def make(q, who):
                if kind == "dir": os.mkdir(q, 0o755)
                else: put(q)
                os.chown(q, who, 1)
            make(s + "/x", F)
            make(o + "/y", C)
            os.chown(s, D, 1)
            os.chmod(s, 0o1777 if sticky else 0o777)
            os.chown(o, C, 1)
            fn = {"remove": (os.rmdir if kind == "dir" else os.unlink, s + "/x"),
                  "rename from": (os.rename, s + "/x", o + "/z"),
                  "rename over": (os.rename, o + "/y", s + "/x"),
                  "exchange": (renameat2, o + "/y", s + "/x", 2)}[what]
            free = not sticky or C in (D, F)
            # A directory that changes its parent must be writable: its ".."
            # changes.
            own = kind == "file" or C == F or what in ("remove", "rename over")
            want = "EPERM" if not free else "0" if own else "EACCES"
            got = one((C, 1, ()), *fn)
            if got != want: bad.append((sticky, D, F, C, kind, what, got, want))
            shutil.rmtree(s)
            shutil.rmtree(o)
eq(bad, [], "%d cases of removing and renaming, sticky or not" % (2 * 27 * 8))

# ---- Effective, real and other ids.
put(p("own"), b"", 0o600)
os.chown(p("own"), 1001, 1)
def real():
    os.setresuid(1003, 1001, 1001)
    os.close(os.open(p("own"), os.O_RDONLY))
    if os.access(p("own"), os.R_OK): raise OSError(errno.EINVAL, "")
    if not os.access(p("own"), os.R_OK, effective_ids=True):
        raise OSError(errno.EDOM, "")
pid = os.fork()
if pid == 0:
    try:
        real()
        os._exit(0)
    except OSError as e:
        os._exit(e.errno)
eq(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0,
   "open asks the effective id, access(2) the real one")
def dropped(keep):
    """As uid 0 without capabilities, or a user with CAP_DAC_OVERRIDE."""
    return subprocess.call(["setpriv", *keep, "cat", p("own")],
                           stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
eq(dropped(["--bounding-set", "-all", "--inh-caps", "-all"]) != 0, True,
   "root without capabilities is nobody special")
eq(dropped(["--reuid", "1003", "--clear-groups", "--inh-caps",
            "+dac_override", "--ambient-caps", "+dac_override"]), 0,
   "CAP_DAC_OVERRIDE is")
# Through a descriptor rights are those of the open.
fd = os.open(p("own"), os.O_RDWR)
os.fchmod(fd, 0)
os.write(fd, b"still")
eq(os.pread(fd, 9, 0), b"still", "an open descriptor outlives chmod 0")
os.close(fd)
# A set-user-id program runs as its owner.
shutil.copy("/usr/bin/id", p("id"))
os.chown(p("id"), 1001, 2000)
os.chmod(p("id"), 0o6755)
eq(subprocess.check_output(["setpriv", "--reuid", "1003", "--regid", "1",
                            "--clear-groups", p("id"), "-u"]), b"1001\n",
   "with -o suid a set-user-id program runs as its owner")
PY
stop_mount
start_mount docs -o allow_other
is "without it, as the caller" "$(setpriv --reuid 1003 --regid 1 --clear-groups \
    "$M/id" -u)" 1003
done_testing
