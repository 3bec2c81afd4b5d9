"""soak.py K SEED SECONDS DIR: one process of the load, content checked.

Keeps in memory what every file of its own directory DIR holds, and compares at
each read.  SIGUSR1: close all, say "paused" on stdout, wait for SIGUSR1, compare
everything.
Prints the number of operations and of bytes compared at the end; the first
difference ends it with 1.
"""
import errno
import os
import random
import signal
import sys
import time

k, seed, seconds, top = (int(sys.argv[1]), int(sys.argv[2]),
                         int(sys.argv[3]), sys.argv[4])
rnd = random.Random(seed * 1000 + k)
files, open_fds, pause = {}, {}, [False]
done = compared = 0
signal.signal(signal.SIGUSR1, lambda *a: pause.__setitem__(0, True))
FILES_MAX, SIZE_MAX = 60, 3 << 20


def path(n):
    return "%s/%s" % (top, n)


def size():
    return min(SIZE_MAX, int(2 ** rnd.uniform(0, 21)))


def fd_of(n):
    if n not in open_fds:
        if len(open_fds) > 15:
            os.close(open_fds.pop(rnd.choice(list(open_fds))))
        open_fds[n] = os.open(path(n), os.O_RDWR)
    return open_fds[n]


def forget(n):
    if n in open_fds:
        os.close(open_fds.pop(n))


def full_write(fd, data, at):
    while data:
        w = os.pwrite(fd, data, at)
        data, at = data[w:], at + w


def put(n, at, data):
    b = files[n]
    if len(b) < at:
        b.extend(bytes(at - len(b)))
    b[at:at + len(data)] = data


def op_new():
    n = "f%d" % done
    data = rnd.randbytes(size())
    with open(path(n), "xb") as f:
        f.write(data)
    files[n] = bytearray(data)


def op_write(n):
    at = rnd.randrange(len(files[n]) + 5000)
    data = rnd.randbytes(size())
    full_write(fd_of(n), data, at)
    put(n, at, data)


def op_append(n):
    data = rnd.randbytes(rnd.randrange(1, 9000))
    with open(path(n), "ab") as f:
        f.write(data)
    put(n, len(files[n]), data)


def op_truncate(n):
    to = rnd.randrange(len(files[n]) * 2 + 1)
    os.truncate(path(n), to)
    b = files[n]
    del b[to:]
    b.extend(bytes(to - len(b)))


def op_rename(n):
    to = rnd.choice(list(files)) if rnd.random() < .3 else (
        "r%d" % done)
    if to == n:
        return
    forget(n)
    forget(to)
    os.rename(path(n), path(to))
    files[to] = files.pop(n)


def op_unlink(n):
    forget(n)
    os.unlink(path(n))
    del files[n]


def op_link(n):
    os.link(path(n), path("link"))
    os.unlink(path(n))
    forget(n)
    os.rename(path("link"), path(n))


def op_copy(n):
    m = rnd.choice(list(files))
    if m == n:
        return
    want = len(files[n])
    with open(path(n), "rb") as a, open(path(m), "r+b") as b:
        left = want
        while left:
            left -= os.copy_file_range(a.fileno(), b.fileno(), left,
                                       want - left, want - left)
    put(m, 0, bytes(files[n]))


def op_xattr(n):
    v = rnd.randbytes(rnd.randrange(300))
    os.setxattr(path(n), "user.soak", v)
    check(os.getxattr(path(n), "user.soak") == v, n, "user.soak")


def op_dir(n):
    d = path("d%d" % rnd.randrange(5))
    os.makedirs(d, exist_ok=True)
    os.rename(path(n), d + "/x")
    forget(n)
    try:
        os.rmdir(d)
        check(False, d, "rmdir of a full directory")
    except OSError as e:
        check(e.errno == errno.ENOTEMPTY, d, "rmdir: %s" % e)
    os.rename(d + "/x", path(n))
    os.rmdir(d)


def op_sync(n):
    os.fsync(fd_of(n))


def check(good, n, what):
    if not good:
        print("%s: %s is not what it should be (process %d, operation %d)" % (
            n, what, k, done))
        sys.exit(1)


def op_read(n):
    global compared
    b = files[n]
    at = rnd.randrange(len(b) + 1)
    got = os.pread(fd_of(n), 300000, at)
    check(got == b[at:at + len(got)], n, "the content at %d" % at)
    check(len(got) == min(300000, len(b) - at), n, "the length read")
    check(os.fstat(fd_of(n)).st_size == len(b), n, "the size")
    compared += len(got)


def verify_all():
    global compared
    check(sorted(os.listdir(top)) == sorted(files), top, "the list of names")
    for n, b in files.items():
        with open(path(n), "rb") as f:
            check(f.read() == b, n, "the content")
        compared += len(b)


def rest():
    for n in list(open_fds):
        forget(n)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    pause[0] = False
    print("paused", flush=True)
    signal.sigwait({signal.SIGUSR1})
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
    verify_all()


OPS = ((op_read, 30), (op_write, 14), (op_append, 10), (op_truncate, 6),
       (op_rename, 8), (op_unlink, 5), (op_link, 3), (op_copy, 3),
       (op_xattr, 4), (op_dir, 3), (op_sync, 2))
os.makedirs(top, exist_ok=True)
end = time.monotonic() + seconds
while time.monotonic() < end:
    if pause[0]:
        rest()
    if len(files) < 10 or (len(files) < FILES_MAX and rnd.random() < .1):
        op_new()
    else:
        rnd.choices([o for o, _ in OPS], [w for _, w in OPS])[0](
            rnd.choice(list(files)))
    done += 1
verify_all()
for n in list(files):
    op_unlink(n)
os.rmdir(top)
print("%d operations, %d MiB compared" % (done, compared >> 20), flush=True)
