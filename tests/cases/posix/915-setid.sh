#!/bin/sh
# Set-id bits: which call by whom takes which of them, by every kind of write.
# Serves: R30
. "$(dirname "$0")/../../lib.sh"
require_fuse
require_root
new_store
bucket docs
start_mount docs -o allow_other,suid
chmod 777 "$M"

py <<'PY'
import struct
from lib import *

os.umask(0)
f = p("f")
put(p("src"), b"s" * 8192, 0o666)
def at(fn, flags=os.O_RDWR):
    def run(*a):
        fd = os.open(f, flags)
        try: fn(fd)
        finally: os.close(fd)
    return run
def copy(fd):
    s = os.open(p("src"), os.O_RDONLY)
    os.copy_file_range(s, fd, 4096)
    os.close(s)
WRITES = (("write", at(lambda fd: os.write(fd, b"x"))),
          ("append", at(lambda fd: os.write(fd, b"x"),
                        os.O_WRONLY | os.O_APPEND)),
          ("pwrite of 256 KiB", at(lambda fd: os.pwrite(fd, bytes(1 << 18),
                                                       0))),
          ("writev", at(lambda fd: os.writev(fd, [b"a", b"b"]))),
          ("write O_DIRECT", at(lambda fd: os.write(fd, bytes(4096)),
                                os.O_WRONLY | os.O_DIRECT)),
          ("write O_SYNC", at(lambda fd: os.write(fd, b"x"),
                              os.O_WRONLY | os.O_SYNC)),
          ("ftruncate", at(lambda fd: os.ftruncate(fd, 10))),
          ("ftruncate to the size", at(lambda fd: os.ftruncate(fd, 4096))),
          ("truncate", lambda: os.truncate(f, 10)),
          ("O_TRUNC", at(lambda fd: None, os.O_WRONLY | os.O_TRUNC)),
          ("fallocate", at(lambda fd: fallocate(fd, 0, 0, 9999))),
          ("KEEP_SIZE", at(lambda fd: fallocate(fd, KEEP_SIZE, 0, 9999))),
          ("PUNCH_HOLE", at(lambda fd: fallocate(fd, KEEP_SIZE | PUNCH_HOLE, 0,
                                                 99))),
          ("ZERO_RANGE", at(lambda fd: fallocate(fd, ZERO_RANGE, 0, 99))),
          ("copy_file_range", at(copy)))
# Callers, and whether they are in the file's group.  The file: 1001, 2000.
WHO = ((1001, 1, (), False), (1002, 2000, (), True), (1003, 1, (2000,), True),
       (1003, 1, (), False), (0, 0, (), True))
def after(mode, uid, member):
    if uid == 0: return mode
    mode &= ~stat.S_ISUID
    # Without x for the group the bit stays for the group's members.
    if mode & stat.S_IXGRP or not member: mode &= ~stat.S_ISGID
    return mode
bad = []
for n, fn in WRITES:
    for mode in (0o6777, 0o4666, 0o2666, 0o2676, 0o6666, 0o6766, 0o7777, 0o666):
        for uid, gid, groups, member in WHO:
            if os.path.exists(f): os.unlink(f)
            put(f, bytes(4096), 0o666)
            os.chown(f, 1001, 2000)
            os.chmod(f, mode)
            e = as_user(uid, gid, fn, groups=groups)
            got = stat.S_IMODE(os.stat(f).st_mode)
            if (e, got) != (0, after(mode, uid, member)):
                bad.append((n, oct(mode), uid, groups, e, oct(got)))
eq(bad, [], "%d ways to write, 8 modes, 5 callers" % len(WRITES))

# ---- File capabilities go with any change of content or owner, root's too.
CAP = struct.pack("<IIIII", 0x02000001, 1 << 13, 0, 0, 0)
bad = []
for n, fn in WRITES + (("chown", lambda: os.chown(f, 1001, 2000)),
                       ("chown to the same", lambda: os.chown(f, -1, -1))):
    for uid in (0, 1001):
        os.unlink(f)
        put(f, bytes(4096), 0o666)
        os.chown(f, 1001, 2000)
        os.setxattr(f, "security.capability", CAP)
        e = as_user(uid, 2000, fn)
        left = "security.capability" in os.listxattr(f)
        if e or left: bad.append((n, uid, e, left))
eq(bad, [], "file capabilities after each of them")
os.setxattr(f, "security.capability", CAP)
for fn in (lambda: os.chmod(f, 0o600), lambda: os.utime(f), lambda: os.rename(
        f, f)): fn()
eq(os.getxattr(f, "security.capability"), CAP, "chmod and utime leave them")
os.unlink(f)

