#!/bin/sh
# Extended attributes of users and of root.
# Serves: R30
. "$(dirname "$0")/../../lib.sh"
require_fuse
require_root
new_store
bucket docs
start_mount docs -o allow_other

py <<'PY'
from lib import *

f = p("f")
put(f, b"x")
own = set(os.listxattr(f))
XC, XR = os.XATTR_CREATE, os.XATTR_REPLACE
os.setxattr(f, "user.a", b"1")
eq(os.getxattr(f, "user.a"), b"1", "set and get")
os.setxattr(f, "user.a", b"")
eq(os.getxattr(f, "user.a"), b"", "an empty value")
err(errno.EEXIST, "CREATE over one that exists", os.setxattr, f, "user.a",
    b"2", XC)
err(errno.ENODATA, "REPLACE of one that does not", os.setxattr, f, "user.b",
    b"2", XR)
os.setxattr(f, "user.b", b"2", XC)
os.setxattr(f, "user.b", b"3", XR)
eq(os.getxattr(f, "user.b"), b"3", "CREATE, then REPLACE")
err(errno.ENODATA, "get of none", os.getxattr, f, "user.none")
err(errno.ENODATA, "remove of none", os.removexattr, f, "user.none")
os.removexattr(f, "user.b")
err(errno.ENODATA, "removed", os.getxattr, f, "user.b")
for n in (1, 100, 4096, 65535, 65536):
    v = pattern(n, n)
    os.setxattr(f, "user.big", v)
    if os.getxattr(f, "user.big") != v: ok(False, "a value of %d" % n)
ok(True, "values up to 64 KiB")
try:
    os.setxattr(f, "user.big", b"x" * 65537)
    ok(False, "a value over 64 KiB is refused")
except OSError as e:
    ok(e.errno in (errno.E2BIG, errno.ERANGE), "a value over 64 KiB is refused")
os.removexattr(f, "user.big")
long = "user." + "n" * 250
os.setxattr(f, long, b"long")
eq(os.getxattr(f, long), b"long", "a name of 255 bytes")
err(errno.ERANGE, "a name of 256 bytes", os.setxattr, f, long + "n", b"x")
os.removexattr(f, long)
os.setxattr(f, "user.caf\u00e9 \n=\"", b"\0\xff\n")
eq(os.getxattr(f, "user.caf\u00e9 \n=\""), b"\0\xff\n", "odd names and values")
os.removexattr(f, "user.caf\u00e9 \n=\"")
names = {"user.n%03d" % i for i in range(200)}
for n in names: os.setxattr(f, n, n.encode())
eq(set(os.listxattr(f)) - own, names | {"user.a"}, "200 are listed")
eq([n for n in names if os.getxattr(f, n) != n.encode()], [], "and right")
# The size probe: a short buffer is ERANGE, size 0 gives the length.
r = libc.getxattr(f.encode(), b"user.n000", ctypes.create_string_buffer(3), 3)
eq((r, ctypes.get_errno()), (-1, errno.ERANGE), "a short buffer")
eq(libc.getxattr(f.encode(), b"user.n000", None, 0), 9, "the size probe")
r = libc.listxattr(f.encode(), ctypes.create_string_buffer(3), 3)
eq((r, ctypes.get_errno()), (-1, errno.ERANGE), "a short list buffer")
for n in names: os.removexattr(f, n)
os.mkdir(p("d"))
os.setxattr(p("d"), "user.dir", b"yes")
eq(os.getxattr(p("d"), "user.dir"), b"yes", "on a directory")
err(errno.EOPNOTSUPP, "a namespace that is none", os.setxattr, f, "odd.x",
    b"x")
os.symlink("f", p("l"))
err(errno.EPERM, "user xattr on a symlink", os.setxattr, p("l"), "user.x",
    b"x", follow_symlinks=False)
works("trusted by root", os.setxattr, f, "trusted.t", b"root")
eq(os.getxattr(f, "trusted.t"), b"root", "and its value")
works("security by root", os.setxattr, f, "security.t", b"sec")
works("trusted on a symlink", os.setxattr, p("l"), "trusted.t", b"x",
      follow_symlinks=False)
def hidden():
    if "trusted.t" in os.listxattr(f): raise OSError(1, "listed")
os.chmod(M, 0o755)
eq(as_user(1000, 1000, hidden), 0, "trusted names are hidden from users")
os.chmod(f, 0o600)
err_read = as_user(1000, 1000, os.getxattr, f, "user.a")
eq(err_read, errno.EACCES, "reading needs read permission")
os.chmod(f, 0o644)
eq(as_user(1000, 1000, os.setxattr, f, "user.a", b"x"), errno.EACCES,
   "setting needs write permission")
PY
# A file capability works and goes when the file is written.
if command -v setcap >/dev/null; then
	cp /bin/true "$M/prog"
	ok "setcap" setcap cap_net_raw+ep "$M/prog"
	like "getcap" "$(getcap "$M/prog")" cap_net_raw
	echo >>"$M/prog"
	is "gone after a write" "$(getcap "$M/prog")" ""
fi
remount
py <<'PY'
from lib import *
eq(os.getxattr(p("f"), "trusted.t"), b"root", "trusted after a remount")
eq(os.getxattr(p("d"), "user.dir"), b"yes", "user after a remount")
PY
done_testing
