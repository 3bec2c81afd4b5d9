"""Random operations on a mount and on a mirror directory of another filesystem.

    mountmodel.py MOUNT MIRROR SEED STEPS

Each operation runs on both sides; both must succeed with the same result or
fail with the same errno.  Every 100 steps, and at the end, names, attributes,
link structure, xattrs and content of both trees are compared.  Prints one TAP
line; the seed repeats a run.  Run again with STEPS 0 it only compares.
"""
import os
import random
import stat
import sys

from lib import (KEEP_SIZE, PUNCH_HOLE, RENAME_EXCHANGE, RENAME_NOREPLACE,
                 ZERO_RANGE, fallocate, name, renameat2, utimensat)

mount, mirror, seed, steps = (sys.argv[1], sys.argv[2], int(sys.argv[3]),
                              int(sys.argv[4]))
rnd = random.Random(seed)
NAMES = ["a", "a!", "a0", "b", "b c", "c", "d.d", "e", "long-" * 40, "\u00e9"]
open_files = []     # pairs of descriptors
what = "start"


def differ(text):
    print("not ok - mount model, seed %d" % seed)
    print("# step %d: %s" % (step, what))
    print("# %s" % text)
    sys.exit(1)


def pick_path():
    return "/".join(rnd.choice(NAMES) for _ in range(rnd.choice((1, 1, 2, 2,
                                                                 3))))


def pick_size():
    return rnd.choice((0, 1, 1023, 1024, 1025, 4095, 4096, 4097, 8192, 262144,
                       rnd.randrange(10000), rnd.randrange(10000),
                       rnd.randrange(400000)))


def both(fn):
    """fn(root, side) on both sides; the same result or the same errno."""
    out = []
    for side, root in enumerate((mount, mirror)):
        try:
            out.append((0, fn(root, side)))
        except OSError as e:
            out.append((e.errno, None))
    if out[0] != out[1]:
        differ("mount: %s %.200r, mirror: %s %.200r" % (
            name(out[0][0]), out[0][1], name(out[1][0]), out[1][1]))
    return out[0][0] == 0


def say(*words):
    global what
    what = " ".join(str(w) for w in words)
    if "MODEL_TRACE" in os.environ:
        print("# %d %s" % (step, what), file=sys.stderr)


def op_create():
    q, mode, excl = pick_path(), rnd.randrange(0o1000), rnd.random() < 0.3
    data = rnd.randbytes(pick_size())
    say("create", q, oct(mode), len(data), excl)

    def fn(root, side):
        fd = os.open(root + "/" + q, os.O_CREAT | os.O_WRONLY |
                     (os.O_EXCL if excl else 0), mode)
        try:
            os.pwrite(fd, data, 0)
        finally:
            os.close(fd)
    both(fn)


def op_mkdir():
    q = pick_path()
    say("mkdir", q)
    both(lambda root, side: os.mkdir(root + "/" + q))


def op_remove():
    q, fn = pick_path(), rnd.choice((os.unlink, os.unlink, os.rmdir))
    say(fn.__name__, q)
    both(lambda root, side: fn(root + "/" + q))


def op_rename():
    a, b = pick_path(), pick_path()
    flags = rnd.choice((0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE))
    say("rename", flags, a, b)
    both(lambda root, side: renameat2(root + "/" + a, root + "/" + b, flags))


def op_link():
    a, b = pick_path(), pick_path()
    say("link", a, b)
    both(lambda root, side: os.link(root + "/" + a, root + "/" + b,
                                    follow_symlinks=False))


def op_symlink():
    q, t = pick_path(), rnd.choice(NAMES)
    say("symlink", t, q)
    both(lambda root, side: os.symlink(t, root + "/" + q))


def op_open():
    q = pick_path()
    say("open", q)
    pair = [None, None]

    def fn(root, side):
        if not stat.S_ISREG(os.lstat(root + "/" + q).st_mode):
            raise OSError(22, "no regular file")
        pair[side] = os.open(root + "/" + q, os.O_RDWR | os.O_NOFOLLOW)
    if both(fn):
        open_files.append(pair)


def op_close():
    if open_files:
        say("close")
        for fd in open_files.pop(rnd.randrange(len(open_files))):
            os.close(fd)


def with_open(fn):
    if open_files:
        pair = rnd.choice(open_files)
        both(lambda root, side: fn(pair[side]))


def op_write():
    off, data = pick_size(), rnd.randbytes(1 + pick_size())
    say("write", off, len(data))
    with_open(lambda fd: os.pwrite(fd, data, off))


def op_read():
    off, n = pick_size(), 1 + pick_size()
    say("read", off, n)
    with_open(lambda fd: os.pread(fd, n, off))


def op_ftruncate():
    n = pick_size()
    say("ftruncate", n)
    with_open(lambda fd: os.ftruncate(fd, n))


