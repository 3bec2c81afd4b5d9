#!/bin/sh
# POSIX ACLs: setting, the mode that follows, inheritance, enforcement.
# Serves: R30
. "$(dirname "$0")/../../lib.sh"
require_fuse
require_root
new_store
bucket docs
start_mount docs -o allow_other
chmod 755 "$M"

py <<'PY'
import random
from lib import *

ACC, DEF = "system.posix_acl_access", "system.posix_acl_default"
def mode(q): return stat.S_IMODE(os.lstat(q).st_mode)
def acc(q):
    try: return os.getxattr(q, ACC, follow_symlinks=False)
    except OSError as e: return name(e.errno)
def dflt(q):
    try: return os.getxattr(q, DEF, follow_symlinks=False)
    except OSError as e: return name(e.errno)
os.umask(0o022)

# ---- Setting, and the mode that follows.
f = p("f")
put(f, b"x", 0o640)
eq(acc(f), "ENODATA", "a new file has no ACL")
a = acl(("u", 6), ("u", 1001, 7), ("g", 4), ("g", 2000, 5), ("m", 6), ("o", 0))
os.setxattr(f, ACC, a)
eq(acc(f), a, "an ACL is read back as set")
eq(mode(f), 0o660, "the mode's group bits are the mask")
ok(ACC in os.listxattr(f), "it is listed")
os.chmod(f, 0o751)
eq(acc(f), acl(("u", 7), ("u", 1001, 7), ("g", 4), ("g", 2000, 5), ("m", 5),
               ("o", 1)), "chmod changes owner, mask and others")
c = os.stat(f).st_ctime_ns
os.setxattr(f, ACC, a)
ok(os.stat(f).st_ctime_ns > c, "setting an ACL changes ctime")
os.setxattr(f, ACC, acl(("u", 6), ("g", 4), ("o", 4)))
eq((mode(f), acc(f)), (0o644, "ENODATA"),
   "an ACL that is only a mode becomes the mode")
os.setxattr(f, ACC, acl(("u", 6), ("g", 4), ("m", 2), ("o", 4)))
eq((mode(f), acc(f)), (0o624, acl(("u", 6), ("g", 4), ("m", 2), ("o", 4))),
   "a mask alone makes it an ACL")
os.removexattr(f, ACC)
eq((mode(f), acc(f)), (0o624, "ENODATA"), "removing it leaves the mode")
works("removing it again", os.removexattr, f, ACC)
for bad, why in ((b"", "nothing"), (b"junkjunk", "junk"),
                 (a[:-1], "a byte short"), (a[:-8], "no others"),
                 (acl(("u", 6), ("u", 9, 7), ("g", 4), ("o", 0)), "no mask"),
                 (acl(("u", 6), ("g", 4), ("u", 9, 7), ("m", 7), ("o", 0)),
                  "wrong order"),
                 (acl(("u", 6), ("u", 6), ("g", 4), ("o", 0)), "two owners"),
                 (acl(("u", 15), ("g", 4), ("o", 0)), "odd permissions")):
    if bad:
        try:
            os.setxattr(f, ACC, bad)
            ok(False, "refused: " + why)
        except OSError as e:
            ok(e.errno in (errno.EINVAL, errno.EOPNOTSUPP), "refused: " + why)
eq((mode(f), acc(f)), (0o624, "ENODATA"), "and nothing has changed")
err(errno.EACCES, "a default ACL on a file", os.setxattr, f, DEF, a)
os.symlink("f", p("l"))
err(errno.EOPNOTSUPP, "an ACL on a symlink", os.setxattr, p("l"), ACC, a,
    follow_symlinks=False)
# As many entries as the kernel passes on: 511 in a page.
many = acl(("u", 7), *[("u", 3000 + i, i % 8) for i in range(500)], ("g", 5),
           ("m", 7), ("o", 0))
os.setxattr(f, ACC, many)
eq(acc(f), many, "an ACL of 504 entries")
os.chmod(f, 0o600)
eq(acc(f)[12:-16], many[12:-16], "chmod of it keeps the named ones")
os.removexattr(f, ACC)

# Who may.
os.chown(f, 1001, 2000)
eq(as_user(1001, 1, os.setxattr, f, ACC, a), 0, "the owner may set one")
eq(as_user(1002, 1, os.setxattr, f, ACC, a), errno.EPERM, "others may not")
eq(as_user(1002, 1, os.removexattr, f, ACC), errno.EPERM, "nor remove it")
eq(as_user(1002, 1, os.getxattr, f, ACC), 0, "but read it")
# The setgid bit goes when an owner outside the group sets one.
for groups, want in (((), 0o750), ((2000,), 0o2750)):
    os.chmod(f, 0o2750)
    as_user(1001, 1, os.setxattr, f, ACC,
            acl(("u", 7), ("g", 5), ("m", 5), ("o", 0)), groups=groups)
    eq(mode(f), want, "setgid when the setter's groups are %r" % (groups,))
