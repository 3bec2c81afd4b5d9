#!/bin/sh
# Fifos, sockets and device nodes.
# Serves: R30
. "$(dirname "$0")/../../lib.sh"
require_fuse
require_root
new_store
bucket docs
start_mount docs -o dev,suid

py <<'PY'
import socket
from lib import *

os.mkfifo(p("fifo"), 0o600)
ok(stat.S_ISFIFO(os.stat(p("fifo")).st_mode), "a fifo")
pid = os.fork()
if pid == 0:
    fd = os.open(p("fifo"), os.O_WRONLY)
    os.write(fd, b"through")
    os._exit(0)
eq(get(p("fifo")), b"through", "bytes pass through it")
os.waitpid(pid, 0)
os.chdir(M)
s = socket.socket(socket.AF_UNIX)
s.bind("sock")
s.listen(1)
ok(stat.S_ISSOCK(os.stat("sock").st_mode), "a socket")
c = socket.socket(socket.AF_UNIX)
works("connect to it", c.connect, "sock")
for n, t, dev in (("null", stat.S_IFCHR, (1, 3)), ("blk", stat.S_IFBLK, (7, 200)),
                  ("big", stat.S_IFCHR, (4095, 1048575))):
    os.mknod(p(n), t | 0o666, os.makedev(*dev))
    st = os.stat(p(n))
    eq((stat.S_IFMT(st.st_mode), os.major(st.st_rdev), os.minor(st.st_rdev)),
       (t,) + dev, "device node %s" % n)
os.mknod(p("reg"), stat.S_IFREG | 0o644)
eq(os.stat(p("reg")).st_size, 0, "mknod of a regular file")
err(errno.EEXIST, "mknod over a name", os.mknod, p("reg"),
    stat.S_IFIFO | 0o644)
os.rename(p("fifo"), p("fifo2"))
os.link(p("fifo2"), p("fifo3"))
eq(os.stat(p("fifo3")).st_nlink, 2, "rename and link of a fifo")
for n in ("fifo2", "null"):
    err(errno.EPERM, "no user xattr on %s" % n, os.setxattr, p(n), "user.a",
        b"b")
PY
remount
py <<'PY'
from lib import *
ok(stat.S_ISFIFO(os.stat(p("fifo2")).st_mode), "fifo after a remount")
ok(stat.S_ISSOCK(os.stat(p("sock")).st_mode), "socket after a remount")
eq(os.stat(p("big")).st_rdev, os.makedev(4095, 1048575),
   "device number after a remount")
for n in ("fifo2", "fifo3", "sock", "null", "blk", "big", "reg"):
    os.unlink(p(n))
eq(os.listdir(M), [], "all can be unlinked")
PY
done_testing
