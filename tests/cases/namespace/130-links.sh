#!/bin/sh
# Hard links and symbolic links.
# Serves: R30
. "$(dirname "$0")/../../lib.sh"
require_fuse
new_store
bucket docs
start_mount docs

py <<'PY'
from lib import *

put(p("a"), b"one")
os.link(p("a"), p("b"))
os.mkdir(p("d"))
os.link(p("b"), p("d", "c"))
st = os.stat(p("a"))
eq(st.st_nlink, 3, "three names")
eq(os.stat(p("d", "c")).st_ino, st.st_ino, "one inode")
put(p("d", "c"), b"two")
eq(get(p("a")), b"two", "one content")
os.chmod(p("b"), 0o600)
eq(stat.S_IMODE(os.stat(p("a")).st_mode), 0o600, "one mode")
os.setxattr(p("a"), "user.k", b"v")
eq(os.getxattr(p("b"), "user.k"), b"v", "one set of xattrs")
os.unlink(p("a"))
eq(os.stat(p("b")).st_nlink, 2, "two names left")
eq(get(p("b")), b"two", "the content stays")
err(errno.EEXIST, "link over an existing name", os.link, p("b"), p("d", "c"))
err(errno.EPERM, "no hard link to a directory", os.link, p("d"), p("d2"))
err(errno.ENOENT, "link of nothing", os.link, p("nope"), p("x"))
for i in range(300):
    os.link(p("b"), p("d", "l%d" % i))
eq(os.stat(p("b")).st_nlink, 302, "302 names")
for i in range(300):
    os.unlink(p("d", "l%d" % i))
eq(os.stat(p("b")).st_nlink, 2, "and 2 again")

for t in ("b", "/abs/olute", "../up", "x" * 4095, "sp ace\n\u00e9", "."):
    os.symlink(t, p("s"))
    eq(os.readlink(p("s")), t, "symlink target of %d bytes" % len(t))
    eq(os.lstat(p("s")).st_size, len(os.fsencode(t)), "its size")
    os.unlink(p("s"))
err(errno.ENAMETOOLONG, "a target of 4096 bytes", os.symlink, "x" * 4096,
    p("s"))
err(errno.ENOENT, "an empty target", os.symlink, "", p("s"))
os.symlink("b", p("s"))
eq(get(p("s")), b"two", "read through a symlink")
err(errno.EEXIST, "symlink over a name", os.symlink, "q", p("s"))
err(errno.EINVAL, "readlink of a file", os.readlink, p("b"))
os.link(p("s"), p("s2"), follow_symlinks=False)
eq(os.readlink(p("s2")), "b", "hard link to a symlink")
os.symlink("loop", p("loop"))
err(errno.ELOOP, "a loop", os.stat, p("loop"))
os.symlink("nowhere", p("dangling"))
err(errno.ENOENT, "dangling", os.stat, p("dangling"))
err(errno.ELOOP, "O_NOFOLLOW", os.open, p("s"), os.O_RDONLY | os.O_NOFOLLOW)
put(p("dangling"), b"made")
eq(get(p("nowhere")), b"made", "create through a dangling symlink")

eq(os.stat(p("d")).st_nlink, 2, "an empty directory has 2 links")
os.mkdir(p("d", "e"))
eq(os.stat(p("d")).st_nlink, 3, "and one more for a subdirectory")
os.rmdir(p("d", "e"))
eq(os.stat(p("d")).st_nlink, 2, "and back")
os.utime(p("b"), (1, 1))
open(T + "/ino", "w").write("%d" % os.stat(p("b")).st_ino)
PY
remount
py <<'PY'
from lib import *
st = os.stat(p("b"))
eq(st.st_nlink, 2, "link count after a remount")
eq(st.st_ino, os.stat(p("d", "c")).st_ino, "still one inode")
eq(str(st.st_ino), open(T + "/ino").read(), "the inode number is stable")
eq(os.readlink(p("s")), "b", "symlink after a remount")
PY
done_testing
