"""posixdiff: system calls on every kind of path, told as lines of text.

    posixdiff.py DIR [EVERY [PART...]]

Does the same to DIR on any filesystem (as root): each line names a call, its
result or error, and what it changed: kinds, modes, owners, links, sizes, bytes,
and which times.  Two filesystems are compared by comparing the lines.  Only
every EVERYth call is made; a PART is opens, names, ...
"""
import ctypes
import errno
import fcntl
import mmap
import os
import resource
import signal
import socket
import stat
import struct
import sys
import zlib

D = sys.argv[1]
EVERY = int(sys.argv[2]) if len(sys.argv) > 2 else 1
libc = ctypes.CDLL(None, use_errno=True)
OLD = 1000000000 * 10**9
A, B, C = 65533, 65534, 65532   # users; groups have the same numbers


def call(r):
    if r < 0:
        e = ctypes.get_errno()
        raise OSError(e, os.strerror(e))
    return r


def b(path):
    return os.fsencode(path)


def as_user(uid, gid, groups, fn):
    """The result of fn() with these effective ids: a value or an error's name."""
    os.setgroups(groups)
    os.setegid(gid)
    os.seteuid(uid)
    try:
        r = fn()
        return "ok" if r is None else "ok %s" % (r,)
    except OSError as e:
        return errno.errorcode.get(e.errno, str(e.errno))
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups([])


# ---- What stands there --------------------------------------------------------

KIND = {stat.S_IFREG: "f", stat.S_IFDIR: "d", stat.S_IFLNK: "l",
        stat.S_IFIFO: "p", stat.S_IFSOCK: "s", stat.S_IFCHR: "c",
        stat.S_IFBLK: "b"}


def state(root):
    """{path: facts} of everything below root, and root itself."""
    out = {}
    todo = [""]
    while todo:
        rel = todo.pop()
        path = os.path.join(root, rel) if rel else root
        st = os.lstat(path)
        kind = KIND[stat.S_IFMT(st.st_mode)]
        f = {"kind": kind, "mode": "%o" % stat.S_IMODE(st.st_mode),
             "own": "%d:%d" % (st.st_uid, st.st_gid), "nlink": st.st_nlink,
             "mtime": st.st_mtime_ns, "ctime": st.st_ctime_ns,
             "ino": st.st_ino}
        if kind == "f":
            f["size"] = st.st_size
            if st.st_size < 100000:
                with open(path, "rb") as h:
                    f["sum"] = zlib.crc32(h.read())
        if kind == "l":
            f["to"] = os.readlink(path)
        if kind in "cb":
            f["dev"] = "%d:%d" % (os.major(st.st_rdev), os.minor(st.st_rdev))
        out[rel or "."] = f
        if kind == "d":
            todo += sorted((os.path.join(rel, n) if rel else n)
                           for n in os.listdir(path))
    return out


def short(name):
    return name if len(name) < 40 else "%s(%d)" % (name[:3], len(name))


def changes(old, new):
    inos = {f["ino"]: n for n, f in old.items()}
    text = []
    for n in sorted(set(old) | set(new)):
        if n not in new:
            text.append("-" + short(n))
            continue
        f = new[n]
        was = old.get(n)
        if was is None or was["ino"] != f["ino"]:
            src = inos.get(f["ino"])
            text.append("+%s=%s" % (short(n), short(src) if src else "new"))
            was = old.get(src)
            if was is None:
                text.append("{%s}" % ",".join(
                    str(f[k]) for k in ("kind", "mode", "own", "nlink", "size",
                                        "to", "dev") if k in f))
                continue
        diff = ["%s:%s>%s" % (k, was.get(k), f.get(k))
                for k in ("kind", "mode", "own", "nlink", "size", "to", "dev")
                if was.get(k) != f.get(k)]
        if was.get("sum") != f.get("sum") and was.get("size") == f.get("size"):
            diff.append("bytes")
        diff += [k for k in ("mtime", "ctime") if was[k] != f[k]]
        if diff:
            text.append("%s{%s}" % (short(n), ",".join(diff)))
    return " ".join(text)


serial = 0
turn = 0


def skipped():
    """Is the next call one of those that are left out?"""
    global turn
    turn += 1
    return turn % EVERY != 0


def fresh(mode=0o777, uid=0):
    global serial
    serial += 1
    d = os.path.join(D, "w%d" % serial)
    os.mkdir(d)
    os.chmod(d, mode)
    os.chown(d, uid, uid)
    return d


