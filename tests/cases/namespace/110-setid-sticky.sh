#!/bin/sh
# Set-id bits are cleared by writes and chown; setgid and sticky directories.
# Serves: R30
. "$(dirname "$0")/../../lib.sh"
require_fuse
require_root
new_store
bucket docs
start_mount docs -o allow_other
chmod 777 "$M"

py <<'PY'
from lib import *

def mode(n): return stat.S_IMODE(os.stat(p(n)).st_mode)
def fresh(n, m, data=b"data"):
    put(p(n), data)
    os.chown(p(n), 1000, 1000)
    os.chmod(p(n), m)

def writes(n):
    fd = os.open(p(n), os.O_WRONLY)
    os.write(fd, b"z")
    os.close(fd)

fresh("w", 0o6777)
eq(as_user(1001, 1001, writes, "w"), 0, "another user writes")
eq(mode("w"), 0o777, "a write clears setuid and setgid")
fresh("w2", 0o2666)
eq(as_user(1001, 1001, writes, "w2"), 0, "another user writes again")
ok(mode("w2") in (0o2666, 0o666), "setgid without group execute may stay")
fresh("t", 0o6777)
eq(as_user(1001, 1001, os.truncate, p("t"), 1), 0, "another user truncates")
eq(mode("t"), 0o777, "a truncate clears setuid and setgid")
fresh("o", 0o6777)
eq(as_user(1001, 1001, put, p("o"), b""), 0, "another user opens O_TRUNC")
eq(mode("o"), 0o777, "O_TRUNC clears setuid and setgid")
fresh("c", 0o6755)
os.chown(p("c"), 1001, 1001)
eq(mode("c"), 0o755, "chown of an executable clears both")
fresh("g", 0o2644)
os.chown(p("g"), 1001, 1001)
eq(mode("g"), 0o2644, "chown keeps setgid without group execute")
fresh("r", 0o6755)
writes("r")
eq(mode("r"), 0o6755, "a write by root keeps them")
fresh("m", 0o644)
eq(as_user(1000, 1000, os.chmod, p("m"), 0o2755), 0, "owner sets setgid")
os.chown(p("m"), 1000, 2000)
eq(as_user(1000, 1000, os.chmod, p("m"), 0o2755), 0,
   "owner outside the group chmods")
eq(mode("m"), 0o755, "and setgid is dropped")

os.mkdir(p("sg"))
os.chown(p("sg"), 0, 3000)
os.chmod(p("sg"), 0o2777)
put(p("sg", "f"))
eq(os.stat(p("sg", "f")).st_gid, 3000, "setgid directory: group of a file")
os.mkdir(p("sg", "d"))
st = os.stat(p("sg", "d"))
eq((st.st_gid, stat.S_IMODE(st.st_mode)), (3000, 0o2755),
   "setgid directory: a directory inherits group and bit")
os.symlink("x", p("sg", "l"))
eq(os.lstat(p("sg", "l")).st_gid, 3000, "setgid directory: a symlink")
eq(as_user(1000, 1000, put, p("sg", "u")), 0, "a user creates there")
eq(os.stat(p("sg", "u")).st_gid, 3000, "in the directory's group")
def exec_sgid():
    fd = os.open(p("sg", "x"), os.O_CREAT | os.O_WRONLY, 0o2775)
    os.close(fd)
eq(as_user(1000, 1000, exec_sgid), 0, "a foreigner creates a setgid program")
eq(stat.S_IMODE(os.stat(p("sg", "x")).st_mode) & 0o2000, 0,
   "which loses the bit")
os.chown(p("sg"), 1, 3000)
eq(stat.S_IMODE(os.stat(p("sg")).st_mode), 0o2777,
   "chown of a directory keeps its bits")

os.mkdir(p("st"))
os.chmod(p("st"), 0o1777)
eq(as_user(1000, 1000, put, p("st", "f")), 0, "create in a sticky directory")
eq(as_user(1001, 1001, os.unlink, p("st", "f")), errno.EPERM,
   "another user cannot unlink there")
eq(as_user(1001, 1001, os.rename, p("st", "f"), p("st", "g")), errno.EPERM,
   "nor rename")
eq(as_user(1001, 1001, put, p("st", "h")), 0, "another user's file")
eq(as_user(1001, 1001, os.rename, p("st", "h"), p("st", "f")), errno.EPERM,
   "nor rename over a foreign file")
eq(as_user(1000, 1000, os.unlink, p("st", "f")), 0, "the owner unlinks")
PY
done_testing
