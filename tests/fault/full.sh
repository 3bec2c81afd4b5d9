#!/bin/sh
# A disk of 200 MiB filled through the mount to the last block, again and again:
# every operation is tried on the full disk and is done or says ENOSPC; nothing
# is lost; removing works always; the space comes back, the audit log's by rotating
# it; a store on a disk that is full to the last byte opens, and files can be
# removed in it.
# Serves: R30
# Environment: ROUNDS (3), BACKING (tmpfs, or ext4 on a loop device), SSE (KMS).
. "$(dirname "$0")/../lib.sh"
. "$TESTS/fault/disk.sh"
require_fuse
require_root
disk_make "${BACKING:-tmpfs}" 200
S=$T/disk/s SSEFS_STORE=$T/disk/s
export S SSEFS_STORE
new_store
bucket docs --sse "${SSE:-KMS}"
ok "the audit log is kept up to 8 MiB" "$SSEFS" audit keep 8M

cat >"$T/full.py" <<'PY'
"""full.py ROUND fill|try|verify|empty [keyless]: one part of a round.

"keyless": others have filled the disk to its last byte, so that no record of a
key's use can be written, and no key is given out.
What the mount must hold is kept in $T/want as {name: (seed, size)}.
"""
import json
import mmap
import random
import shutil
import time
from lib import *

rnd, part = int(sys.argv[1]), sys.argv[2]
ENOUGH = 15000  # files of a round
WANT = T + "/want"
want = {}
if os.path.exists(WANT):
    want = {k: tuple(v) for k, v in json.load(open(WANT)).items()}
KEYLESS = "keyless" in sys.argv
refused = 0
bad = []


def full(what, fn, *a, also=()):
    """Do it: None when the disk was too full for it."""
    try:
        r = fn(*a)
        return True if r is None else r
    except OSError as e:
        if e.errno != errno.ENOSPC and e.errno not in also:
            bad.append("%s: %s" % (what, e))
        return None


def full_key(what, fn, *a):
    """The same for what asks for a file's key."""
    global refused
    r = full(what, fn, *a, also=(errno.EIO,) if KEYLESS else ())
    refused += r is None
    return r


def write_all(fd, data, off=0):
    """True when all of it was written; then it is there."""
    while data:
        n = full("write", os.pwrite, fd, data, off)
        if n is None:
            return False
        data, off = data[n:], off + n
    return True


def make(name, size, seed):
    """A file, recorded when it was made whole; else removed again."""
    fd = full_key("create " + name, os.open, p(name),
                  os.O_CREAT | os.O_RDWR | os.O_EXCL)
    if fd is None:
        return False
    done = write_all(fd, pattern(size, seed))
    os.close(fd)
    if done:
        want[name] = (seed, size)
    else:
        os.unlink(p(name))
    return done


