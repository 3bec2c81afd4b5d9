#!/bin/sh
# A store on a filesystem of its own: everyday operations, holes and shared
# blocks, a full disk, and kill -9 under load.
# Serves: R30
# Environment: BACKING (ext4, xfs or btrfs), LOOPS (5 kills), SEED (1).
. "$(dirname "$0")/../lib.sh"
. "$TESTS/fault/disk.sh"
require_fuse
require_root
disk_make "${BACKING:-ext4}" 600
S=$T/disk/s SSEFS_STORE=$T/disk/s
export S SSEFS_STORE
note "on $(stat -f -c %T "$T/disk")"
new_store
bucket docs
start_mount docs

cat >"$T/basic.py" <<'PY'
"""basic.py make|look: make all kinds of things, or look whether they are."""
from lib import *

FILES = [(i, (i * 7919) % 200000) for i in range(200)] + [
    (1000, 3 << 20), (1001, 20 << 20)]


def make():
    os.makedirs(p("a/b/c"))
    for i, n in FILES:
        put(p("a/f%d" % i), pattern(n, i))
    for i in range(0, 200, 5):
        os.unlink(p("a/f%d" % i))
    os.rename(p("a/f1"), p("a/b/moved"))
    os.link(p("a/f2"), p("a/b/linked"))
    os.symlink("../f3", p("a/b/sym"))
    os.setxattr(p("a/f4"), "user.x", b"y" * 5000)
    fd = os.open(p("a/f1001"), os.O_RDWR)
    fallocate(fd, KEEP_SIZE | PUNCH_HOLE, 1 << 20, 5 << 20)
    os.pwrite(fd, b"here", 2 << 20)
    out = os.open(p("a/shared"), os.O_CREAT | os.O_RDWR)
    os.copy_file_range(fd, out, 20 << 20)
    os.pwrite(out, b"mine", 12 << 20)
    os.close(out)
    os.close(fd)
    sparse = os.open(p("a/sparse"), os.O_CREAT | os.O_RDWR)
    os.pwrite(sparse, b"end", 10 << 30)
    os.fsync(sparse)
    os.close(sparse)


def look():
    bad = []
    for i, n in FILES[:200]:
        path = "a/b/moved" if i == 1 else "a/f%d" % i
        if i % 5 == 0:
            if os.path.lexists(p(path)): bad.append(path)
        elif get(p(path)) != pattern(n, i):
            bad.append(path)
    big = bytearray(pattern(20 << 20, 1001))
    big[1 << 20:6 << 20] = bytes(5 << 20)
    big[2 << 20:(2 << 20) + 4] = b"here"
    if get(p("a/f1001")) != big: bad.append("punched")
    big[12 << 20:(12 << 20) + 4] = b"mine"
    if get(p("a/shared")) != big: bad.append("shared")
    if get(p("a/b/linked")) != get(p("a/f2")): bad.append("linked")
    if os.readlink(p("a/b/sym")) != "../f3": bad.append("sym")
    if os.getxattr(p("a/f4"), "user.x") != b"y" * 5000: bad.append("xattr")
    if os.stat(p("a/sparse")).st_size != (10 << 30) + 3: bad.append("sparse")
    return bad


if sys.argv[1] == "make":
    make()
eq(look(), [], "what was made is there (%s)" % sys.argv[1])
PY
py make <"$T/basic.py"
remount
py look <"$T/basic.py"
kill_mount
start_mount docs
py look <"$T/basic.py"

# The disk becomes full beneath the store; what is refused leaves it whole.
disk_fill
py <<'PY'
from lib import *
try:
    put(p("a/more"), pattern(200 << 20, 3) * 2)
    ok(False, "400 MiB on a full disk are refused")
except OSError as e:
    ok(e.errno in (errno.ENOSPC, errno.EIO), "refused: %s" % e)
for n in ("a/f1000", "a/shared"):
    works("%s is removed" % n, os.unlink, p(n))
try: os.unlink(p("a/more"))
except FileNotFoundError: pass
PY
stop_mount
ok "a store on a full disk opens" "$SSEFS" fsck
start_mount docs
py <<'PY'
from lib import *
works("and files are removed in it", os.unlink, p("a/f1001"))
PY
disk_unfill
stop_mount
ok "fsck" "$SSEFS" fsck
ok "scrub with keys" "$SSEFS" scrub --keys

# kill -9 under load, as tests/crash/kill9.sh does it, on this disk.
TMPDIR=$T/disk SSEFS=$SSEFS LOOPS=${LOOPS:-5} SEED=${SEED:-1} \
    sh "$TESTS/crash/kill9.sh" >"$T/kill.tap" 2>&1
is "${LOOPS:-5} kills of a loaded mount" $? 0 || grep -v '^ok' "$T/kill.tap"
cd /
rm -f "$T/stores"
disk_drop
done_testing