def settle(root):
    """All times long ago, so that each change is one."""
    for base, dirs, files in os.walk(root, topdown=False):
        for n in files + dirs:
            os.utime(os.path.join(base, n), ns=(OLD, OLD),
                     follow_symlinks=False)
        os.utime(base, ns=(OLD, OLD))


def probe(title, root, fn, uid=0, gid=None, groups=()):
    settle(root)
    before = state(root)
    cwd = os.open(".", os.O_RDONLY)
    os.chdir(root)
    r = as_user(uid, uid if gid is None else gid, list(groups), fn)
    os.fchdir(cwd)
    os.close(cwd)
    # A ctime is never what it was before the settling: compare with that.
    print("%s: %s | %s" % (title, r, changes(before, state(root))))


def wipe(root):
    """Remove what a probe left."""
    for base, dirs, files in os.walk(root, topdown=False):
        os.chmod(base, 0o777)
        for n in files:
            os.unlink(os.path.join(base, n))
        for n in dirs:
            q = os.path.join(base, n)
            (os.unlink if os.path.islink(q) else os.rmdir)(q)
    os.rmdir(root)


# ---- Kinds of paths ------------------------------------------------------------

N255 = "n" * 255
N256 = "n" * 256
LONG = "./" * 2047 + "x"          # 4095 bytes: one too many with its NUL


def make_kinds(root, owner=0):
    """One of each kind below root; returns their names."""
    os.chdir(root)
    with open("file", "wb") as f:
        f.write(b"0123456789")
    os.mkdir("dir")
    os.mkdir("full")
    with open("full/x", "wb") as f:
        f.write(b"x")
    os.symlink("file", "tofile")
    os.symlink("dir", "todir")
    os.symlink("nowhere", "dangling")
    os.symlink("loop", "loop")
    os.mkfifo("fifo")
    s = socket.socket(socket.AF_UNIX)
    s.bind("sock")
    s.close()
    os.mknod("chr", stat.S_IFCHR | 0o644, os.makedev(1, 3))
    os.mkdir("shut")
    with open("shut/in", "wb") as f:
        f.write(b"in")
    for n in ("file", "dir", "full", "full/x", "fifo", "sock", "chr", "shut"):
        os.chown(n, owner, owner)
        os.chmod(n, 0o755 if n in ("dir", "full", "shut") else 0o644)
    os.chmod("shut", 0)
    os.chdir("/")


PATHS = ["file", "file/", "dir", "dir/", "full", "tofile", "tofile/", "todir",
         "todir/", "dangling", "dangling/", "loop", "loop/x", "fifo", "sock",
         "chr", "none", "none/", "none/x", "file/x", "shut/in", "shut/none",
         "", ".", "..", "dir/.", "dir/..", "full/..", "full/x/..", N255, N256,
         "dir/" + N255, "dir/" + N256, LONG]


def each(title, fn, paths=PATHS, users=(0, B), owner=0):
    for uid in users:
        for q in paths:
            if skipped():
                continue
            root = fresh()
            make_kinds(root, owner)
            probe("%s(%s) %d" % (title, short(q), uid), root,
                  lambda: fn(q), uid)
            wipe(root)


# ---- The calls -----------------------------------------------------------------

def opening(flags, mode=0o640):
    def fn(q):
        fd = os.open(q, flags | os.O_NONBLOCK, mode)
        t = stat.S_IFMT(os.fstat(fd).st_mode)
        os.close(fd)
        return KIND[t]
    return fn


def opens():
    base = {"R": os.O_RDONLY, "W": os.O_WRONLY, "RW": os.O_RDWR}
    more = {"": 0, "C": os.O_CREAT, "CX": os.O_CREAT | os.O_EXCL,
            "T": os.O_TRUNC, "CT": os.O_CREAT | os.O_TRUNC,
            "D": os.O_DIRECTORY, "NF": os.O_NOFOLLOW,
            "DNF": os.O_DIRECTORY | os.O_NOFOLLOW,
            "CNF": os.O_CREAT | os.O_NOFOLLOW, "A": os.O_APPEND,
            "P": os.O_PATH, "PNF": os.O_PATH | os.O_NOFOLLOW,
            "NA": os.O_NOATIME, "TMP": os.O_TMPFILE}
    for bn, bf in base.items():
        for mn, mf in more.items():
            each("open %s %s" % (bn, mn), opening(bf | mf))