# ---- chown: everybody's set-id bits go, directories' stay.
bad = []
for kind in ("file", "dir", "fifo"):
    for mode in (0o6777, 0o4644, 0o2644, 0o2755, 0o6644):
        for ids in ((1001, 2000), (1001, -1), (-1, 2000), (-1, -1)):
            for uid in (0, 1001):
                q = p("c")
                {"file": put, "dir": os.mkdir, "fifo": os.mkfifo}[kind](q)
                os.chown(q, 1001, 2000)
                os.chmod(q, mode)
                e = as_user(uid, 2000, os.chown, q, *ids)
                got = stat.S_IMODE(os.stat(q).st_mode)
                want = mode
                if kind != "dir":
                    want &= ~stat.S_ISUID
                    if mode & stat.S_IXGRP: want &= ~stat.S_ISGID
                if (e, got) != (0, want):
                    bad.append((kind, oct(mode), ids, uid, e, oct(got)))
                (os.rmdir if kind == "dir" else os.unlink)(q)
eq(bad, [], "chown by root and by the owner, also to what it is")
put(f)
os.chown(f, 1001, 2000)
os.chmod(f, 0o2644)
eq((as_user(1001, 1, os.chown, f, -1, 1), stat.S_IMODE(os.stat(f).st_mode)),
   (0, 0o644), "chown by an owner outside the group takes setgid always")
os.chmod(f, 0o6755)
as_user(1003, 1, os.chown, f, -1, -1)
eq(stat.S_IMODE(os.stat(f).st_mode), 0o6755,
   "chown of -1, -1 by a stranger takes nothing")

# ---- chmod.
for gid, groups, mode, want in ((2000, (), 0o2755, 0o2755),
                                (1, (2000,), 0o2755, 0o2755),
                                (1, (), 0o2755, 0o755), (1, (), 0o2644, 0o644),
                                (1, (), 0o6755, 0o4755), (1, (), 0o1644, 0o1644)):
    os.chown(f, 1001, 2000)
    os.chmod(f, 0o600)
    as_user(1001, gid, os.chmod, f, mode, groups=groups)
    eq(stat.S_IMODE(os.stat(f).st_mode), want,
       "chmod %o by the owner with groups %d %r" % (mode, gid, groups))
# ---- A setgid directory.
os.mkdir(p("sg"), 0o777)
os.chown(p("sg"), 0, 2000)
os.chmod(p("sg"), 0o2777)
bad = []
def make(kind, mode):
    q = p("sg", "x")
    if kind == "file": os.close(os.open(q, os.O_CREAT | os.O_RDWR, mode))
    elif kind == "tmp":
        fd = os.open(p("sg"), os.O_TMPFILE | os.O_RDWR, mode)
        linkat_tmp(fd, q)
    elif kind == "dir": os.mkdir(q, mode)
    elif kind == "link": os.symlink("a", q)
    else: os.mknod(q, stat.S_IFIFO | mode if kind == "fifo" else
                   stat.S_IFREG | mode)
for kind in ("file", "tmp", "dir", "fifo", "mknod", "link"):
    for mode in (0o644, 0o2755, 0o2745, 0o6777):
        for gid, groups, member in ((1, (), False), (2000, (), True),
                                    (1, (2000,), True)):
            e = as_user(1001, gid, make, kind, mode, groups=groups)
            st = os.lstat(p("sg", "x"))
            want = mode
            if kind == "dir": want = mode & 0o1777 | 0o2000
            elif kind == "link": want = 0o777
            elif not member and mode & 0o2010 == 0o2010: want = mode & ~0o2000
            got = stat.S_IMODE(st.st_mode)
            if (e, got, st.st_gid) != (0, want, 2000):
                bad.append((kind, oct(mode), gid, groups, e, oct(got), st.st_gid))
            (os.rmdir if kind == "dir" else os.unlink)(p("sg", "x"))
eq(bad, [], "what is made in a setgid directory: group and bit")
PY

# ---- Who is privileged: CAP_FSETID says so, not the user id.
if command -v setpriv >/dev/null 2>&1; then
	drop="setpriv --bounding-set=-fsetid --inh-caps=-fsetid"
	give="setpriv --reuid 1009 --regid 1009 --clear-groups
	    --inh-caps=+fsetid --ambient-caps=+fsetid"
	for d in "$M" "$T/local"; do
		mkdir -p "$d"
		for how in "$drop" "$give" ""; do
			for mode in 6777 2767 4767; do
				: >"$d/caps"
				chmod $mode "$d/caps"
				# shellcheck disable=SC2086
				$how fallocate -l 5000 "$d/caps"
				stat -c %a "$d/caps"
			done
		done >"$T/caps.${d##*/}"
	done
	is "fallocate without CAP_FSETID, with it, and by root: as beside it" \
	    "$(cat "$T/caps.${M##*/}")" "$(cat "$T/caps.local")"
fi
done_testing
