#!/bin/sh
# Reading directories: all of a big one, positions that survive change.
# Serves: R30
. "$(dirname "$0")/../../lib.sh"
require_fuse
new_store
bucket docs
start_mount docs

py <<'PY'
from lib import *

class dirent(ctypes.Structure):
    _fields_ = [("ino", ctypes.c_uint64), ("off", ctypes.c_int64),
                ("len", ctypes.c_uint16), ("type", ctypes.c_ubyte),
                ("name", ctypes.c_char * 256)]
libc.opendir.restype = ctypes.c_void_p
libc.readdir.restype = ctypes.POINTER(dirent)
for f in ("readdir", "rewinddir", "telldir", "closedir"):
    getattr(libc, f).argtypes = [ctypes.c_void_p]
libc.telldir.restype = ctypes.c_long
libc.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]

def rd(d):
    e = libc.readdir(d)
    return os.fsdecode(e.contents.name) if e else None
def rest(d):
    out = []
    while True:
        n = rd(d)
        if n is None: return out
        out.append(n)

N = 3000
os.mkdir(p("d"))
want = ["f%05d" % i for i in range(N)]
for n in want: put(p("d", n))
got = os.listdir(p("d"))
eq(len(got), N, "as many names as were made")
eq(sorted(got), want, "and the same ones")
with os.scandir(p("d")) as it:
    eq(all(e.is_file(follow_symlinks=False) and
           e.inode() == os.stat(e.path).st_ino
           for e in list(it)[:100]), True, "types and inode numbers")

d = libc.opendir(p("d").encode())
first = [rd(d) for _ in range(1000)]
pos = libc.telldir(d)
following = [rd(d) for _ in range(200)]
libc.seekdir(d, pos)
eq([rd(d) for _ in range(200)], following, "seekdir repeats what telldir saw")
# Change what was read and what is to come, then go on from the position.
libc.seekdir(d, pos)
kept = set(want) - set(first)
for n in first[2:600]:
    if n.startswith("f"): os.unlink(p("d", n))
for i in range(400): put(p("d", "a%05d" % i))
for i in range(400): put(p("d", "z%05d" % i))
seen = rest(d)
eq(len(seen), len(set(seen)), "no name twice while names change")
eq(sorted(kept - set(seen)), [], "no name that stayed was missed")
eq([n for n in seen if n in set(first)], [], "no name seen before")
libc.rewinddir(d)
again = [n for n in rest(d) if n not in (".", "..")]
eq(sorted(again), sorted(os.listdir(p("d"))), "rewinddir shows the new state")
eq(rd(d), None, "the end stays the end")
libc.closedir(d)

# A position whose names changed since: old names do not come back to life.
os.mkdir(p("e"))
for i in range(300): put(p("e", "n%05d" % i))
d = libc.opendir(p("e").encode())
rd(d)
pos = libc.telldir(d)
rest(d)
os.rename(p("e", "n00100"), p("e", "renamed"))
os.rename(p("e", "n00101"), p("e", "n00102"))
for n in ("x", "y", "z"): os.path.exists(p("e", n))
libc.seekdir(d, pos)
rest(d)
libc.closedir(d)
eq([os.path.exists(p("e", n)) for n in ("n00100", "n00101", "n00102")],
   [False, False, True], "names listed again are not believed")

# Removing while reading, as rm -r does.
d = libc.opendir(p("d").encode())
gone = 0
while True:
    n = rd(d)
    if n is None: break
    if n not in (".", ".."):
        os.unlink(p("d", n))
        gone += 1
libc.closedir(d)
eq(os.listdir(p("d")), [], "unlinking every name while reading (%d)" % gone)

d = libc.opendir(p("d").encode())
eq(sorted(rest(d)), [".", ".."], "an empty directory shows . and ..")
libc.closedir(d)
fd = os.open(p("d"), os.O_RDONLY)
put(p("d", "one"))
eq(os.listdir(fd), ["one"], "a name made after the open is seen")
os.unlink(p("d", "one"))
eq(os.listdir(fd), [], "a name removed after that is not")
os.close(fd)
PY
done_testing
