#!/bin/sh
# A sparse file of 8 TiB, and what statfs says.
# Serves: R30
. "$(dirname "$0")/../../lib.sh"
require_fuse
new_store
bucket docs
start_mount docs

py <<'PY'
from lib import *

TiB = 1 << 40
fd = os.open(p("huge"), os.O_CREAT | os.O_RDWR)
offs = [0, 1 << 32, TiB - 3, 5 * TiB + 4095, 8 * TiB - 5]
for i, o in enumerate(offs): os.pwrite(fd, b"mark%d" % i, o)
eq(os.fstat(fd).st_size, 8 * TiB, "8 TiB")
os.fsync(fd)
eq([os.pread(fd, 5, o) for o in offs], [b"mark%d" % i for i in range(5)],
   "the marks")
eq(os.pread(fd, 9000, 3 * TiB), bytes(9000), "zeros between")
ok(os.stat(p("huge")).st_blocks * 512 < 4 << 20, "little space is used")
eq(os.lseek(fd, 4096, os.SEEK_DATA) & ~0x3ffff, 1 << 32,
   "SEEK_DATA jumps over the hole")
fallocate(fd, PUNCH_HOLE | KEEP_SIZE, 4096, 6 * TiB)
eq(os.pread(fd, 5, offs[3]), bytes(5), "terabytes punched")
eq(os.pread(fd, 5, offs[4]), b"mark4", "the rest stays")
os.close(fd)
os.truncate(p("huge"), 100)
eq(get(p("huge")), b"mark0" + bytes(95), "cut to 100 bytes")
os.truncate(p("huge"), 8 * TiB)
fd = os.open(p("huge"), os.O_RDWR)
eq(os.pread(fd, 9, 8 * TiB - 5), bytes(5), "grown again: zeros")
os.pwrite(fd, b"LAST!", 8 * TiB - 5)
os.close(fd)

v = os.statvfs(M)
host = os.statvfs(S)
eq(v.f_namemax, 255, "statfs: longest name")
ok(v.f_bsize > 0 and v.f_blocks > 0 and v.f_bfree <= v.f_blocks and
   v.f_bavail <= v.f_bfree, "statfs: blocks add up")
total, htotal = v.f_blocks * v.f_frsize, host.f_blocks * host.f_frsize
ok(htotal * 0.5 <= total <= htotal * 1.01, "statfs: the disk's size")
avail, havail = v.f_bavail * v.f_frsize, host.f_bavail * host.f_frsize
ok(avail <= havail * 1.05 + (1 << 26), "statfs: no more than is there")
ok(avail >= havail * 0.5, "statfs: about what is there")
ok(v.f_files > 0 and v.f_ffree > 0, "statfs: inodes")
PY
remount
is "the last bytes after a remount" "$(tail -c 5 "$M/huge")" "LAST!"
rm "$M/huge"
done_testing
