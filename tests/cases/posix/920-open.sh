#!/bin/sh
# Flags of open on each kind of file; O_TMPFILE, O_PATH; devices, fifos, sockets.
# Serves: R30
. "$(dirname "$0")/../../lib.sh"
require_fuse
require_root
new_store
bucket docs
start_mount docs -o allow_other,dev
chmod 755 "$M"

py <<'PY'
import fcntl
import socket
from lib import *

os.chdir(M)
def fresh():
    """One of each kind: file with data, directory, symlinks, fifo, socket,
    device, and nothing."""
    for n in os.listdir("."):
        if os.path.isdir(n) and not os.path.islink(n): os.rmdir(n)
        else: os.unlink(n)
    put("file", b"12345")
    os.mkdir("dir")
    os.symlink("file", "link")
    os.symlink("dir", "dlink")
    os.symlink("none", "dang")
    os.mkfifo("fifo")
    s = socket.socket(socket.AF_UNIX)
    s.bind("sock")
    s.close()
    os.mknod("null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod("nodrv", stat.S_IFCHR | 0o666, os.makedev(4001, 1))
R, W, RW = os.O_RDONLY, os.O_WRONLY, os.O_RDWR
CR, EX, TR = os.O_CREAT, os.O_EXCL, os.O_TRUNC
DI, NF, NB, PA = os.O_DIRECTORY, os.O_NOFOLLOW, os.O_NONBLOCK, os.O_PATH
KINDS = ("file", "dir", "link", "dlink", "dang", "fifo", "sock", "null",
         "nodrv", "none")
OK, E = 0, errno
# Flags, then the outcome for each of KINDS.
TABLE = (
    (R | NB, OK, OK, OK, OK, E.ENOENT, OK, E.ENXIO, OK, E.ENXIO, E.ENOENT),
    (W | NB, OK, E.EISDIR, OK, E.EISDIR, E.ENOENT, E.ENXIO, E.ENXIO, OK,
     E.ENXIO, E.ENOENT),
    (RW | NB, OK, E.EISDIR, OK, E.EISDIR, E.ENOENT, OK, E.ENXIO, OK, E.ENXIO,
     E.ENOENT),
    (R | TR | NB, OK, E.EISDIR, OK, E.EISDIR, E.ENOENT, OK, E.ENXIO, OK,
     E.ENXIO, E.ENOENT),
    (RW | TR | NB, OK, E.EISDIR, OK, E.EISDIR, E.ENOENT, OK, E.ENXIO, OK,
     E.ENXIO, E.ENOENT),
    (R | CR | NB, OK, E.EISDIR, OK, E.EISDIR, OK, OK, E.ENXIO, OK, E.ENXIO, OK),
    (RW | CR | TR | NB, OK, E.EISDIR, OK, E.EISDIR, OK, OK, E.ENXIO, OK,
     E.ENXIO, OK),
    (RW | CR | EX | NB,) + (E.EEXIST,) * 9 + (OK,),
    (RW | CR | NF | NB, OK, E.EISDIR, E.ELOOP, E.ELOOP, E.ELOOP, OK, E.ENXIO,
     OK, E.ENXIO, OK),
    (R | NF | NB, OK, OK, E.ELOOP, E.ELOOP, E.ELOOP, OK, E.ENXIO, OK, E.ENXIO,
     E.ENOENT),
    (R | DI, E.ENOTDIR, OK, E.ENOTDIR, OK, E.ENOENT, E.ENOTDIR, E.ENOTDIR,
     E.ENOTDIR, E.ENOTDIR, E.ENOENT),
    (RW | DI, E.ENOTDIR, E.EISDIR, E.ENOTDIR, E.EISDIR, E.ENOENT, E.ENOTDIR,
     E.ENOTDIR, E.ENOTDIR, E.ENOTDIR, E.ENOENT),
    (R | DI | NF, E.ENOTDIR, OK, E.ENOTDIR, E.ENOTDIR, E.ENOTDIR, E.ENOTDIR,
     E.ENOTDIR, E.ENOTDIR, E.ENOTDIR, E.ENOENT),
    (PA, OK, OK, OK, OK, E.ENOENT, OK, OK, OK, OK, E.ENOENT),
    (PA | NF, OK, OK, OK, OK, OK, OK, OK, OK, OK, E.ENOENT),
    (PA | DI, E.ENOTDIR, OK, E.ENOTDIR, OK, E.ENOENT, E.ENOTDIR, E.ENOTDIR,
     E.ENOTDIR, E.ENOTDIR, E.ENOENT),
    (os.O_TMPFILE | RW, E.ENOTDIR, OK, E.ENOTDIR, OK, E.ENOENT, E.ENOTDIR,
     E.ENOTDIR, E.ENOTDIR, E.ENOTDIR, E.ENOENT),
    (os.O_TMPFILE, *(E.EINVAL,) * 10))
def size(n):
    try: return os.stat(n).st_size
    except OSError: return None
for flags, *want in TABLE:
    fresh()
    got, sizes, wsizes = [], [], []
    for n, w in zip(KINDS, want):
        before = size(n)
        try:
            os.close(os.open(n, flags, 0o640))
            got.append(0)
        except OSError as e: got.append(e.errno)
        if n in ("file", "link"):
            sizes.append(size(n))
            wsizes.append(0 if flags & TR and not flags & PA and
                          flags & os.O_TMPFILE != os.O_TMPFILE and
                          (w == OK or n == "link" and sizes[0] == 0) else 5)
    eq([name(x) for x in got], [name(x) for x in want],
       "open %o of each kind" % flags)
    eq(sizes, wsizes, "... and the data")
fresh()

# ---- O_TMPFILE.
fd = os.open(".", os.O_TMPFILE | RW, 0o640)
st = os.fstat(fd)
eq((st.st_nlink, stat.S_IMODE(st.st_mode)), (0, 0o640), "O_TMPFILE: no name")
os.write(fd, b"tmp")
linkat_tmp(fd, "named")
eq((get("named"), os.fstat(fd).st_nlink), (b"tmp", 1), "linkat names it")
linkat_tmp(fd, "named2")
os.unlink("named")
os.unlink("named2")
err(errno.ENOENT, "once its names are gone it gets no other", linkat_tmp, fd,
    "named")
os.close(fd)
fd = os.open(".", os.O_TMPFILE | RW | EX, 0o640)
err(errno.ENOENT, "with O_EXCL it gets none", linkat_tmp, fd, "named")
os.close(fd)
fd = os.open(".", os.O_TMPFILE | RW, 0o640)
err(errno.EEXIST, "not over a name", linkat_tmp, fd, "file")
os.setxattr(fd, "user.a", b"b")
os.fchmod(fd, 0o604)
linkat_tmp(fd, "named")
os.close(fd)
eq((os.getxattr("named", "user.a"), stat.S_IMODE(os.stat("named").st_mode)),
   (b"b", 0o604), "xattr and mode from before its name")
fd = os.open("file", R)
os.unlink("file")
err(errno.ENOENT, "an unlinked file does not come back", linkat_tmp, fd, "file")
os.close(fd)
fresh()

# ---- O_PATH.
fd = os.open("link", PA | NF)
eq(os.readlink("", dir_fd=fd), "file", "O_PATH: readlinkat of a symlink itself")
err(errno.EBADF, "O_PATH: no read", os.read, fd, 1)
err(errno.EBADF, "O_PATH: no fchmod", os.fchmod, fd, 0)
err(errno.EBADF, "O_PATH: no fsync", os.fsync, fd)
os.close(fd)
fd = os.open("file", PA)
os.chmod("file", 0)
eq(os.fstat(fd).st_size, 5, "O_PATH: fstat")
os.chmod("file", 0o644)
eq(get("/proc/self/fd/%d" % fd), b"12345", "O_PATH: opened again by /proc")
os.close(fd)

# ---- O_APPEND, O_CREAT with odd modes.
fd = os.open("file", RW | os.O_APPEND)
os.lseek(fd, 1, 0)
os.write(fd, b"67")
eq((get("file"), os.lseek(fd, 0, 1)), (b"1234567", 7), "O_APPEND")
os.pwrite(fd, b"8", 0)
eq(get("file"), b"12345678", "pwrite with O_APPEND appends, as on Linux")
fcntl.fcntl(fd, fcntl.F_SETFL, 0)
os.pwrite(fd, b"0", 0)
eq(get("file"), b"02345678", "F_SETFL takes O_APPEND away")
os.close(fd)
for m in (0, 0o7777, 0o1777, 0o400):
    os.umask(0)
    fd = os.open("new", CR | EX | RW, m)
    eq((stat.S_IMODE(os.fstat(fd).st_mode), os.write(fd, b"x")), (m, 1),
       "created with mode %o, written through the same descriptor" % m)
    os.close(fd)
    os.unlink("new")

# ---- Special files.
fd = os.open("fifo", R | NB)
w = os.open("fifo", W)
os.write(w, b"through")
eq((os.read(fd, 99), os.stat("fifo").st_size), (b"through", 0), "a fifo")
os.close(w)
eq(os.read(fd, 9), b"", "end of file when its writer is gone")
os.close(fd)
s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
os.unlink("sock")
s.bind("sock")
s.listen()
c = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
c.connect("sock")
os.rename("sock", "moved")
c2 = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
works("connect to a socket that was renamed", c2.connect, "moved")
err(errno.EADDRINUSE, "bind over a name", socket.socket(
    socket.AF_UNIX, socket.SOCK_STREAM).bind, "moved")
err(errno.ECONNREFUSED, "connect to a file", socket.socket(
    socket.AF_UNIX, socket.SOCK_STREAM).connect, "file")
eq(os.write(os.open("null", W), b"x" * 99), 99, "a device with -o dev")
for i, (ma, mi) in enumerate(((0, 0), (1, 3), (255, 255), (256, 256),
                              (4095, 0), (0, 0xfffff), (4095, 0xfffff),
                              (2748, 0xabcde))):
    for t in (stat.S_IFCHR, stat.S_IFBLK):
        q = "dev%d%o" % (i, t)
        os.mknod(q, t | 0o600, os.makedev(ma, mi))
        st = os.stat(q)
        eq((stat.S_IFMT(st.st_mode), os.major(st.st_rdev),
            os.minor(st.st_rdev)), (t, ma, mi), "device %d, %d" % (ma, mi))
os.mknod("plain", 0o640)
ok(stat.S_ISREG(os.stat("plain").st_mode), "mknod without a kind: a file")
err(errno.EPERM, "mknod of a directory", os.mknod, "x", stat.S_IFDIR | 0o700)
err(errno.EINVAL, "mknod of a symlink", os.mknod, "x", stat.S_IFLNK | 0o700)
PY
remount
py <<'PY'
from lib import *
eq([(os.major(s.st_rdev), os.minor(s.st_rdev)) for s in
    (os.stat(p("dev%d%o" % (i, stat.S_IFCHR))) for i in range(8))],
   [(0, 0), (1, 3), (255, 255), (256, 256), (4095, 0), (0, 0xfffff),
    (4095, 0xfffff), (2748, 0xabcde)], "device numbers after a remount")
PY
stop_mount
start_mount docs -o allow_other
py <<'PY'
from lib import *
err(errno.EACCES, "without -o dev a device does not open", os.open, p("null"),
    os.O_RDONLY)
os.close(os.open(p("null"), os.O_PATH))
fd = os.open(p("fifo"), os.O_RDWR)
os.write(fd, b"x")
eq(os.read(fd, 1), b"x", "but a fifo does")
PY
done_testing