def names():
    each("mkdir", lambda q: os.mkdir(q, 0o7777))
    each("rmdir", os.rmdir)
    each("unlink", os.unlink)
    each("mkfifo", lambda q: os.mkfifo(q, 0o666))
    for k in (stat.S_IFREG, stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK, 0,
              stat.S_IFDIR, stat.S_IFLNK):
        each("mknod %o" % k, lambda q: os.mknod(q, k | 0o666, os.makedev(5, 7)))
    each("symlink to", lambda q: os.symlink("anything", q))
    each("symlink from", lambda q: os.symlink(q, "made"))
    each("link to", lambda q: os.link("file", q))
    each("link from", lambda q: os.link(q, "made", follow_symlinks=False))
    each("link from followed", lambda q: call(libc.linkat(
        -100, b(q), -100, b"made", 0x400)))
    each("rename to", lambda q: os.rename("file", q))
    each("rename dir to", lambda q: os.rename("full", q))
    each("rename link to", lambda q: os.rename("dangling", q))
    each("rename from", lambda q: os.rename(q, "made"))
    each("rename from onto file", lambda q: os.rename(q, "chr"))
    each("rename from onto dir", lambda q: os.rename(q, "dir"))
    each("rename from onto full", lambda q: os.rename(q, "full"))
    each("rename into itself", lambda q: os.rename("full", "full/" + q))
    for f in (1, 2, 3, 6, 8):
        each("renameat2 %d to" % f, lambda q: call(libc.renameat2(
            -100, b"file", -100, b(q), f)))
        each("renameat2 %d dir to" % f, lambda q: call(libc.renameat2(
            -100, b"full", -100, b(q), f)))
    each("readlink", os.readlink)
    each("chdir", os.chdir)
    each("listdir", lambda q: sorted(short(n) for n in os.listdir(q))
         if q not in ("..", ) else None)


def attributes():
    for owner in (0, B):
        for m in (0o600, 0o4755, 0o2755, 0o6777, 0o1777):
            each("chmod %o of %d" % (m, owner), lambda q: os.chmod(q, m),
                 owner=owner, paths=PATHS[:22])
        for o in ((-1, -1), (B, -1), (-1, B), (A, A), (0, 0), (-1, C)):
            each("chown %d:%d of %d" % (o + (owner,)),
                 lambda q: os.chown(q, *o), owner=owner, paths=PATHS[:22])
            each("lchown %d:%d of %d" % (o + (owner,)),
                 lambda q: os.lchown(q, *o), owner=owner, paths=PATHS[:22])
        each("truncate 3 of %d" % owner, lambda q: os.truncate(q, 3),
             owner=owner)
        each("truncate 20 of %d" % owner, lambda q: os.truncate(q, 20),
             owner=owner)
        each("utime now of %d" % owner, lambda q: os.utime(q), owner=owner)
        each("utime set of %d" % owner, lambda q: os.utime(q, (5, 6)),
             owner=owner)
    each("truncate -1", lambda q: call(libc.truncate(b(q), ctypes.c_long(-1))))
    each("truncate huge", lambda q: call(libc.truncate(
        b(q), ctypes.c_long((1 << 63) - 1))))
    for m in (os.F_OK, os.R_OK, os.W_OK, os.X_OK):
        each("access %d" % m, lambda q: os.access(q, m, effective_ids=True))
    each("stat", lambda q: KIND[stat.S_IFMT(os.stat(q).st_mode)])
    each("lstat", lambda q: KIND[stat.S_IFMT(os.lstat(q).st_mode)])
    each("statvfs", lambda q: os.statvfs(q).f_namemax)
    for n in ("user.a", "trusted.a", "security.a", "system.a", "other.a",
              "user.", "user"):
        each("setxattr " + n, lambda q: os.setxattr(q, n, b"v"),
             paths=PATHS[:18])
        each("getxattr " + n, lambda q: os.getxattr(q, n), paths=PATHS[:18])
        each("lsetxattr " + n, lambda q: os.setxattr(
            q, n, b"v", follow_symlinks=False), paths=PATHS[:18])
        each("removexattr " + n, lambda q: os.removexattr(q, n),
             paths=PATHS[:18])


