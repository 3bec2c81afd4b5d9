"""Random calls by several users on a mount and on a mirror directory.

    posixmodel.py MOUNT MIRROR SEED STEPS

Where mountmodel.py looks at content, this looks at who may do what and what it
changes: each call is made on both sides as the same user, with the same umask.
Both must end in the same result or the same errno.  After each step every
path there can be is compared: kind, mode, owners, links, size, device number,
ACLs and which names are one file; and which times the step changed, on which
objects (of a failed call: none).  Access times are left out: the mirror's
clock ticks, and it is the later of two that counts.  Needs root; the mirror
must know ACLs.  Prints one TAP line; the seed repeats a run, MODEL_TRACE shows
it.
"""
import os
import random
import stat
import sys
import time

from lib import (KEEP_SIZE, PUNCH_HOLE, RENAME_EXCHANGE, RENAME_NOREPLACE,
                 UTIME_NOW, UTIME_OMIT, ZERO_RANGE, acl, fallocate, linkat_tmp,
                 name, renameat2, utimensat)

mount, mirror, seed, steps = (sys.argv[1], sys.argv[2], int(sys.argv[3]),
                              int(sys.argv[4]))
rnd = random.Random(seed)
ROOTS = (mount, mirror)
NAMES = ("a", "b", "c", "d")
PATHS = [x for x in NAMES]
PATHS += [x + "/" + y for x in NAMES for y in NAMES]
PATHS += [x + "/" + y + "/" + z for x in "ab" for y in "ab" for z in NAMES]
USERS = ((0, 0, ()), (0, 0, ()), (1001, 1001, ()), (1002, 1002, (1001,)),
         (1003, 2000, (2001, 1002)), (1004, 2001, ()))
IDS = (-1, 0, 1001, 1002, 1003, 2000, 2001)
ACCESS, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"
what = "start"
step = 0
done = True


def differ(text):
    print("not ok - posix model, seed %d" % seed)
    print("# step %d: %s" % (step, what))
    print("# %s" % text)
    sys.exit(1)


def pick(there=0.8):
    """A path, with that probability one that exists (or should)."""
    known = [q for q in PATHS if state[1][q][0] == 0]
    q = rnd.choice(known if known and rnd.random() < there else PATHS)
    if rnd.random() < 0.15:
        q += rnd.choice(("/", "/.", "/..", "/" + rnd.choice(NAMES),
                         "/" + "n" * 256))
    return q


def pick_new():
    return pick(0.2)


def pick_mode():
    return rnd.choice((0, 0o7777, 0o777, 0o755, 0o700, 0o2777, 0o1777, 0o6755,
                       0o2644, 0o4711, 0o750, 0o070, 0o007,
                       rnd.randrange(0o10000)))


def pick_acl():
    ids = sorted(rnd.sample((1001, 1002, 1003, 1004), rnd.randrange(3)))
    gids = sorted(rnd.sample((1001, 2000, 2001), rnd.randrange(3)))
    def r():
        return rnd.randrange(8)
    e = [("u", r())] + [("u", i, r()) for i in ids] + [("g", r())]
    e += [("g", i, r()) for i in gids]
    if ids or gids or rnd.random() < 0.3:
        e.append(("m", r()))
    return acl(*e, ("o", r()))


def become(user):
    uid, gid, groups = user
    os.setgroups(groups)
    os.setresgid(gid, gid, 0)
    os.setresuid(uid, uid, 0)


