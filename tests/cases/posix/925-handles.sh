#!/bin/sh
# File handles (name_to_handle_at), and O_NOATIME.
# Serves: R30
. "$(dirname "$0")/../../lib.sh"
require_fuse
require_root
new_store
bucket docs
bucket other
start_mount other
echo secret >"$M/secret"
ino=$(stat -c %i "$M/secret")
stop_mount
start_mount docs

cat >"$T/handles.py" <<'PY'
import struct
import time
from lib import *

class fh(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_uint), ("type", ctypes.c_int),
                ("h", ctypes.c_ubyte * 128)]
def fail():
    e = ctypes.get_errno()
    raise OSError(e, os.strerror(e))
def handle(q):
    h, at = fh(bytes=128), ctypes.c_int()
    if libc.name_to_handle_at(AT_FDCWD, os.fsencode(q), ctypes.byref(h),
                              ctypes.byref(at), 0) < 0: fail()
    return h
top = os.open(M, os.O_RDONLY)
def opened(h, flags=os.O_RDONLY):
    fd = libc.open_by_handle_at(top, ctypes.byref(h), flags)
    if fd < 0: fail()
    return fd
def forget():
    """The kernel forgets what it knows of inodes that nobody uses."""
    try: open("/proc/sys/vm/drop_caches", "w").write("2")
    except OSError: pass
PY
cp "$T/handles.py" "$T/h.py"
cat >>"$T/h.py" <<'PY'
os.makedirs(p("a", "b"))
put(p("a", "b", "f"), b"handle")
os.mkfifo(p("a", "p"))
os.symlink("b", p("a", "l"))
names = ("", "a", "a/b", "a/b/f", "a/p", "a/l")
hs = {n: handle(p(n)) for n in names}
for n in names:
    st = os.lstat(p(n))
    forget()
    fd = opened(hs[n], os.O_PATH if stat.S_ISLNK(st.st_mode) else
                os.O_RDONLY | os.O_NONBLOCK)
    eq((os.fstat(fd).st_ino, os.fstat(fd).st_mode), (st.st_ino, st.st_mode),
       "a handle of %r, forgotten meanwhile" % n)
    if n == "a/b/f": eq(os.read(fd, 9), b"handle", "and its content")
    if n == "a/b":
        eq(os.stat("..", dir_fd=fd).st_ino, os.stat(p("a")).st_ino, "and its ..")
        eq(os.listdir(fd), ["f"], "and its names")
    os.close(fd)
os.rename(p("a", "b"), p("c"))
os.rename(p("c", "f"), p("g"))
forget()
fd = opened(hs["a/b/f"], os.O_RDWR)
eq(os.read(fd, 9), b"handle", "after renames")
os.unlink(p("g"))
x = opened(hs["a/b/f"])
eq(os.fstat(x).st_nlink, 0, "unlinked but open it opens")
os.close(x)
os.close(fd)
def stale(desc, h):
    """The kernel keeps an inode until the last close has been answered, which
    nobody waits for."""
    for i in range(6000):
        forget()
        try: os.close(opened(h))
        except OSError: break
        time.sleep(0.01)
    err(errno.ESTALE, desc, opened, h)
stale("gone it is stale", hs["a/b/f"])
put(p("new"), b"new")
err(errno.ESTALE, "and stays so when others are made", opened, hs["a/b/f"])
os.rmdir(p("c"))
stale("a directory that is gone", hs["a/b"])
bad = handle(p("new"))
ino = int(sys.argv[1])
struct.pack_into("<II", bad.h, 0, ino >> 32, ino & 0xffffffff)
err(errno.ESTALE, "a handle made up for a file of another bucket", opened, bad)
struct.pack_into("<II", bad.h, 0, 7, 7)
err(errno.ESTALE, "for no file", opened, bad)
put(p("kept"), b"kept")
open(T + "/handle", "wb").write(bytes(handle(p("kept"))))

# ---- O_NOATIME: of files and directories, for owners.
os.mkdir(p("d"))
put(p("n"), b"data")
for q, fn in ((p("n"), lambda fd: os.pread(fd, 9, 0)), (p("d"), os.listdir)):
    utimensat(q, (1000, 0), (2000, 0))
    fd = os.open(q, os.O_RDONLY | os.O_NOATIME)
    fn(fd)
    eq(os.stat(q).st_atime, 1000, "O_NOATIME moves no access time")
    os.close(fd)
    fd = os.open(q, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED) if q == p("n") else None
    fn(fd)
    ok(os.stat(q).st_atime > 2000, "without it it moves")
    os.close(fd)
PY
py "$ino" <"$T/h.py"
remount
cat >>"$T/handles.py" <<'PY'
h = fh.from_buffer_copy(open(T + "/handle", "rb").read())
eq(os.read(opened(h), 9), b"kept", "a handle from before a remount")
PY
py <"$T/handles.py"
done_testing