def setids():
    """Which set-id bits a write, a chown and a truncate take, by whom."""
    def write(q):
        fd = os.open(q, os.O_WRONLY)
        os.write(fd, b"w")
        os.close(fd)

    def falloc(q):
        fd = os.open(q, os.O_WRONLY)
        call(libc.fallocate(fd, 0, ctypes.c_long(0), ctypes.c_long(100)))
        os.close(fd)

    def empty(q):
        os.close(os.open(q, os.O_WRONLY | os.O_TRUNC))

    def ftrunc(q):
        fd = os.open(q, os.O_WRONLY)
        os.ftruncate(fd, 10)
        os.close(fd)

    does = {"write": write, "fallocate": falloc, "O_TRUNC": empty,
            "ftruncate": ftrunc, "truncate": lambda q: os.truncate(q, 4),
            "chown same": lambda q: os.chown(q, B, B),
            "chgrp": lambda q: os.chown(q, -1, C),
            "chmod +g": lambda q: os.chmod(q, 0o6775)}
    for what, fn in does.items():
        for mode in (0o6777, 0o2767, 0o4767, 0o6767, 0o2666):
            for grp in (B, A):
                for uid, groups in ((0, []), (B, []), (B, [C]), (A, [])):
                    if skipped():
                        continue
                    root = fresh()
                    q = os.path.join(root, "f")
                    with open(q, "wb") as f:
                        f.write(b"0123456789")
                    os.chown(q, B, grp)
                    os.chmod(q, mode)
                    probe("%s %o :%d by %d %s" % (what, mode, grp, uid, groups),
                          root, lambda: fn("f"), uid, groups=groups)
                    wipe(root)
    for mode in (0o2777, 0o777, 0o3777):
        for uid, groups in ((0, []), (A, []), (A, [C])):
            for what, fn in (("mkdir", lambda: os.mkdir("n", 0o2755)),
                             ("creat", lambda: os.close(os.open(
                                 "n", os.O_CREAT | os.O_WRONLY, 0o2755))),
                             ("creat x", lambda: os.close(os.open(
                                 "n", os.O_CREAT | os.O_WRONLY, 0o2745))),
                             ("mknod", lambda: os.mknod(
                                 "n", stat.S_IFIFO | 0o6755))):
                root = fresh()
                os.chown(root, B, C)
                os.chmod(root, mode)
                probe("%s in %o by %d %s" % (what, mode, uid, groups), root,
                      fn, uid, groups=groups)
                wipe(root)


def sticky():
    """Whose names in whose sticky directory may who remove or replace."""
    for downer in (0, A, B):
        for fowner in (0, A, B):
            for kind in ("f", "d"):
                for uid in (0, A, B, C):
                    for what in ("remove", "rename", "over", "link",
                                 "exchange"):
                        if skipped():
                            continue
                        root = fresh(0o777)
                        d = os.path.join(root, "s")
                        os.mkdir(d)
                        os.mkdir(os.path.join(root, "o"))
                        os.chmod(os.path.join(root, "o"), 0o777)
                        q = os.path.join(d, "n")
                        mk = (lambda x: os.close(os.open(x, os.O_CREAT))) \
                            if kind == "f" else os.mkdir
                        mk(q)
                        mk(os.path.join(root, "o", "mine"))
                        os.chown(os.path.join(root, "o", "mine"), uid, uid)
                        os.chown(q, fowner, fowner)
                        os.chown(d, downer, downer)
                        os.chmod(d, 0o1777)
                        fn = {"remove": lambda: (os.rmdir if kind == "d" else
                                                 os.unlink)("s/n"),
                              "rename": lambda: os.rename("s/n", "o/n"),
                              "over": lambda: os.rename("o/mine", "s/n"),
                              "link": lambda: os.link("s/n", "o/n"),
                              "exchange": lambda: call(libc.renameat2(
                                  -100, b"o/mine", -100, b"s/n", 2))}[what]
                        probe("sticky of %d, %s of %d, %s by %d" % (
                            downer, kind, fowner, what, uid), root, fn, uid)
                        wipe(root)


