#!/bin/sh
# Locks: flock, POSIX and open-file-description locks, between processes.
# Serves: R30
. "$(dirname "$0")/../../lib.sh"
require_fuse
require_root
new_store
bucket docs
start_mount docs -o allow_other
chmod 777 "$M"

py <<'PY'
import fcntl
import struct
from lib import *

F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW = 36, 37, 38
RD, WR, UN = fcntl.F_RDLCK, fcntl.F_WRLCK, fcntl.F_UNLCK
f = p("f")
put(f, b"0123456789", 0o666)
os.chmod(f, 0o666)
def lock(fd, cmd, kind, start=0, length=0):
    b = struct.pack("hhqqi4x", kind, 0, start, length, 0)
    return struct.unpack("hhqqi4x", fcntl.fcntl(fd, cmd, b))
def posix(fd, kind, start=0, length=0):
    return lock(fd, fcntl.F_SETLK, kind, start, length)
def ofd(fd, kind, start=0, length=0):
    return lock(fd, F_OFD_SETLK, kind, start, length)
def child(fn, *a):
    """fn(fd of f) in another process: the errno's name, or 0."""
    pid = os.fork()
    if pid == 0:
        try:
            fn(os.open(f, os.O_RDWR), *a)
            os._exit(0)
        except OSError as e: os._exit(e.errno)
    e = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return name(e) if e else "0"
B = "EAGAIN"
def rw(fd=None):
    """What a read and a write lock of another process get."""
    return child(posix, RD), child(posix, WR)

# ---- POSIX locks.
fd = os.open(f, os.O_RDWR)
eq(rw(), ("0", "0"), "nothing is locked")
posix(fd, RD)
eq(rw(), ("0", B), "a read lock lets readers in")
posix(fd, WR)
eq(rw(), (B, B), "a write lock nobody")
posix(fd, UN)
eq(rw(), ("0", "0"), "unlocked")
posix(fd, WR, 2, 3)
eq([child(posix, WR, i, 1) for i in range(7)], ["0", "0", B, B, B, "0", "0"],
   "a range of three bytes")
posix(fd, UN, 3, 1)
eq([child(posix, WR, i, 1) for i in range(7)], ["0", "0", B, "0", B, "0", "0"],
   "with its middle unlocked")
posix(fd, WR, 100, 0)
eq((child(posix, WR, 1 << 40, 1), child(posix, WR, 99, 1)), (B, "0"),
   "a lock to the end of time, beyond the end of the file")
pid = os.getpid()
def getlk(fd):
    r = lock(fd, fcntl.F_GETLK, WR, 2, 1)
    os._exit(0 if (r[0], r[2], r[3], r[4]) == (WR, 2, 1, pid) else 1)
eq(child(getlk), "0", "F_GETLK names the holder and the range")
posix(fd, WR)
d2 = os.open(f, os.O_RDWR)
posix(d2, WR)
ok(True, "a process does not lock itself out")
os.close(d2)
eq(rw(), ("0", "0"), "closing any descriptor of the file gives its locks up")
ro, wo = os.open(f, os.O_RDONLY), os.open(f, os.O_WRONLY)
err(errno.EBADF, "a write lock needs a descriptor to write", posix, ro, WR)
err(errno.EBADF, "a read lock one to read", posix, wo, RD)
err(errno.EINVAL, "a start below 0", posix, fd, WR, -1, 5)
os.close(ro)
os.close(wo)
# Not inherited by fork, gone with the process, however it ends.
posix(fd, WR)
eq(child(lambda x: posix(fd, WR)), B, "a child does not inherit the lock")
posix(fd, UN)
def held(how, take):
    """A process that holds a lock ends by how."""
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        take(os.open(f, os.O_RDWR))
        os.write(w, b"x")
        while True: os.read(os.pipe()[0], 1)
    os.read(r, 1)
    before = rw(), child(lambda x: fcntl.flock(x, fcntl.LOCK_EX |
                                              fcntl.LOCK_NB))
    os.kill(pid, how)
    os.waitpid(pid, 0)
    return before, rw(), child(lambda x: fcntl.flock(x, fcntl.LOCK_EX |
                                                     fcntl.LOCK_NB))
FREE = ("0", "0")
for n, take, want in (
        ("POSIX", lambda x: posix(x, WR), ((B, B), "0")),
        ("OFD", lambda x: ofd(x, WR), ((B, B), "0")),
        ("flock", lambda x: fcntl.flock(x, fcntl.LOCK_EX), (FREE, B))):
    eq(held(9, take), (want, FREE, "0"), "%s locks end with a kill -9" % n)