def both(fn, *words, users=USERS):
    """fn(path maker) on both sides, as one user with one umask."""
    global what, done
    user, mask = rnd.choice(users), rnd.choice((0, 0o022, 0o077, 0o027))
    what = "%s %s (uid %d, umask %03o)" % (
        fn.__name__.replace("<lambda>", "").strip("_"), " ".join(map(str, words)).replace("n" * 256, "n..."),
        user[0], mask)
    out = []
    os.umask(mask)
    for root in ROOTS:
        become(user)
        try:
            out.append((0, fn(lambda q: root + "/" + q)))
        except OSError as e:
            out.append((e.errno, None))
        finally:
            os.setresuid(0, 0, 0)
            os.setresgid(0, 0, 0)
            os.setgroups(())
    if "MODEL_TRACE" in os.environ:
        print("# %d %s: %s" % (step, what, name(out[1][0])), file=sys.stderr)
    if out[0] != out[1]:
        differ("mount: %s %.200r, mirror: %s %.200r" % (
            name(out[0][0]), out[0][1], name(out[1][0]), out[1][1]))
    done = out[1][0] == 0


def attempt(fn, *a):
    try:
        r = fn(*a)
        return 0 if isinstance(r, bytes) or r is None else r
    except OSError as e:
        return name(e.errno)


# ---- Calls -------------------------------------------------------------------

def op_open():
    q, mode = pick(), pick_mode()
    flags = rnd.choice((os.O_RDONLY, os.O_WRONLY, os.O_RDWR))
    for f, p in ((os.O_CREAT, 0.5), (os.O_EXCL, 0.2), (os.O_TRUNC, 0.3),
                 (os.O_APPEND, 0.2), (os.O_NOFOLLOW, 0.2),
                 (os.O_DIRECTORY, 0.1), (os.O_PATH, 0.1), (os.O_SYNC, 0.1)):
        if rnd.random() < p:
            flags |= f
    data = bytes(rnd.randrange(1, 5000)) if rnd.random() < 0.5 else b""
    size, m2 = rnd.randrange(9000), pick_mode()
    ids = rnd.choice(IDS), rnd.choice(IDS[1:])
    more = [rnd.randrange(8) for _ in range(2)]

    def open_(at):
        fd = os.open(at(q), flags | os.O_NONBLOCK, mode)
        try:
            st = os.fstat(fd)
            out = [stat.S_IFMT(st.st_mode)]
            # What passes through a fifo moves none of its times here.
            if data and stat.S_ISREG(st.st_mode):
                out.append(attempt(os.write, fd, data))
            for m in more:
                if m == 0:
                    out.append(attempt(os.ftruncate, fd, size))
                elif m == 1:
                    out.append(attempt(os.fchmod, fd, m2))
                elif m == 2:
                    out.append(attempt(os.fchown, fd, *ids))
                elif m == 3 and stat.S_ISREG(st.st_mode):
                    out.append(attempt(fallocate, fd, rnd_mode, 0, size + 1))
            return out
        finally:
            os.close(fd)
    rnd_mode = rnd.choice((0, KEEP_SIZE, PUNCH_HOLE | KEEP_SIZE, ZERO_RANGE,
                           64, 1 << 20))
    both(open_, q, oct(flags), oct(mode), len(data), more, size, oct(m2), ids)


def op_tmpfile():
    q, to, mode = pick(), pick_new(), pick_mode()
    excl = rnd.choice((0, 0, os.O_EXCL))

    def tmpfile(at):
        fd = os.open(at(q), os.O_TMPFILE | os.O_RDWR | excl, mode)
        try:
            os.write(fd, b"tmp")
            st = os.fstat(fd)
            return (st.st_mode, st.st_uid, st.st_gid, st.st_nlink,
                    attempt(linkat_tmp, fd, at(to)))
        finally:
            os.close(fd)
    both(tmpfile, q, to, oct(mode), excl)


def op_mkdir():
    q, mode = pick_new(), pick_mode()
    both(lambda at: os.mkdir(at(q), mode), "mkdir", q, oct(mode))


def op_mknod():
    q, mode = pick_new(), pick_mode()
    kind = rnd.choice((stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFREG, stat.S_IFCHR,
                       stat.S_IFBLK, stat.S_IFDIR))
    dev = os.makedev(rnd.randrange(3000, 4096), rnd.randrange(1 << 20))

    def mknod(at):
        os.mknod(at(q), kind | mode, dev)
    both(mknod, q, oct(kind | mode))


