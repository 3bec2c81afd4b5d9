#!/bin/sh
# O_TMPFILE and files that are used after their last name is gone.
# Serves: R8 R30
. "$(dirname "$0")/../../lib.sh"
require_fuse
new_store
bucket docs
start_mount docs

py <<'PY'
from lib import *

fd = works("O_TMPFILE", os.open, M, os.O_TMPFILE | os.O_RDWR, 0o640)
if fd is not None:
    os.write(fd, b"nameless" * 1000)
    eq(os.fstat(fd).st_nlink, 0, "has no name")
    eq(os.listdir(M), [], "nothing to be seen")
    works("linked in", linkat_tmp, fd, p("named"))
    os.write(fd, b"!")
    os.close(fd)
    eq(get(p("named")), b"nameless" * 1000 + b"!", "its bytes")
    st = os.stat(p("named"))
    eq((st.st_nlink, stat.S_IMODE(st.st_mode)), (1, 0o640),
       "one name, its mode")
    fd = os.open(M, os.O_TMPFILE | os.O_RDWR | os.O_EXCL, 0o600)
    err(errno.ENOENT, "O_EXCL forbids linking", linkat_tmp, fd, p("never"))
    os.write(fd, b"dropped")
    os.close(fd)

put(p("u"), pattern(300000, 1))
fd = os.open(p("u"), os.O_RDWR)
fd2 = os.open(p("u"), os.O_RDONLY)
os.unlink(p("u"))
err(errno.ENOENT, "the name is gone", os.stat, p("u"))
eq(os.fstat(fd).st_nlink, 0, "no links")
eq(os.pread(fd, 400000, 0), pattern(300000, 1), "the bytes can be read")
os.pwrite(fd, b"more", 300000)
os.ftruncate(fd, 300010)
os.fsync(fd)
eq(os.pread(fd2, 100, 300000), b"more" + bytes(6), "and written")
os.fchmod(fd, 0o600)
eq(stat.S_IMODE(os.fstat(fd2).st_mode), 0o600, "and its mode set")
os.setxattr(fd, "user.k", b"v")
eq(os.getxattr(fd2, "user.k"), b"v", "and its xattrs")
put(p("u"), b"another")
eq(os.pread(fd, 7, 0), pattern(300000, 1)[:7], "a new file is another one")
os.close(fd)
eq(os.pread(fd2, 7, 0), pattern(300000, 1)[:7], "until the last descriptor")
os.close(fd2)
eq(get(p("u")), b"another", "the new file stays")
PY
# Files without names are gone after a remount, and fsck finds no leak.
py <<'PY'
from lib import *
fds = []
for i in range(20):
    fd = os.open(p("orphan%d" % i), os.O_CREAT | os.O_RDWR)
    os.write(fd, pattern(100000, i))
    os.fsync(fd)
    os.unlink(p("orphan%d" % i))
    fds.append(fd)
d = os.open(M, os.O_RDONLY)
os.fsync(d)
eq([n for n in os.listdir(M) if n.startswith("orphan")], [],
   "20 files without names, open")
PY
remount
py <<'PY'
from lib import *
eq(sorted(os.listdir(M)), ["named", "u"], "names after a remount")
PY
done_testing
