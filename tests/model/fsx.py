"""Random operations on one file, compared with an image of it in memory.

    fsx.py FILE SEED STEPS

Reads and writes through several descriptors (plain, O_DIRECT, O_APPEND) and
through shared maps, truncation, holes, fallocate, copies within the file and
from another, exchange with a renamed copy, fsync, dropped caches, and opening
anew.  Every read, and every 200 steps the whole file, must be as the image
says; so must the size, SEEK_DATA and SEEK_HOLE.  Prints one TAP line; the seed
repeats a run, MODEL_TRACE shows it.
"""
import mmap
import os
import random
import sys

from lib import KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE, fallocate

path, seed, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
rnd = random.Random(seed)
MAX = (3000, 300000, 3000000)[seed % 3]
EDGES = (0, 1, 1023, 1024, 1025, 4095, 4096, 4097, 65536, 262143, 262144,
         262145, 1 << 20)
image = bytearray()
what = "start"
step = 0
buf = mmap.mmap(-1, 1 << 22)


def differ(text):
    print("not ok - fsx, seed %d" % seed)
    print("# step %d: %s" % (step, what))
    print("# %s" % text)
    sys.exit(1)


def say(*words):
    global what
    what = " ".join(str(w) for w in words)
    if "MODEL_TRACE" in os.environ:
        print("# %d %s" % (step, what), file=sys.stderr)


def check(got, want, at):
    if got == want:
        return
    if len(got) != len(want):
        differ("%d bytes, not %d, at %d" % (len(got), len(want), at))
    i = next(i for i in range(len(got)) if got[i] != want[i])
    n = sum(x != y for x, y in zip(got, want))
    differ("%d bytes differ from %d on: %r, not %r" % (
        n, at + i, bytes(got[i:i + 16]), bytes(want[i:i + 16])))


def pick(top):
    """A place in [0, top], often near an edge or the end."""
    r = rnd.random()
    if r < 0.2:
        return min(top, rnd.choice(EDGES))
    if r < 0.4:
        return max(0, min(top, len(image) + rnd.randrange(-4100, 4100)))
    return rnd.randrange(top + 1)


def pick_range(room=MAX):
    at = pick(room - 1)
    n = rnd.choice((1, 2, 512, 4096, rnd.randrange(1, 20000),
                    rnd.randrange(1, room + 1)))
    return at, max(1, min(n, room - at))


def reopen():
    global fd, dfd, afd
    for x in (fd, dfd, afd):
        os.close(x)
    fd, dfd, afd = opened()


def opened():
    return (os.open(path, os.O_RDWR | os.O_CREAT),
            os.open(path, os.O_RDWR | os.O_DIRECT),
            os.open(path, os.O_WRONLY | os.O_APPEND))


def grown(end):
    if end > len(image):
        image.extend(bytes(end - len(image)))


def aligned(at, n):
    """As O_DIRECT is mostly used; sometimes not."""
    if rnd.random() < 0.2:
        return at, n
    at &= ~4095
    return at, max(4096, min(n + 4095 & ~4095, 1 << 21))


def op_read():
    at, n = pick_range()
    say("read", at, n)
    check(os.pread(fd, n, at), image[at:at + n], at)


def op_direct_read():
    at, n = aligned(*pick_range())
    say("direct read", at, n)
    got = os.preadv(dfd, [memoryview(buf)[:n]], at)
    check(buf[:got], bytes(image[at:at + n]), at)


def op_map_read():
    if image:
        at, n = pick_range(len(image))
        say("map read", at, n)
        with mmap.mmap(fd, len(image), prot=mmap.PROT_READ) as m:
            check(m[at:at + n], bytes(image[at:at + n]), at)


def op_write():
    at, n = pick_range()
    b = rnd.randbytes(n)
    say("write", at, n)
    os.pwrite(fd, b, at)
    grown(at)
    image[at:at + n] = b


def op_direct_write():
    at, n = aligned(*pick_range())
    say("direct write", at, n)
    buf[:n] = b = rnd.randbytes(n)
    os.pwritev(dfd, [memoryview(buf)[:n]], at)
    grown(at)
    image[at:at + n] = b


def op_append():
    n = rnd.randrange(1, 9000)
    b = rnd.randbytes(n)
    if len(image) < MAX:
        say("append", n)
        os.write(afd, b)
        image.extend(b)


def op_map_write():
    global kept, unsynced
    if image:
        at, n = pick_range(len(image))
        b = rnd.randbytes(n)
        say("map write", at, n)
        m = mmap.mmap(fd, len(image))
        unsynced = True
        m[at:at + n] = b
        image[at:at + n] = b
        if rnd.random() < 0.3:
            m.flush()
        if rnd.random() < 0.3:
            kept = m        # a map that stays while the file changes
        else:
            m.close()