def op_truncate():
    q, n = pick_path(), pick_size()
    say("truncate", q, n)
    both(lambda root, side: os.truncate(root + "/" + q, n))


def op_fallocate():
    mode = rnd.choice((0, KEEP_SIZE, PUNCH_HOLE | KEEP_SIZE, ZERO_RANGE,
                       ZERO_RANGE | KEEP_SIZE))
    off, n = pick_size(), 1 + pick_size()
    say("fallocate", mode, off, n)
    with_open(lambda fd: fallocate(fd, mode, off, n))


def op_copy():
    if not open_files:
        return
    a, b = rnd.choice(open_files), rnd.choice(open_files)
    so, do, n = pick_size(), pick_size(), 1 + pick_size()
    if a is b or os.fstat(a[1]).st_ino == os.fstat(b[1]).st_ino:
        return
    say("copy", so, do, n)

    def fn(root, side):
        done = 0
        while done < n:
            k = os.copy_file_range(a[side], b[side], n - done, so + done,
                                   do + done)
            if k == 0:
                break
            done += k
        return done
    both(fn)


def op_fsync():
    say("fsync")
    with_open(os.fsync)


def op_attr():
    q = pick_path()
    mode, uid, gid = rnd.randrange(0o1000), rnd.randrange(4), rnd.randrange(4)
    t = (rnd.randrange(1 << 31), rnd.randrange(10 ** 9))
    kind = rnd.randrange(3)
    say("attr", kind, q)

    def fn(root, side):
        if kind == 0:
            if not os.path.islink(root + "/" + q):
                os.chmod(root + "/" + q, mode)
        elif kind == 1:
            os.lchown(root + "/" + q, uid, gid)
        else:
            utimensat(root + "/" + q, t, t, 0x100)
    both(fn)


def op_xattr():
    q, k = pick_path(), "user.x%d" % rnd.randrange(4)
    v, flags = rnd.randbytes(rnd.randrange(300)), rnd.randrange(3)
    remove = rnd.random() < 0.3
    say("xattr", q, k, flags, remove)

    def fn(root, side):
        if os.path.islink(root + "/" + q):
            return
        if remove:
            os.removexattr(root + "/" + q, k)
        else:
            os.setxattr(root + "/" + q, k, v, flags)
    both(fn)


OPS = ([op_create] * 12 + [op_mkdir] * 5 + [op_remove] * 6 + [op_rename] * 9 +
       [op_link] * 3 + [op_symlink] * 2 + [op_open] * 6 + [op_close] * 4 +
       [op_write] * 14 + [op_read] * 6 + [op_ftruncate] * 5 +
       [op_truncate] * 3 + [op_fallocate] * 6 + [op_copy] * 5 + [op_fsync] * 2 +
       [op_attr] * 4 + [op_xattr] * 4)


def describe(root):
    out, inos = {}, {}
    for d, dirs, files in os.walk(root):
        for n in dirs + files:
            q = os.path.join(d, n)
            st = os.lstat(q)
            row = {"mode": st.st_mode, "uid": st.st_uid, "gid": st.st_gid}
            first = inos.setdefault(st.st_ino, os.path.relpath(q, root))
            if not stat.S_ISDIR(st.st_mode):
                row["nlink"] = st.st_nlink
                row["size"] = st.st_size
            if stat.S_ISREG(st.st_mode):
                with open(q, "rb") as f:
                    row["data"] = f.read()
            if stat.S_ISLNK(st.st_mode):
                row["target"] = os.readlink(q)
            else:
                row["xattr"] = {x: os.getxattr(q, x) for x in os.listxattr(q)
                                if not x.startswith(("user.s3.", "user.sse.",
                                                     "security."))}
            row["first"] = first if row.get("nlink", 1) > 1 else None
            out[os.path.relpath(q, root)] = row
    # Which of several names comes first depends on the order of listing.
    groups = {}
    for q, row in out.items():
        if row["first"] is not None:
            groups.setdefault(row["first"], []).append(q)
    for members in groups.values():
        for q in members:
            out[q]["first"] = sorted(members)
    return out


def compare():
    a, b = describe(mount), describe(mirror)
    if sorted(a) != sorted(b):
        differ("names: only on the mount %r, only on the mirror %r" % (
            sorted(set(a) - set(b))[:5], sorted(set(b) - set(a))[:5]))
    for q in a:
        for k in a[q]:
            if a[q][k] != b[q][k]:
                differ("%r: %s: mount %.200r, mirror %.200r" % (q, k, a[q][k],
                                                                b[q][k]))


os.umask(0)
for step in range(steps):
    rnd.choice(OPS)()
    if len(open_files) > 12:
        op_close()
    if step % 100 == 99:
        what = "comparing"
        compare()
step = steps
what = "comparing at the end"
compare()
print("ok - mount model, seed %d, %d steps" % (seed, steps))