# A waiter gets the lock when it is given up; two in a ring do not wait for ever.
def wait_for(x):
    lock(x, fcntl.F_SETLKW, WR, 0, 1)
    os.pwrite(x, b"W", 0)
posix(fd, WR, 0, 1)
pid = os.fork()
if pid == 0:
    wait_for(os.open(f, os.O_RDWR))
    os._exit(0)
eq(os.pread(fd, 1, 0), b"0", "a waiter waits")
posix(fd, UN, 0, 1)
os.waitpid(pid, 0)
eq(os.pread(fd, 1, 0), b"W", "and goes on when the lock is free")
r, w = os.pipe()
r2, w2 = os.pipe()
pid = os.fork()
if pid == 0:
    x = os.open(f, os.O_RDWR)
    posix(x, WR, 1, 1)
    os.write(w, b"x")
    try:
        lock(x, fcntl.F_SETLKW, WR, 0, 1)
        os._exit(0)
    except OSError as e: os._exit(e.errno)
posix(fd, WR, 0, 1)
os.read(r, 1)
try:
    lock(fd, fcntl.F_SETLKW, WR, 1, 1)
    mine = 0
except OSError as e: mine = e.errno
posix(fd, UN)
his = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
eq(sorted((mine, his)), [0, errno.EDEADLK], "EDEADLK for one of two in a ring")

# ---- OFD locks: by descriptor, not by process.
d2 = os.open(f, os.O_RDWR)
ofd(fd, WR)
err(errno.EAGAIN, "OFD: another descriptor of the process is locked out", ofd,
    d2, WR)
err(errno.EAGAIN, "and a POSIX lock of the process too", posix, d2, WR)
eq(rw(), (B, B), "and other processes")
eq(child(lambda x: ofd(fd, WR)), "0", "a child shares the descriptor's lock")
dup = os.dup(fd)
os.close(d2)
os.close(fd)
eq(rw(), (B, B), "it stays while a dup is open")
os.close(dup)
eq(rw(), FREE, "and ends with the last")

# ---- flock: of the open file, shared or exclusive, apart from the others.
EX, SH, NB = fcntl.LOCK_EX, fcntl.LOCK_SH, fcntl.LOCK_NB
fd, d2 = os.open(f, os.O_RDWR), os.open(f, os.O_RDONLY)
fcntl.flock(fd, SH)
works("two may share", fcntl.flock, d2, SH | NB)
err(errno.EAGAIN, "neither may have it alone", fcntl.flock, d2, EX | NB)
fcntl.flock(d2, fcntl.LOCK_UN)
fcntl.flock(fd, EX)
err(errno.EAGAIN, "exclusive", fcntl.flock, d2, SH | NB)
eq(rw(), FREE, "POSIX locks do not care")
eq(child(lambda x: fcntl.flock(fd, EX | NB)), "0", "a child shares it")
os.unlink(f)
works("it may be changed after the unlink", fcntl.flock, fd, SH)
put(f, b"")
x = os.open(f, os.O_RDWR)
works("a new file of that name has its own locks", fcntl.flock, x, EX | NB)
os.close(fd)
works("closed is free", fcntl.flock, d2, EX | NB)
d = os.open(M, os.O_RDONLY)
works("a directory can be locked", fcntl.flock, d, EX | NB)

# ---- 8 processes count in one file under each kind of lock.
put(p("n"), b"0")
def count(take, give):
    pids = []
    for k in range(8):
        pid = os.fork()
        if pid == 0:
            x = os.open(p("n"), os.O_RDWR)
            for i in range(100):
                take(x)
                n = int(os.pread(x, 20, 0))
                os.pwrite(x, b"%d" % (n + 1), 0)
                give(x)
            os._exit(0)
        pids.append(pid)
    for pid in pids: os.waitpid(pid, 0)
    return int(get(p("n")))
eq(count(lambda x: lock(x, fcntl.F_SETLKW, WR), lambda x: posix(x, UN)), 800,
   "800 additions under POSIX locks")
eq(count(lambda x: lock(x, F_OFD_SETLKW, WR), lambda x: ofd(x, UN)), 1600,
   "under OFD locks")
eq(count(lambda x: fcntl.flock(x, EX), lambda x: fcntl.flock(
    x, fcntl.LOCK_UN)), 2400, "under flock")
PY
done_testing