def op_symlink():
    q = pick_new()
    t = rnd.choice(NAMES + ("../a", "../b", "a/b", "../../c", ".", "..", "",
                            "x" * 300, "gone"))
    both(lambda at: os.symlink(t, at(q)), "symlink", t, q)


def op_readlink():
    q = pick()
    both(lambda at: os.readlink(at(q)), "readlink", q)


def op_link():
    a, b, follow = pick(), pick_new(), rnd.random() < 0.3
    both(lambda at: os.link(at(a), at(b), follow_symlinks=follow), "link", a,
         b, follow)


def op_unlink():
    q = pick()
    both(lambda at: os.unlink(at(q)), "unlink", q)


def op_rmdir():
    q = pick()
    both(lambda at: os.rmdir(at(q)), "rmdir", q)


def op_rename():
    a, b = pick(), pick()
    flags = rnd.choice((0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE, 3, 8))
    both(lambda at: renameat2(at(a), at(b), flags), "rename", flags, a, b)


def op_chmod():
    q, mode = pick_new(), pick_mode()
    both(lambda at: os.chmod(at(q), mode), "chmod", q, oct(mode))


def op_chown():
    q, u, g = pick(), rnd.choice(IDS), rnd.choice(IDS)
    fn = rnd.choice((os.chown, os.lchown))
    # What is set-id the kernel refuses to others for their -1, -1: not here.
    both(lambda at: fn(at(q), u, g), fn.__name__, q, u, g,
         users=USERS[:1] if u == g == -1 else USERS)


def op_truncate():
    q, n = pick(), rnd.choice((0, 1, 5000, rnd.randrange(9000)))
    both(lambda at: os.truncate(at(q), n), "truncate", q, n)


def op_utimens():
    q = pick()
    t = [rnd.choice((UTIME_NOW, UTIME_OMIT, (rnd.randrange(1, 1 << 33),
                                             rnd.randrange(10 ** 9)),
                     (5, 1 << 30)))
         for _ in range(2)]
    flags = rnd.choice((0, 0, 0x100))
    both(lambda at: utimensat(at(q), t[0], t[1], flags), "utimens", q, t,
         flags)


def op_access():
    q, m = pick(), rnd.randrange(8)
    eff = rnd.random() < 0.5
    both(lambda at: os.access(at(q), m, effective_ids=eff), "access", q, m,
         eff)


def op_stat():
    q, follow = pick(), rnd.random() < 0.5

    def stat_(at):
        st = os.stat(at(q), follow_symlinks=follow)
        return (st.st_mode, st.st_uid, st.st_gid, st.st_nlink, st.st_rdev,
                0 if stat.S_ISDIR(st.st_mode) else st.st_size)
    both(stat_, q, follow)


def op_list():
    q = pick()
    both(lambda at: sorted(os.listdir(at(q))), "list", q)


def op_acl():
    q, which = pick(), rnd.choice((ACCESS, ACCESS, DEFAULT))
    value, kind = pick_acl(), rnd.randrange(6)
    if kind == 0:
        value = value[:rnd.randrange(len(value))]
    if kind == 1:
        i = rnd.randrange(len(value))
        value = value[:i] + bytes([value[i] ^ 1 << rnd.randrange(8)]) + \
            value[i + 1:]
    follow = rnd.random() < 0.9

    def acl_(at):
        if kind == 2:
            os.removexattr(at(q), which, follow_symlinks=follow)
        elif kind == 3:
            return os.getxattr(at(q), which, follow_symlinks=follow)
        else:
            os.setxattr(at(q), which, value, follow_symlinks=follow)
    both(acl_, q, which[-7:], kind, value.hex(), follow)