os.removexattr(f, ACC)

# ---- Inheritance.
d = p("d")
os.mkdir(d)
da = acl(("u", 7), ("u", 1001, 7), ("g", 5), ("g", 2000, 6), ("m", 7), ("o", 1))
os.setxattr(d, DEF, da)
eq((dflt(d), acc(d), mode(d)), (da, "ENODATA", 0o755),
   "a default ACL does not concern the directory itself")
os.umask(0o077)
def expect(m):
    """What is left of da for a file made with mode m."""
    return (acl(("u", 7 & m >> 6), ("u", 1001, 7), ("g", 5), ("g", 2000, 6),
                ("m", 7 & m >> 3), ("o", 1 & m)), m & 0o771)
def check(q, m, what):
    e = expect(m)
    eq((acc(q), mode(q)), e, "%s: ACL and mode, whatever the umask" % what)
put(p("d", "f"), b"", 0o666)
check(p("d", "f"), 0o666, "create")
fd = os.open(p("d", "ro"), os.O_CREAT | os.O_WRONLY, 0o444)
os.write(fd, b"x")
os.close(fd)
check(p("d", "ro"), 0o444, "create 0444")
os.mknod(p("d", "reg"), stat.S_IFREG | 0o660)
check(p("d", "reg"), 0o660, "mknod of a file")
os.mkfifo(p("d", "fifo"), 0o606)
check(p("d", "fifo"), 0o606, "mkfifo")
os.mknod(p("d", "chr"), stat.S_IFCHR | 0o640, os.makedev(1, 3))
check(p("d", "chr"), 0o640, "mknod of a device")
fd = os.open(d, os.O_TMPFILE | os.O_RDWR, 0o646)
linkat_tmp(fd, p("d", "tmp"))
os.close(fd)
check(p("d", "tmp"), 0o646, "O_TMPFILE")
os.mkdir(p("d", "sub"), 0o750)
check(p("d", "sub"), 0o750, "mkdir")
eq(dflt(p("d", "sub")), da, "and the default goes on")
os.symlink("x", p("d", "sym"))
eq(os.lstat(p("d", "sym")).st_mode, stat.S_IFLNK | 0o777, "a symlink has 0777")
os.link(f, p("d", "hard"))
eq(mode(p("d", "hard")), mode(f), "a hard link inherits nothing")
os.rename(p("d", "hard"), p("d", "moved"))
eq(acc(p("d", "moved")), "ENODATA", "nor does a rename")
os.setxattr(d, DEF, acl(("u", 6), ("g", 4), ("o", 0)))
put(p("d", "plain"), b"", 0o777)
eq((acc(p("d", "plain")), mode(p("d", "plain"))), ("ENODATA", 0o640),
   "a default of only a mode leaves only a mode")
os.removexattr(d, DEF)
put(p("d", "after"), b"", 0o666)
eq((acc(p("d", "after")), mode(p("d", "after"))), ("ENODATA", 0o600),
   "without a default the umask counts again")
os.umask(0o022)

# ---- Enforcement, by the algorithm of acl(5), on random lists.
# (A list with a mask has more than three entries; e[1] is the group without.)
rnd = random.Random(int(os.environ.get("SEED", "7")))
IDS = ((1001, 2000, ()), (1002, 2000, (2001,)), (1003, 2002, (2001, 2002)),
       (1004, 2003, ()), (1005, 2003, (2000, 2001)))
os.mkdir(p("e"), 0o755)
lists = []
def r(): return rnd.randrange(8)
for i in range(300):
    us = sorted(rnd.sample((1001, 1002, 1003), rnd.randrange(3)))
    gs = sorted(rnd.sample((2000, 2001, 2002), rnd.randrange(3)))
    e = [("u", r())] + [("u", u, r()) for u in us] + [("g", r())]
    e += [("g", g, r()) for g in gs]
    if us or gs: e.append(("m", r()))
    e.append(("o", r()))
    owner, group = rnd.choice((1001, 1002, 0)), rnd.choice((2000, 2001, 0))
    put(p("e", str(i)))
    os.chown(p("e", str(i)), owner, group)
    os.setxattr(p("e", str(i)), ACC, acl(*e))
    lists.append((owner, group, e))
def allowed(entry, ident):
    owner, group, e = entry
    uid, gid, groups = ident
    mine = {gid, *groups}
    mask = [x[-1] for x in e if x[0] == "m"]
    mask = mask[0] if mask else 7
    # Linux does not look at a list when the mode's group bits are empty.
    if not (mask if len(e) > 3 else e[1][-1]) and uid != owner:
        return [0 if group in mine else e[-1][-1]]
    if uid == owner:
        return [x[-1] for x in e if x[0] == "u" and len(x) == 2]
    for x in e:
        if x[0] == "u" and len(x) == 3 and x[1] == uid:
            return [x[-1] & mask]
    hit = [x[-1] & mask for x in e if x[0] == "g" and
           (group if len(x) == 2 else x[1]) in mine]
    return hit if hit else [x[-1] for x in e if x[0] == "o"]