def permissions():
    """Modes by class, of a file and of its directory."""
    for uid, gid, groups in ((A, A, []), (B, C, []), (C, B, []), (C, A, [B]),
                             (C, C, [])):
        for mode in range(0, 0o1000, 0o111 // 3):
            if skipped():
                continue
            root = fresh(0o755)
            q = os.path.join(root, "f")
            with open(q, "wb") as f:
                f.write(b"abc")
            os.chown(q, A, B)
            os.chmod(q, mode)
            d = os.path.join(root, "d")
            os.mkdir(d)
            with open(os.path.join(d, "f"), "wb") as f:
                f.write(b"abc")
            os.chmod(os.path.join(d, "f"), 0o666)
            os.chown(d, A, B)
            os.chmod(d, mode)
            who = "%d:%d%s %o" % (uid, gid, groups, mode)
            for what, fn in (
                    ("read", lambda: os.close(os.open("f", os.O_RDONLY))),
                    ("write", lambda: os.close(os.open("f", os.O_WRONLY))),
                    ("list", lambda: len(os.listdir("d"))),
                    ("look", lambda: os.stat("d/f").st_size),
                    ("make", lambda: os.mkdir("d/n")),
                    ("utime", lambda: os.utime("f")),
                    ("truncate", lambda: os.truncate("f", 1)),
                    ("getx", lambda: [x for x in os.listxattr("f")
                                      if not x.startswith("user.sse.")]),
                    ("remove", lambda: os.unlink("d/f"))):
                probe("%s %s" % (who, what), root, fn, uid, gid, groups)
            wipe(root)


# ---- On descriptors -------------------------------------------------------------

FALLOC = {0: "", 1: "keep", 2: "punch alone", 3: "punch", 16: "zero",
          17: "zero keep", 128: "?"}


def descriptors():
    def setup(q="file"):
        root = fresh()
        make_kinds(root)
        return root

    def on(title, flags, fn, path="file"):
        if skipped():
            return
        root = setup()

        def go():
            fd = os.open(path, flags)
            try:
                return fn(fd)
            finally:
                os.close(fd)
        probe(title, root, go)
        wipe(root)

    R, W, RW = os.O_RDONLY, os.O_WRONLY, os.O_RDWR
    L = ctypes.c_long
    modes = {"R": R, "W": W, "RW": RW, "P": os.O_PATH, "A": W | os.O_APPEND}
    for n, f in modes.items():
        on("read " + n, f, lambda fd: os.read(fd, 4))
        on("pread past " + n, f, lambda fd: os.pread(fd, 4, 100))
        on("pread -1 " + n, f, lambda fd: call(libc.pread(
            fd, ctypes.create_string_buffer(4), 4, L(-1))))
        on("write " + n, f, lambda fd: os.write(fd, b"w"))
        on("write none " + n, f, lambda fd: os.write(fd, b""))
        on("pwrite " + n, f, lambda fd: os.pwrite(fd, b"w", 2))
        on("pwrite past " + n, f, lambda fd: os.pwrite(fd, b"w", 50))
        on("ftruncate " + n, f, lambda fd: os.ftruncate(fd, 3))
        on("ftruncate same " + n, f, lambda fd: os.ftruncate(fd, 10))
        on("ftruncate -1 " + n, f,
           lambda fd: call(libc.ftruncate(fd, L(-1))))
        on("fsync " + n, f, os.fsync)
        on("fchmod " + n, f, lambda fd: os.fchmod(fd, 0o600))
        on("fchown " + n, f, lambda fd: os.fchown(fd, 1, 1))
        on("futimens " + n, f, lambda fd: os.utime(fd, (1, 2)))
        on("flock " + n, f, lambda fd: fcntl.flock(fd, fcntl.LOCK_EX))
        on("fsetxattr " + n, f, lambda fd: os.setxattr(fd, "user.x", b"y"))
        for m, t in FALLOC.items():
            on("fallocate %s %s" % (t, n), f, lambda fd: call(libc.fallocate(
                fd, m, L(0), L(4096))))
        for a, z in ((0, 0), (-1, 5), (5, -1), (0, 1 << 62),
                     ((1 << 63) - 1, 5)):
            on("fallocate %d %d %s" % (a, z, n), f, lambda fd: call(
                libc.fallocate(fd, 0, L(a), L(z))))
        for w in (os.SEEK_SET, os.SEEK_CUR, os.SEEK_END, os.SEEK_DATA,
                  os.SEEK_HOLE, 9):
            for o in (-1, 0, 4, 10, 11):
                on("lseek %d %d %s" % (w, o, n), f,
                   lambda fd: os.lseek(fd, o, w))
    for kind in ("dir", "fifo", "chr"):
        fl = R | os.O_NONBLOCK
        on("read of " + kind, fl, lambda fd: os.read(fd, 1), kind)
        on("fsync of " + kind, fl, os.fsync, kind)
        on("ftruncate of " + kind, fl, lambda fd: os.ftruncate(fd, 1), kind)
        on("fallocate of " + kind, fl,
           lambda fd: call(libc.fallocate(fd, 0, L(0), L(1))), kind)
        on("flock of " + kind, fl,
           lambda fd: fcntl.flock(fd, fcntl.LOCK_EX), kind)
    # copy_file_range
    for fo, to, ln, flags in ((0, 0, 5, 0), (0, 5, 5, 0), (0, 4, 5, 0),
                              (10, 0, 5, 0), (20, 0, 5, 0), (0, 100, 5, 0),
                              (5, 0, 100, 0), (0, 0, 0, 0), (0, 5, 5, 1),
                              (-1, 0, 5, 0)):
        for other in (None, "new", "dir", "fifo", "tofile"):
            if skipped():
                continue
            root = setup()

            def go():
                i = os.open("file", RW)
                o = i
                try:
                    if other is not None:
                        o = os.open(other, (R if other == "dir" else RW) |
                                    os.O_NONBLOCK |
                                    (os.O_CREAT if other == "new" else 0))
                    a, z = L(fo), L(to)
                    return call(libc.copy_file_range(
                        i, ctypes.byref(a), o, ctypes.byref(z),
                        ctypes.c_size_t(ln), flags))
                finally:
                    os.close(i)
                    if o != i:
                        os.close(o)
            probe("copy %d>%d %d %d %s" % (fo, to, ln, flags, other), root, go)
            wipe(root)
    for a, z, t in ((R, W, "R>W"), (W, W, "W>W"), (R, R, "R>R"),
                    (R, W | os.O_APPEND, "R>A")):
        root = setup()

        def go2():
            i, o = os.open("file", a), os.open("full/x", z)
            try:
                return call(libc.copy_file_range(
                    i, None, o, None, ctypes.c_size_t(4), 0))
            finally:
                os.close(i)
                os.close(o)
        probe("copy " + t, root, go2)
        wipe(root)
    # pwritev2
    for flags, t in ((0x10, "APPEND"), (0x2, "DSYNC"), (0x4, "SYNC"),
                     (0x1, "HIPRI"), (0x8000, "?")):
        on("pwritev2 " + t, RW, lambda fd: os.pwritev(fd, [b"zz"], 1, flags))
    # O_TMPFILE
    for fl, t in ((0, "plain"), (os.O_EXCL, "excl")):
        root = setup()

        def go3():
            fd = os.open("dir", os.O_TMPFILE | W | fl, 0o640)
            try:
                os.write(fd, b"tmp")
                n = os.fstat(fd).st_nlink
                call(libc.linkat(-100, b"/proc/self/fd/%d" % fd, -100,
                                 b"dir/t", 0x400))
                return n
            finally:
                os.close(fd)
        probe("O_TMPFILE " + t, root, go3)
        wipe(root)


# ---- All kinds of things --------------------------------------------------------

def in_child(fn):
    """What became of a child that does fn: its result, error or signal."""
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(r)
        try:
            text = "ok %s" % (fn(),)
        except OSError as e:
            text = errno.errorcode[e.errno]
        except Exception as e:
            text = repr(e)
        os.write(w, text.encode())
        os._exit(0)
    os.close(w)
    text = os.read(r, 1000).decode()
    os.close(r)
    status = os.waitpid(pid, 0)[1]
    return text or "signal %d" % os.WTERMSIG(status)


def limited(size, fn):
    def go():
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        return fn()
    return lambda: in_child(go)


def others():
    L = ctypes.c_long
    R, W, RW = os.O_RDONLY, os.O_WRONLY, os.O_RDWR

    def on(title, fn, path="file", flags=RW):
        if skipped():
            return
        root = fresh()
        make_kinds(root)

        def go():
            fd = os.open(path, flags)
            try:
                return fn(fd)
            finally:
                os.close(fd)
        probe(title, root, go)
        wipe(root)

    # The limit of file sizes.
    for size in (4, 10, 12, 5000):
        for what, fn in (
                ("write", lambda fd: os.pwrite(fd, b"x" * 8, 6)),
                ("append", lambda fd: os.pwrite(fd, b"x" * 8, 10)),
                ("far", lambda fd: os.pwrite(fd, b"x", 100000)),
                ("grow", lambda fd: os.ftruncate(fd, 6000)),
                ("cut", lambda fd: os.ftruncate(fd, 2))):
            on("limit %d %s" % (size, what),
               lambda fd: limited(size, lambda: fn(fd))())

    # Maps.
    def mapped(fd, prot, flags, length, then, off=0):
        def go():
            os.truncate("file", length)
            m = mmap.mmap(fd, length, flags, prot, offset=off)
            return then(m, fd)
        return in_child(go)

    def grow_then_cut(m, fd):
        m[5000] = 7
        os.ftruncate(fd, 4096)
        return m[5000]

    def cut_and_grow(m, fd):
        m[5] = 9
        os.ftruncate(fd, 3)
        os.ftruncate(fd, 100)
        return m[0], m[5], os.pread(fd, 10, 0)

    def past_end(m, fd):
        os.ftruncate(fd, 20)
        m[50] = 1            # behind the end, in its page
        m.flush()
        os.ftruncate(fd, 100)
        return os.pread(fd, 1, 50), m[50]

    def coherent(m, fd):
        m[1] = 65
        a = os.pread(fd, 4, 0)
        os.pwrite(fd, b"ZZ", 2)
        return a, m[:5]

    def punched(m, fd):
        m[10] = m[4100] = 3
        call(libc.fallocate(fd, 3, L(0), L(4096)))
        return m[10], m[4100]

    SH, PR = mmap.MAP_SHARED, mmap.MAP_PRIVATE
    P = mmap.PROT_READ | mmap.PROT_WRITE
    for t, fl in (("shared", SH), ("private", PR)):
        for n, then in (("cut", grow_then_cut), ("cut and grow", cut_and_grow),
                        ("past the end", past_end), ("coherent", coherent),
                        ("punched", punched)):
            on("map %s %s" % (t, n),
               lambda fd: mapped(fd, P, fl, 8192, then))
    on("map of a read-only descriptor", lambda fd: mapped(
        fd, P, SH, 4096, lambda m, f: None), flags=R)
    on("map of a write-only descriptor", lambda fd: mapped(
        fd, P, SH, 4096, lambda m, f: None), flags=W)

    # Without copying.
    def piped(fd):
        r, w = os.pipe()
        n = os.splice(fd, w, 6, offset_src=2)
        data = os.read(r, 100)
        os.write(w, b"PIPE")
        return n, data, os.splice(r, fd, 4, offset_dst=4)

    def sent(fd):
        to = os.open("full/x", RW)
        try:
            return os.sendfile(to, fd, 3, 5)
        finally:
            os.close(to)
    on("splice", piped)
    on("sendfile", sent)
    for n, fl in (("NOWAIT", 8), ("HIPRI", 1)):
        on("preadv2 " + n, lambda fd: os.preadv(fd, [bytearray(4)], 0, fl)
           if n != "NOWAIT" else None)
    # Vectors and offsets.
    on("writev", lambda fd: os.writev(fd, [b"ab", b"", b"cd"]))
    on("writev of too many", lambda fd: os.writev(fd, [b"a"] * 1025))
    on("readv", lambda fd: os.readv(fd, [bytearray(3), bytearray(30)]))
    on("pwrite to an append", lambda fd: os.pwrite(fd, b"zz", 0),
       flags=W | os.O_APPEND)
    on("append moves", lambda fd: (os.write(fd, b"zz"), os.lseek(fd, 0, 1)),
       flags=RW | os.O_APPEND)
    on("append set later", lambda fd: (fcntl.fcntl(
        fd, fcntl.F_SETFL, os.O_APPEND), os.write(fd, b"zz")))
    on("noatime set later by another", lambda fd: fcntl.fcntl(
        fd, fcntl.F_SETFL, os.O_NOATIME))
    on("direct, odd", lambda fd: None, flags=RW | os.O_DIRECT)
    # O_PATH and descriptors instead of paths.
    on("fchmodat of O_PATH", lambda fd: os.chmod("/proc/self/fd/%d" % fd,
                                                 0o600), flags=os.O_PATH)
    on("open of O_PATH", lambda fd: os.close(os.open(
        "/proc/self/fd/%d" % fd, W | os.O_TRUNC)), flags=os.O_PATH)
    on("linkat empty", lambda fd: call(libc.linkat(
        fd, b"", -100, b"made", 0x1000)))
    on("fchownat empty", lambda fd: call(libc.fchownat(
        fd, b"", 1, 1, 0x1000)), flags=os.O_PATH)
    on("openat a removed directory", lambda fd: (os.rmdir("dir"), os.open(
        "x", os.O_CREAT | W, dir_fd=fd)), path="dir", flags=R)
    on("list a removed directory", lambda fd: (os.rmdir("dir"),
                                               os.listdir(fd)),
       path="dir", flags=R)
    on("mkdirat a removed directory", lambda fd: (os.rmdir("dir"), os.mkdir(
        "x", dir_fd=fd)), path="dir", flags=R)
    on("rename into a removed one", lambda fd: (os.rmdir("dir"), os.rename(
        "file", "x", dst_dir_fd=fd)), path="dir", flags=R)
    on("link from a removed file", lambda fd: (os.unlink("file"), os.link(
        "/proc/self/fd/%d" % fd, "made", follow_symlinks=True)))
    on("stat of a removed file", lambda fd: (
        os.unlink("file"), os.fstat(fd).st_nlink, os.read(fd, 99)))
    on("fchmod of a removed file", lambda fd: (
        os.unlink("file"), os.fchmod(fd, 0o600),
        "%o" % os.fstat(fd).st_mode))
    on("write to a removed file", lambda fd: (
        os.unlink("file"), os.write(fd, b"zz"), os.fstat(fd).st_size))
    on("xattr of a removed file", lambda fd: (
        os.unlink("file"), os.setxattr(fd, "user.q", b"1"),
        os.getxattr(fd, "user.q")))
    on("removed beneath, still written", lambda fd: (
        os.rename("chr", "file"), os.write(fd, b"zz")))
    # Requests that no ordinary file takes.
    for n, req in (("FIFREEZE", 0xC0045877), ("FITHAW", 0xC0045878),
                   ("FIBMAP", 1), ("FIGETBSZ", 2), ("TCGETS", 0x5401),
                   ("nonsense", 0x12345678)):
        if n in ("FIFREEZE", "FITHAW", "FIBMAP"):
            continue
        on("ioctl " + n, lambda fd: fcntl.ioctl(fd, req, b"\0" * 64)[:4])
    on("FIONREAD", lambda fd: struct.unpack("i", fcntl.ioctl(
        fd, 0x541B, b"\0" * 4)))
    # Locks and leases.
    on("F_SETLK without its right", lambda fd: fcntl.lockf(
        fd, fcntl.LOCK_EX | fcntl.LOCK_NB), flags=R)
    on("F_SETLK beyond the end", lambda fd: fcntl.lockf(
        fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 5, 1000))
    on("F_OFD_SETLK", lambda fd: len(fcntl.fcntl(fd, 37, struct.pack(
        "hhqqi", fcntl.F_WRLCK, 0, 0, 0, 0))))
    on("fadvise", lambda fd: os.posix_fadvise(fd, 0, 0, 4))
    on("fadvise ?", lambda fd: os.posix_fadvise(fd, 0, 0, 77))
    on("readahead", lambda fd: call(libc.readahead(fd, L(0), L(4096))))
    on("sync_file_range", lambda fd: call(libc.sync_file_range(
        fd, L(0), L(4096), 7)))
    on("syncfs", lambda fd: call(libc.syncfs(fd)))
    on("posix_fallocate", lambda fd: os.posix_fallocate(fd, 5, 5000))
    on("posix_fallocate none", lambda fd: os.posix_fallocate(fd, 5, 0))
    on("execute without right", lambda fd: os.execve("file", ["x"], {}))
    on("execute a directory", lambda fd: os.execve("dir", ["x"], {}))
    # Names.
    for n in (b"\xff\xfe", b"a\nb", b" ", b"...", "\u00e9".encode(),
              "e\u0301".encode(), b"A", b"a", b"-", b"*", b"\\"):
        on("name %r" % n, lambda fd: (os.mkdir(n), os.rename(n, n + b"2"),
                                      os.rmdir(n + b"2")))
    # A directory that is changed while it is read.
    if not skipped():
        root = fresh()
        for i in range(500):
            os.close(os.open(os.path.join(root, "n%d" % i), os.O_CREAT))

        def reading():
            seen, gone = [], 0
            with os.scandir(".") as it:
                for e in it:
                    seen.append(e.name)
                    os.unlink(e.name)
                    gone += 1
            return len(seen) == len(set(seen)), gone, len(os.listdir("."))
        r = as_user(0, 0, [], lambda: (os.chdir(root), reading(),
                                       os.chdir("/"))[1])
        print("removed while listed: %s" % r)
        wipe(root)


def main():
    os.umask(0o022)
    want = sys.argv[3:]
    for fn in (opens, names, attributes, setids, sticky, permissions,
               descriptors, others):
        if not want or fn.__name__ in want:
            fn()


main()
