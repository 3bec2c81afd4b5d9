"""What the Python parts of shell cases stand on (see "py" in lib.sh).

Reporting: each call prints one TAP line.
    ok(cond, desc)                cond is true
    eq(got, want, desc)           equal
    err(errno.X, desc, fn, *a)    fn(*a) raises OSError with that errno
    works(desc, fn, *a)           fn(*a) raises nothing; its result is returned
System calls Python lacks: renameat2, fallocate, utimensat, linkat_tmp.
acl(...) makes the value of an ACL's attribute.
until(fn) waits until fn() is true, trying again and again (60 s at least, on a
machine that does not stand still); returns what it was at last.
as_user(uid, gid, fn, *a) runs fn in a child with that identity and returns 0
or the errno it failed with.
M, S, T, SSEFS as in lib.sh; p(name) is a path below M.
"""
import ctypes
import errno
import os
import stat
import struct
import subprocess
import sys
import time

M = os.environ["M"]
S = os.environ["S"]
T = os.environ["T"]
SSEFS = os.environ["SSEFS"]
libc = ctypes.CDLL(None, use_errno=True)

AT_FDCWD = -100
AT_SYMLINK_FOLLOW = 0x400
AT_SYMLINK_NOFOLLOW = 0x100
RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2
RENAME_WHITEOUT = 4
KEEP_SIZE = 1
PUNCH_HOLE = 2
COLLAPSE_RANGE = 8
ZERO_RANGE = 16
UTIME_NOW = (1 << 30) - 1
UTIME_OMIT = (1 << 30) - 2


def ok(cond, desc):
    print("%s - %s" % ("ok" if cond else "not ok", desc), flush=True)
    return bool(cond)


def eq(got, want, desc):
    if not ok(got == want, desc):
        print("#   got:  %.300r\n#   want: %.300r" % (got, want), flush=True)
    return got == want


def err(want, desc, fn, *a, **k):
    try:
        fn(*a, **k)
    except OSError as e:
        if not ok(e.errno == want, desc):
            print("#   got %s, want %s" % (name(e.errno), name(want)))
        return
    ok(False, desc)
    print("#   succeeded, want %s" % name(want))


def works(desc, fn, *a, **k):
    try:
        r = fn(*a, **k)
    except OSError as e:
        ok(False, desc)
        print("#   %s" % e)
        return None
    ok(True, desc)
    return r


def name(e):
    return errno.errorcode.get(e, str(e))


def p(*parts):
    return os.path.join(M, *parts)


def _check(r, what):
    if r < 0:
        e = ctypes.get_errno()
        raise OSError(e, os.strerror(e), what)
    return r


def _b(path):
    return os.fsencode(path)


def renameat2(a, b, flags):
    _check(libc.renameat2(AT_FDCWD, _b(a), AT_FDCWD, _b(b), flags), a)


def fallocate(fd, mode, off, length):
    _check(libc.fallocate(fd, mode, ctypes.c_int64(off),
                          ctypes.c_int64(length)), "fallocate")


class timespec(ctypes.Structure):
    _fields_ = [("sec", ctypes.c_long), ("nsec", ctypes.c_long)]


def utimensat(path, atime, mtime, flags=0):
    """Times are (seconds, nanoseconds), UTIME_NOW or UTIME_OMIT."""
    ts = (timespec * 2)()
    for i, t in enumerate((atime, mtime)):
        ts[i] = timespec(*(t if isinstance(t, tuple) else (0, t)))
    _check(libc.utimensat(AT_FDCWD, _b(path), ts, flags), path)


def linkat_tmp(fd, path):
    """Give a name to a file opened with O_TMPFILE."""
    _check(libc.linkat(AT_FDCWD, _b("/proc/self/fd/%d" % fd), AT_FDCWD,
                       _b(path), AT_SYMLINK_FOLLOW), path)


def acl(*entries):
    """The value of system.posix_acl_*: ("u", perms), ("u", uid, perms), the
    same with "g", ("m", perms), ("o", perms), in this order."""
    out = struct.pack("<I", 2)
    for e in entries:
        named = len(e) == 3
        tag = {"u": 2 if named else 1, "g": 8 if named else 4, "m": 16,
               "o": 32}[e[0]]
        out += struct.pack("<HHI", tag, e[-1], e[1] if named else 0xffffffff)
    return out


def until(fn):
    for _ in range(600):
        r = fn()
        if r:
            break
        time.sleep(0.1)
    return r


def as_user(uid, gid, fn, *a, groups=()):
    pid = os.fork()
    if pid == 0:
        code = 255
        try:
            os.setgroups(groups)
            os.setgid(gid)
            os.setuid(uid)
            fn(*a)
            code = 0
        except OSError as e:
            code = e.errno
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def put(path, data=b"", mode=0o644):
    fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, mode)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view):]
    finally:
        os.close(fd)


def get(path):
    with open(path, "rb", buffering=0) as f:
        out = []
        while True:
            b = f.read(1 << 20)
            if not b:
                return b"".join(out)
            out.append(b)


def run(*argv, **k):
    return subprocess.run(argv, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, **k)


def ssefs(*argv):
    return run(SSEFS, *argv)


def pattern(n, seed=1):
    """n deterministic bytes without a short period."""
    import random
    return random.Random(seed).randbytes(n)
