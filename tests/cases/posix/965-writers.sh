#!/bin/sh
# Buffered, direct and mapped access to one file at once; 64 appending processes.
# Serves: R30
. "$(dirname "$0")/../../lib.sh"
require_fuse
new_store
bucket docs
start_mount docs

py <<'PY'
import mmap
import random
from lib import *

# ---- 64 processes append to one file: no byte lost, none within another's.
P, N = 64, 40
log = p("log")
def record(k, i):
    """Sizes from a few bytes to over 1 MiB, the first line tells which."""
    n = (5, 100, 4096, 5000, 70000)[(k + i) % 5] if (k + i) % 97 else 1500000
    head = b"%03d %05d %08d\n" % (k, i, n)
    return head + bytes([33 + k]) * (n + 1)
pids = []
for k in range(P):
    pid = os.fork()
    if pid == 0:
        flags = os.O_CREAT | os.O_WRONLY | os.O_APPEND
        fd = os.open(log, flags)
        for i in range(N):
            b = record(k, i)
            if os.write(fd, b) != len(b): os._exit(1)
        os._exit(0)
    pids.append(pid)
eq([os.waitstatus_to_exitcode(os.waitpid(x, 0)[1]) for x in pids], [0] * P,
   "64 processes append 40 records each")
seen, at, bad = {}, 0, []
with open(log, "rb") as f:
    while not bad:
        head = f.read(19)
        if not head: break
        try: k, i, n = (int(x) for x in head.split())
        except ValueError: bad.append(("no record", f.tell(), head)); break
        if head + f.read(n + 1) != record(k, i): bad.append((k, i, f.tell()))
        if seen.get(k, -1) != i - 1: bad.append(("order", k, i))
        seen[k] = i
eq((bad, len(seen), set(seen.values())), ([], P, {N - 1}),
   "each record whole, once, in its writer's order")
os.unlink(log)

# ---- Two descriptors, a map, O_DIRECT: each sees at once what another did.
S = 1 << 20
rnd = random.Random(int(os.environ.get("SEED", "3")))
f = p("mix")
put(f, bytes(S))
fb, fs = os.open(f, os.O_RDWR), os.open(f, os.O_RDWR | os.O_SYNC)
fd = os.open(f, os.O_RDWR | os.O_DIRECT)
m = mmap.mmap(fb, S)
m2 = mmap.mmap(fs, S)
page = mmap.mmap(-1, 1 << 17)      # aligned memory, as O_DIRECT may want
image = bytearray(S)
bad = []
for step in range(3000):
    at = rnd.randrange(S - (1 << 17))
    n = rnd.choice((1, 10, 4096, rnd.randrange(1, 1 << 16)))
    b = rnd.randbytes(n)
    w = rnd.randrange(4)
    if w == 0: os.pwrite(fb, b, at)
    elif w == 1: m[at:at + n] = b
    elif w == 2:
        if rnd.random() < 0.7: at, n = at & ~4095, (n + 4095) & ~4095
        b = rnd.randbytes(n)
        page[:n] = b
        os.pwritev(fd, [memoryview(page)[:n]], at)
    else: os.pwrite(fs, b, at)
    image[at:at + n] = b
    lo = max(0, at - rnd.randrange(5000))
    hi = min(S, at + n + rnd.randrange(5000))
    r = rnd.randrange(4)
    if r == 0: got = os.pread(fb, hi - lo, lo)
    elif r == 1: got = m2[lo:hi]
    elif r == 2: got = os.pread(fd, hi - lo, lo)
    else: got = m[lo:hi]
    if got != image[lo:hi]:
        bad.append((step, "bmds"[w], "bmdM"[r], at, n))
        break
eq(bad, [], "3000 writes by one of four ways, each read by another")
eq(os.pread(fb, S, 0) == bytes(image), True, "the whole file")
m.flush()
m.close()
m2.close()

# ---- The same by processes, each on its own pages, then on its own bytes.
def worker(k, step, kind):
    r = random.Random(k)
    fd = os.open(f, os.O_RDWR | (os.O_DIRECT if kind == "direct" else 0))
    mm = mmap.mmap(fd, S) if kind == "map" else None
    buf = mmap.mmap(-1, 4096)
    for i in range(300):
        if step == 4096:
            at, n = (r.randrange(S // 4096 // 4) * 4 + k) * 4096, 4096
        else:
            at, n = r.randrange(S // 4) * 4 + k, 1
        b = bytes([k * 50 + i % 50]) * n
        if kind == "map": mm[at:at + n] = b
        elif kind == "direct" and n == 4096:
            buf[:] = b
            os.pwritev(fd, [buf], at)
        else: os.pwrite(fd, b, at)
    if mm: mm.flush()
def replay(step):
    out = bytearray(S)
    for k in range(4):
        r = random.Random(k)
        for i in range(300):
            if step == 4096:
                at, n = (r.randrange(S // 4096 // 4) * 4 + k) * 4096, 4096
            else:
                at, n = r.randrange(S // 4) * 4 + k, 1
            out[at:at + n] = bytes([k * 50 + i % 50]) * n
    return bytes(out)
for step, kinds in ((4096, ("map", "direct", "plain", "direct")),
                    (1, ("map", "plain", "map", "plain"))):
    put(f, bytes(S))
    pids = []
    for k in range(4):
        pid = os.fork()
        if pid == 0:
            worker(k, step, kinds[k])
            os._exit(0)
        pids.append(pid)
    for x in pids: os.waitpid(x, 0)
    eq(get(f) == replay(step), True, "four processes (%s), every %d bytes" % (
        ", ".join(kinds), step))
PY
cp "$M/mix" "$T/mix"
remount
ok "the same bytes after a remount" cmp "$M/mix" "$T/mix"
done_testing