def sync():
    fd = os.open(M, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def verify(where):
    n, waited = 0, False
    # Each that is read makes a record on a disk that is full.
    for name, (seed, size) in sorted(want.items())[::1 + len(want) // 3000]:
        try:
            b = get(p(name))
        except OSError as e:
            # The audit log is tried again once a second.
            if e.errno == errno.EIO and not waited:
                waited = True
                time.sleep(1.5)
            try:
                b = get(p(name))
            except OSError as e:
                bad.append("%s: %s: %s" % (where, name, e))
                continue
        n += 1
        if b != pattern(size, seed):
            bad.append("%s: %s: %d bytes are not the %d written" % (
                where, name, len(b), size))
    have = sum(len(f) for _, _, f in os.walk(M))
    if have != len(want):
        bad.append("%s: %d files, want %d" % (where, have, len(want)))
    return len(want) // (1 + len(want) // 3000) <= n


def part_fill():
    r = random.Random(rnd)
    total = i = 0
    os.makedirs(p("d"), exist_ok=True)
    sizes = [8 << 20, 1 << 20, 100000, 5000, 600]
    # In every other round there are names above all.
    if rnd % 2 == 0:
        for i in range(12000):
            if not make("d/n%d-%d" % (rnd, i), r.randrange(1000), i):
                break
    for size in sizes:
        misses = 0
        # Space that a failed file gives back comes with the next commit.
        while misses < 3:
            i += 1
            n = r.randrange(size // 2, size)
            if make("d/f%d-%d" % (rnd, i), n, i):
                total += n
            else:
                misses += 1
                sync()
            if len(want) > ENOUGH:
                break
    first = T + "/first"
    if not os.path.exists(first):
        open(first, "w").write(str(total))
    # So many small files take most of the space for themselves.
    ok(total > 40 << 20 and
       (len(want) > ENOUGH or total > 0.4 * int(open(first).read())),
       "round %d: %d MiB in %d files fit" % (rnd, total >> 20, len(want)))


def change(name):
    """Overwrite, append, punch, cut: each leaves the old bytes or the new."""
    seed, size = want[name]
    b = bytearray(pattern(size, seed))
    fd = full_key("open " + name, os.open, p(name), os.O_RDWR)
    if fd is None:
        return
    for what in ("write", "append", "punch", "zero", "truncate"):
        at, n = len(b) // 3, max(1, len(b) // 2)
        new = bytearray(b)
        if what == "write":
            new[at:at + n] = pattern(n, 77)
            r = full(what, os.pwrite, fd, bytes(new[at:at + n]), at)
            if r not in (None, n):
                n = r
                new = bytearray(b)
                new[at:at + n] = pattern(max(1, len(b) // 2), 77)[:n]
        elif what == "append":
            new += pattern(5000, 78)
            r = full(what, os.pwrite, fd, bytes(new[len(b):]), len(b))
            new = new[:len(b) + (r or 0)]
        elif what == "truncate":
            new = new[:at]
            r = full(what, os.ftruncate, fd, at)
        else:
            new[at:at + n] = bytes(len(new[at:at + n]))
            r = full(what, fallocate, fd, KEEP_SIZE |
                     (PUNCH_HOLE if what == "punch" else ZERO_RANGE), at, n)
        got = full("read", os.pread, fd, len(new) + len(b) + 1, 0)
        if got is None:
            break
        if got != (bytes(b) if r is None else bytes(new)):
            bad.append("%s of %s: neither old nor new" % (what, name))
        b = bytearray(got)
    os.close(fd)
    del want[name]
    os.unlink(p(name))


def part_try():
    names = sorted(want)
    some = [names[i * len(names) // 12] for i in range(12)]
    for name in some[:6]:
        change(name)
    a, b = some[6], some[7]
    t = "d/t"
    if full("rename", os.rename, p(a), p("d/r")) is not None:
        want["d/r"] = want.pop(a)
        a = "d/r"
    if full("link", os.link, p(a), p("d/l")) is not None:
        os.unlink(p("d/l"))
    if full("symlink", os.symlink, "x" * 200, p(t)) is not None:
        os.unlink(p(t))
    if full("mkdir", os.mkdir, p(t)) is not None:
        os.rmdir(p(t))
    if full("fifo", os.mkfifo, p(t)) is not None:
        os.unlink(p(t))
    if full("xattr", os.setxattr, p(a), "user.x", b"v" * 30000) is not None:
        os.removexattr(p(a), "user.x")
    full("chmod", os.chmod, p(a), 0o600)
    full("utime", os.utime, p(a), (1, 1))
    if full("exchange", renameat2, p(a), p(b), RENAME_EXCHANGE) is not None:
        want[a], want[b] = want[b], want[a]
    fd = full_key("create", os.open, p(t), os.O_CREAT | os.O_RDWR)
    if fd is not None:
        src = full_key("open", os.open, p(a), os.O_RDONLY)
        if src is not None:
            full("copy", os.copy_file_range, src, fd, 1 << 20)
            os.close(src)
        full("fallocate", fallocate, fd, 0, 0, 1 << 30)
        full("grow", os.ftruncate, fd, 1 << 20)
        if os.fstat(fd).st_size == 1 << 20:
            m = mmap.mmap(fd, 1 << 20)
            try:
                m[5:10] = b"abcde"
                full("msync", m.flush)
            finally:
                m.close()
        os.close(fd)
        os.unlink(p(t))
    full("fsync", sync)
    os.statvfs(M)
    # Removing is no question of space.
    c, d = some[8], some[9]
    if full_key("empty", os.truncate, p(c), 0) is not None:
        want[c] = (0, 0)
    os.unlink(p(d))
    del want[d]
    sync()


def part_empty():
    n = len(want)
    try:
        shutil.rmtree(p("d"))
        want.clear()
        sync()
    except OSError as e:
        bad.append("removing: %s" % e)
    ok(not want, "round %d: %d files are removed" % (rnd, n))


def part_verify():
    ok(verify(""), "round %d: of %d files many are read" % (rnd, len(want)))


try:
    globals()["part_" + part]()
finally:
    json.dump(want, open(WANT, "w"))
for b in bad[:10]:
    print("#  ", b)
if KEYLESS:
    print("#   round %d, %s: %d times no key" % (rnd, part, refused))
ok(not bad, "round %d, %s: all was done or refused for want of space" % (
    rnd, part))
PY
part() { py "$@" <"$T/full.py"; }

start_mount docs
round=1
while [ $round -le "${ROUNDS:-3}" ]; do
	# Others have some of it, and give it back for looking at what is there:
	# each file that is opened makes a record.
	disk_take 24
	part $round fill
	keyless=
	if [ $((round % 3)) = 0 ]; then
		disk_fill
		[ "${SSE:-KMS}" = None ] || keyless=keyless
	fi
	part $round try $keyless
	disk_unfill
	part $round verify
	# To the last byte, also of what the store would take back.
	disk_fill
	stop_mount
	disk_fill
	ok "round $round: fsck on a disk without a byte" "$SSEFS" fsck
	start_mount docs
	disk_free 24
	part $round verify
	disk_fill
	part $round empty
	disk_unfill
	remount
	ok "round $round: a new file of the audit log" "$SSEFS" audit rotate
	free=$(df -k --output=avail "$T/disk" | tail -n 1)
	# What the log says of keys stays; so do the pages of names, for others.
	logs=$(du -ck "$S"/keys.db-audit* "$S/meta.db" | tail -n 1 | cut -f 1)
	[ -n "${free1:-}" ] || free1=$((free + logs))
	ok "round $round: the space is back ($free + $logs of $free1 KiB)" \
	    [ $((free + logs)) -gt $((free1 * 92 / 100)) ]
	round=$((round + 1))
done
ok "there is much space to begin with ($free1 KiB)" [ "$free1" -gt $((200 * 1024 * 70 / 100)) ]
stop_mount
out=$("$SSEFS" fsck)
is "fsck" $? 0
like "clean" "$out" clean
ok "the audit log is whole" "$SSEFS" audit verify
note "$(tail -n 1 "$T/out"); $(du -ck "$S"/keys.db-audit* | tail -n 1)"
: >"$T/stores"
cd /
disk_drop
done_testing