wrong = []
for ident in IDS:
    rd, wr = os.pipe()
    if os.fork() == 0:
        os.setgroups(ident[2])
        os.setresgid(*(ident[1],) * 3)
        os.setresuid(*(ident[0],) * 3)
        out = bytearray()
        for i in range(len(lists)):
            for want in range(1, 8):
                out.append(os.access(p("e", str(i)), want))
        os.write(wr, out)
        os._exit(0)
    os.close(wr)
    got = b""
    while True:
        b = os.read(rd, 1 << 16)
        if not b: break
        got += b
    os.close(rd)
    os.wait()
    n = 0
    for i, l in enumerate(lists):
        for want in range(1, 8):
            # All of it by one entry.
            right = any(x & want == want for x in allowed(l, ident))
            if n >= len(got) or bool(got[n]) != right:
                wrong.append((ident, l, want))
            n += 1
eq(wrong, [], "300 lists, 5 users, 7 questions each: the kernel's answers")
# Not only access(2).
os.setxattr(f, ACC, acl(("u", 6), ("u", 1002, 4), ("g", 0), ("m", 6), ("o", 0)))
def rd_(): os.close(os.open(f, os.O_RDONLY))
def wr_(): os.close(os.open(f, os.O_WRONLY))
eq(as_user(1002, 1, rd_), 0, "a named user reads")
eq(as_user(1002, 1, wr_), errno.EACCES, "but does not write")
eq(as_user(1003, 1, rd_), errno.EACCES, "others do not read")
eq(as_user(1003, 2000, rd_), errno.EACCES, "nor does the group")
os.chmod(f, 0o600)
eq(as_user(1002, 1, rd_), errno.EACCES, "a mask of 0 shuts named users out")
os.setxattr(p("d"), ACC, acl(("u", 7), ("u", 1002, 7), ("g", 5), ("m", 7),
                             ("o", 5)))
eq(as_user(1002, 1, put, p("d", "by1002")), 0, "a named user may create")
eq(as_user(1003, 1, put, p("d", "by1003")), errno.EACCES, "others may not")
eq(as_user(1002, 1, os.unlink, p("d", "by1002")), 0, "and remove")
os.setxattr(d, DEF, da)
os.setxattr(f, ACC, a)
PY

if command -v setfacl >/dev/null && command -v getfacl >/dev/null; then
	cd "$M" || exit 1
	ok "setfacl -m" setfacl -m u:1005:rw,g:2005:r,d:u:1005:rwx d
	like "getfacl shows the user" "$(getfacl -cn d 2>/dev/null)" '^user:1005:rw-$'
	like "and the default" "$(getfacl -cn d 2>/dev/null)" '^default:user:1005:rwx$'
	touch d/new
	like "inherited" "$(getfacl -cn d/new 2>/dev/null)" '^user:1005:rwx'
	ok "setfacl -x" setfacl -x u:1005 d
	unlike "removed" "$(getfacl -cn d 2>/dev/null)" '^user:1005'
	ok "setfacl -b" setfacl -b d/new
	unlike "nothing extended is left" "$(getfacl -cn d/new 2>/dev/null)" '^user:[0-9]'
	ok "setfacl -k" setfacl -k d
	unlike "no default" "$(getfacl -cn d 2>/dev/null)" '^default'
	ok "cp -a" cp -a f f2
	is "copies an ACL" "$(getfacl -cn f2 2>/dev/null)" "$(getfacl -cn f 2>/dev/null)"
	setfacl -d -m u:1001:rwx d
	cd /
fi
remount
py <<'PY'
from lib import *
a = acl(("u", 6), ("u", 1001, 7), ("g", 4), ("g", 2000, 5), ("m", 6), ("o", 0))
eq(os.getxattr(p("f"), "system.posix_acl_access"), a, "an ACL after a remount")
ok(os.getxattr(p("d"), "system.posix_acl_default"),
   "a default ACL after a remount")
PY
# Where the kernel does not check, or shows another owner, there are no ACLs.
for o in nodefault_permissions uid=7 umask=027; do
	stop_mount
	start_mount docs -o "allow_other,$o"
	errno "$o: no ACLs" ENOTSUP setfattr -n system.posix_acl_access \
	    -v 0x02000000 "$M/f"
	unlike "$o: none listed" "$(getfattr -d -m - "$M/f" 2>&1)" posix_acl
done
done_testing
