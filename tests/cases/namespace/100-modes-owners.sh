#!/bin/sh
# Modes, owners, access checks and umask are those of a local filesystem.
# Serves: R30
. "$(dirname "$0")/../../lib.sh"
require_fuse
require_root
new_store
bucket docs
start_mount docs -o allow_other
chmod 755 "$M"

py <<'PY'
from lib import *

os.umask(0o027)
put(p("f"), b"x", 0o666)
eq(stat.S_IMODE(os.stat(p("f")).st_mode), 0o640, "umask on create")
os.mkdir(p("d"), 0o777)
eq(stat.S_IMODE(os.stat(p("d")).st_mode), 0o750, "umask on mkdir")
os.umask(0o022)
for m in (0o000, 0o400, 0o644, 0o777, 0o1755, 0o2755, 0o4755, 0o7777):
    os.chmod(p("f"), m)
    eq(stat.S_IMODE(os.stat(p("f")).st_mode), m, "chmod %04o" % m)
os.chmod(p("f"), 0o640)
os.chown(p("f"), 1234, 2345)
st = os.stat(p("f"))
eq((st.st_uid, st.st_gid), (1234, 2345), "chown by root")
os.chown(p("f"), -1, 7)
st = os.stat(p("f"))
eq((st.st_uid, st.st_gid), (1234, 7), "chown of the group alone")
c = st.st_ctime_ns
os.chown(p("f"), 0xfffffffe, 0xfffffffe)
st = os.stat(p("f"))
eq((st.st_uid, st.st_gid), (0xfffffffe, 0xfffffffe), "the largest ids")
os.chown(p("f"), 1234, 7)

def rd(): os.close(os.open(p("f"), os.O_RDONLY))
def wr(): os.close(os.open(p("f"), os.O_WRONLY))
eq(as_user(1234, 99, wr), 0, "the owner writes")
eq(as_user(99, 7, rd), 0, "the group reads")
eq(as_user(99, 7, wr), errno.EACCES, "the group does not write")
eq(as_user(99, 99, rd), errno.EACCES, "others do not read")
eq(as_user(99, 99, rd, groups=(7,)), 0, "a supplementary group reads")
eq(as_user(99, 99, os.chmod, p("f"), 0o777), errno.EPERM,
   "chmod by another user")
eq(as_user(1234, 7, os.chown, p("f"), 99, -1), errno.EPERM,
   "chown away by the owner")
eq(as_user(1234, 7, os.chown, p("f"), -1, 99), errno.EPERM,
   "chgrp to a foreign group")
eq(as_user(1234, 7, os.chown, p("f"), -1, 99, groups=(99,)), 0,
   "chgrp to an own group")

os.mkdir(p("u"), 0o700)
os.chown(p("u"), 1234, 1234)
eq(as_user(1234, 1234, put, p("u", "mine"), b"x"), 0, "create as a user")
st = os.stat(p("u", "mine"))
eq((st.st_uid, st.st_gid), (1234, 1234), "the creator owns it")
eq(as_user(99, 99, os.stat, p("u", "mine")), errno.EACCES,
   "search permission is checked")
os.chmod(p("u"), 0o711)
eq(as_user(99, 99, os.listdir, p("u")), errno.EACCES,
   "list permission is checked")
eq(as_user(99, 99, os.stat, p("u", "mine")), 0, "search without list")
eq(as_user(99, 99, os.unlink, p("u", "mine")), errno.EACCES,
   "unlink needs write permission on the directory")
os.chmod(p("u", "mine"), 0o4755)
eq(as_user(99, 99, os.access, p("u", "mine"), os.X_OK), 0, "access answers")

def readonly_dir():
    os.mkdir(p("u", "ro"), 0o555)
    put(p("u", "ro", "x"))
eq(as_user(1234, 1234, readonly_dir), errno.EACCES, "create in a 0555 dir")
def ro_create():
    fd = os.open(p("u", "ro-file"), os.O_CREAT | os.O_RDWR, 0o400)
    os.write(fd, b"abc")
    os.close(fd)
eq(as_user(1234, 1234, ro_create), 0, "write through the creating descriptor")
eq(get(p("u", "ro-file")), b"abc", "and the bytes are there")
PY

remount
py <<'PY'
from lib import *
st = os.stat(p("f"))
eq((stat.S_IMODE(st.st_mode), st.st_uid, st.st_gid), (0o640, 1234, 99),
   "mode and owner after a remount")
st = os.stat(p("u", "mine"))
eq((stat.S_IMODE(st.st_mode), st.st_uid), (0o4755, 1234),
   "set-id bit and owner after a remount")
PY
done_testing
