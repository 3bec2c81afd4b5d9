#!/bin/sh
# O_DIRECT, and shared and private maps beside ordinary reads and writes.
# Serves: R8 R30
. "$(dirname "$0")/../../lib.sh"
require_fuse
new_store
bucket docs
start_mount docs

py <<'PY'
import mmap
from lib import *

N = 2 << 20
buf = mmap.mmap(-1, N)
data = pattern(N, 8)
buf[:] = data
fd = works("open O_DIRECT", os.open, p("d"),
           os.O_CREAT | os.O_RDWR | os.O_DIRECT)
eq(os.pwritev(fd, [buf], 0), N, "write 2 MiB directly")
eq(get(p("d")), data, "read them through the cache")
with open(p("d"), "r+b", buffering=0) as f:
    f.seek(8192)
    f.write(b"c" * 4096)
back = mmap.mmap(-1, N)
eq(os.preadv(fd, [back], 0), N, "read them directly")
want = data[:8192] + b"c" * 4096 + data[12288:]
eq(back[:] == want, True, "a cached write is seen by a direct read")
one = mmap.mmap(-1, 4096)
one[:] = b"D" * 4096
os.pwritev(fd, [one], 4096)
eq(get(p("d"))[4000:8200], want[4000:4096] + b"D" * 4096 + want[8192:8200],
   "a direct write is seen by a cached read")
os.close(fd)

put(p("m"), pattern(100000, 4))
fd = os.open(p("m"), os.O_RDWR)
m = mmap.mmap(fd, 100000)
eq(m[:], pattern(100000, 4), "a shared map reads")
m[50:60] = b"0123456789"
m[99990:100000] = b"abcdefghij"
eq(os.pread(fd, 10, 50), b"0123456789", "read(2) sees the map's write")
os.pwrite(fd, b"WRITE", 70000)
eq(m[70000:70005], b"WRITE", "the map sees write(2)")
m.flush()
priv = mmap.mmap(fd, 100000, flags=mmap.MAP_PRIVATE)
priv[0:7] = b"private"
isnt = os.pread(fd, 7, 0) != b"private"
ok(isnt, "a private map stays private")
priv.close()
os.ftruncate(fd, 200000)
big = mmap.mmap(fd, 200000)
eq(big[100000:200000], bytes(100000), "a grown part is zero")
big[150000:150003] = b"map"
big.flush()
big.close()
m.close()
os.close(fd)
# A map that is written after its descriptor is closed.
fd = os.open(p("late"), os.O_CREAT | os.O_RDWR)
os.ftruncate(fd, 1 << 20)
m = mmap.mmap(fd, 1 << 20)
os.close(fd)
for i in range(0, 1 << 20, 4096): m[i:i + 4] = b"%04x" % (i >> 12)
m.close()
run("cp", "/bin/true", p("true"))
eq(run(p("true")).returncode, 0, "a program runs from the mount")
PY
remount
py <<'PY'
from lib import *
want = bytearray(pattern(100000, 4) + bytes(100000))
want[50:60] = b"0123456789"
want[99990:100000] = b"abcdefghij"
want[70000:70005] = b"WRITE"
want[150000:150003] = b"map"
eq(get(p("m")), bytes(want), "what the maps wrote, after a remount")
late = get(p("late"))
eq([i for i in range(256) if late[i * 4096:i * 4096 + 4] != b"%04x" % i], [],
   "what a map wrote after its close")
eq(run("cmp", "/bin/true", p("true")).returncode, 0, "the program is whole")
PY
done_testing