def op_xattr():
    q, flags, kind = pick(), rnd.randrange(3), rnd.randrange(4)
    k = rnd.choice(("user.x", "user.x", "user.y", "trusted.x", "security.x",
                    "system.x", "odd.x", "user."))

    def xattr(at):
        if kind == 0:
            os.removexattr(at(q), k, follow_symlinks=False)
        elif kind == 1:
            return os.getxattr(at(q), k, follow_symlinks=False)
        elif kind == 2:
            return sorted(x for x in os.listxattr(at(q), follow_symlinks=False)
                          if not x.startswith("user.sse."))
        else:
            # A value of its own: the same one again is no change for some.
            os.setxattr(at(q), k, b"%d" % step, flags, follow_symlinks=False)
    both(xattr, k, q, flags, kind)


OPS = ([op_open] * 14 + [op_tmpfile] * 3 + [op_mkdir] * 14 + [op_mknod] * 5 +
       [op_symlink] * 4 + [op_readlink] * 2 + [op_link] * 4 + [op_unlink] * 5 +
       [op_rmdir] * 4 + [op_rename] * 10 + [op_chmod] * 10 + [op_chown] * 10 +
       [op_truncate] * 4 + [op_utimens] * 6 + [op_access] * 5 + [op_stat] * 4 +
       [op_list] * 3 + [op_acl] * 10 + [op_xattr] * 5)


# ---- Looking -----------------------------------------------------------------

def look(root, acls):
    out, first = {}, {}
    for q in [""] + PATHS:
        p = root + "/" + q
        try:
            st = os.lstat(p)
        except OSError as e:
            out[q] = (e.errno,)
            continue
        isdir = stat.S_ISDIR(st.st_mode)
        lists = ()
        if acls and not stat.S_ISLNK(st.st_mode):
            lists = tuple(attempt_get(p, k) for k in (ACCESS, DEFAULT))
        out[q] = (0, st.st_mode, st.st_uid, st.st_gid, st.st_nlink,
                  0 if isdir else st.st_size,
                  st.st_rdev, first.setdefault(st.st_ino, q), lists,
                  (st.st_mtime_ns, st.st_ctime_ns), st.st_ino)
    return out


def attempt_get(p, k):
    try:
        return os.getxattr(p, k)
    except OSError as e:
        return name(e.errno)


def moved(before, after):
    """Which times changed, of objects known before by any path."""
    old = {}
    for row in before.values():
        if row[0] == 0:
            old[row[10]] = row[9]
    out = {}
    for q, row in after.items():
        if row[0] == 0 and row[10] in old:
            out[q] = "".join(x for x, a, b in zip("mc", old[row[10]], row[9])
                             if a != b)
    return out


def compare(before, acls):
    now = time.time_ns()
    after = [look(root, acls) for root in ROOTS]
    for q in after[0]:
        a, b = after[0][q], after[1][q]
        if a[:9] != b[:9]:
            differ("%r: mount %r, mirror %r" % (q, a[:9], b[:9]))
        if a[0] == 0:
            for x, y in zip(a[9], b[9]):
                if min(abs(x - now), abs(y - now)) > 10 ** 13 and x != y:
                    differ("%r: time %r, mirror %r" % (q, x, y))
    ch = [moved(x, y) for x, y in zip(before, after)]
    for q in ch[0]:
        if ch[0][q] != ch[1].get(q):
            differ("%r: times changed on the mount: %r, mirror: %r" % (
                q, ch[0][q], ch[1].get(q)))
    if not done and any(ch[1].values()):
        differ("it failed, but changed times: %r" % ch[1])
    return after


# Links to ".." lead out of the tree that is compared, to places of their own.
ROOTS = tuple(root + "/x/y/z" for root in ROOTS)
for root in ROOTS:
    os.makedirs(root, exist_ok=True)
    os.chmod(root, 0o777)
    utimensat(root, (1, 1), (1, 1))
state = [look(root, True) for root in ROOTS]
for step in range(steps):
    op = rnd.choice(OPS)
    op()
    state = compare(state, step % 8 == 0 or op is op_acl)
what = "comparing at the end"
done = True
state = [look(root, True) for root in ROOTS]
compare(state, True)
print("ok - posix model, seed %d, %d steps" % (seed, steps))