def op_truncate():
    n = pick(MAX)
    if rnd.random() < 0.1:
        n = 0
    say("truncate", len(image), n)
    if rnd.random() < 0.5:
        os.ftruncate(fd, n)
    else:
        os.truncate(path, n)
    grown(n)
    del image[n:]


def op_fallocate():
    at, n = pick_range()
    mode = rnd.choice((0, KEEP_SIZE, PUNCH_HOLE | KEEP_SIZE,
                       PUNCH_HOLE | KEEP_SIZE, ZERO_RANGE,
                       ZERO_RANGE | KEEP_SIZE))
    say("fallocate", mode, at, n)
    fallocate(fd, mode, at, n)
    if not mode & KEEP_SIZE:
        grown(at + n)
    if mode & (PUNCH_HOLE | ZERO_RANGE):
        end = min(at + n, len(image))
        if at < end:
            image[at:end] = bytes(end - at)


def copied(src, at, to, n):
    done = 0
    while done < n:
        k = os.copy_file_range(src, fd, n - done, at + done, to + done)
        if k == 0:
            break
        done += k
    return done


def op_copy():
    at, n = pick_range()
    to = pick(MAX - 1)
    if rnd.random() < 0.6:
        at, to, n = at & ~4095, to & ~4095, n + 4095 & ~4095
    n = min(n, max(0, len(image) - at))
    if n == 0 or at < to + n and to < at + n:
        return
    say("copy", at, to, n)
    k = copied(fd, at, to, n)
    if k != n:
        differ("%d bytes copied" % k)
    b = image[at:at + n]
    grown(to)
    image[to:to + n] = b


def op_clone():
    """The whole file to another by copy_file_range; that one takes its name."""
    global fd
    say("clone", len(image))
    new = os.open(path + ".new", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    old, fd = fd, new
    copied(old, 0, 0, len(image))
    fd = old
    os.ftruncate(new, len(image))
    os.close(new)
    # The old one changes after that, the copy must not.
    if image:
        os.pwrite(old, rnd.randbytes(100), rnd.randrange(len(image)))
    os.rename(path + ".new", path)
    reopen()


def op_sync():
    say("fsync")
    os.fsync(fd)


def op_drop():
    say("drop caches")
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)


def op_reopen():
    say("reopen")
    reopen()


def op_seek():
    global unsynced
    at = pick(MAX)
    say("seek", at)
    # What stands only in a map's pages no seek sees: the kernel does not ask.
    if unsynced:
        os.fsync(fd)
        unsynced = False
    for how, data in ((os.SEEK_DATA, True), (os.SEEK_HOLE, False)):
        try:
            to = os.lseek(fd, at, how)
        except OSError as e:
            to = None
            if e.errno != 6:
                differ("seek: %s" % e)
        if to is None:
            if at < len(image) and (not data or any(image[at:])):
                differ("seek %s: nothing, size %d" % (how, len(image)))
        elif not at <= to <= len(image) or at >= len(image):
            differ("seek %s: %d, size %d" % (how, to, len(image)))
        elif data and any(image[at:to]):
            differ("SEEK_DATA went over data to %d" % to)
        elif not data and to < len(image) and any(image[to:to & ~4095 | 4095]):
            differ("SEEK_HOLE found data at %d" % to)


def whole():
    if os.fstat(fd).st_size != len(image):
        differ("size %d, not %d" % (os.fstat(fd).st_size, len(image)))
    check(os.pread(fd, len(image) + 1, 0), bytes(image), 0)


OPS = ([op_read] * 10 + [op_direct_read] * 5 + [op_map_read] * 6 +
       [op_write] * 12 + [op_direct_write] * 6 + [op_append] * 4 +
       [op_map_write] * 10 + [op_truncate] * 8 + [op_fallocate] * 10 +
       [op_copy] * 8 + [op_clone] * 2 + [op_sync] * 2 + [op_drop] * 2 +
       [op_reopen] * 2 + [op_seek] * 5)

os.close(os.open(path, os.O_CREAT | os.O_TRUNC | os.O_RDWR))
fd, dfd, afd = opened()
kept = None
unsynced = False
for step in range(steps):
    rnd.choice(OPS)()
    if os.fstat(fd).st_size != len(image):
        differ("size %d, not %d" % (os.fstat(fd).st_size, len(image)))
    if step % 200 == 199:
        what = "reading it all"
        whole()
kept = None
whole()
with open(path + ".image", "wb") as out:
    out.write(image)
print("ok - fsx, seed %d, %d steps, up to %d bytes" % (seed, steps, MAX))
