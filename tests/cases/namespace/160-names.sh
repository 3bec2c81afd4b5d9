#!/bin/sh
# Names of 1 to 255 bytes of any kind, paths of any depth.
# Serves: R30
. "$(dirname "$0")/../../lib.sh"
require_fuse
new_store
bucket docs
start_mount docs

py <<'PY'
from lib import *

names = [b"a", b" ", b"-", b"...", b"a b", b"tab\there", b"nl\nhere", b"\\",
         b"*?[]", b"'\"", b"%00", b"caf\xc3\xa9", b"cafe\xcc\x81",
         b"\xff\xfe not utf-8", b"\x01\x7f", b"A", b"foo", b"foo ", b"foo!",
         b"foo0", b"x" * 255, b"\xe2\x82\xac" * 85, b".hidden", b"trailing.",
         bytes(range(1, 47)) + bytes(range(48, 200))]
base = os.fsencode(M)
bad = []
for i, n in enumerate(names):
    q = os.path.join(base, n)
    put(q, b"%d" % i)
for i, n in enumerate(names):
    if get(os.path.join(base, n)) != b"%d" % i:
        bad.append(n)
eq(bad, [], "each of %d odd names has its own content" % len(names))
eq(sorted(os.listdir(base)), sorted(names), "and they are listed")
for n in ("x" * 256, "\u20ac" * 86):
    for what, fn in (("create", put), ("stat", os.stat), ("mkdir", os.mkdir),
                     ("unlink", os.unlink)):
        err(errno.ENAMETOOLONG, "%s with 256 bytes or more" % what, fn, p(n))
err(errno.ENAMETOOLONG, "link with 256 bytes", os.link, p("a"), p("y" * 256))
err(errno.ENAMETOOLONG, "symlink with 256 bytes", os.symlink, "a",
    p("y" * 256))
err(errno.ENOENT, "names are case-sensitive", os.stat, p("FOO"))
err(errno.ENOTDIR, "a file is no directory", os.stat, p("foo", "x"))
err(errno.ENOTDIR, "a trailing slash after a file", os.stat, p("foo/"))
err(errno.EISDIR, "a directory cannot be opened to write", os.open, M,
    os.O_WRONLY)
os.mkdir(p("foo!d"))
err(errno.EEXIST, "mkdir over a file", os.mkdir, p("foo"))
err(errno.EEXIST, "mkdir over a directory", os.mkdir, p("foo!d"))
err(errno.EEXIST, "O_EXCL over a directory", os.open, p("foo!d"),
    os.O_CREAT | os.O_EXCL | os.O_WRONLY)
err(errno.ENOTDIR, "rmdir of a file", os.rmdir, p("foo"))
err(errno.EISDIR, "unlink of a directory", os.unlink, p("foo!d"))
err(errno.ENOENT, "a name in a directory that is absent", put, p("no", "x"))
put(p("foo!d", "x"))
err(errno.ENOTEMPTY, "rmdir of a full directory", os.rmdir, p("foo!d"))

# Deeper than any single path may be: 60 levels of 200-byte names.
start = os.open(M, os.O_RDONLY)
d = os.dup(start)
seg = "d" * 200
for i in range(60):
    os.mkdir(seg, dir_fd=d)
    n = os.open(seg, os.O_RDONLY | os.O_DIRECTORY, dir_fd=d)
    os.close(d)
    d = n
fd = os.open("leaf", os.O_CREAT | os.O_WRONLY, dir_fd=d)
os.write(fd, b"deep")
os.close(fd)
err(errno.EEXIST, "the leaf 12,000 bytes deep is there", os.mkdir, "leaf",
    dir_fd=d)
os.close(d)
err(errno.ENAMETOOLONG, "a path longer than PATH_MAX", os.stat,
    M + ("/" + seg) * 60)
# 500 levels of short names in one path.
works("500 levels", os.makedirs, M + "/k" * 500)

os.mkdir(p("gone"))
fd = os.open(p("gone"), os.O_RDONLY)
os.rmdir(p("gone"))
err(errno.ENOENT, "create in a removed directory", os.open, "x",
    os.O_CREAT | os.O_WRONLY, dir_fd=fd)
eq(os.listdir(fd), [], "a removed directory is empty")
os.close(fd)
PY
remount
py <<'PY'
from lib import *
d = os.open(M, os.O_RDONLY)
for i in range(60):
    n = os.open("d" * 200, os.O_RDONLY, dir_fd=d)
    os.close(d)
    d = n
fd = os.open("leaf", os.O_RDONLY, dir_fd=d)
eq(os.read(fd, 9), b"deep", "the deep leaf after a remount")
PY
ok "rm -r of the deep trees" find "$M" -mindepth 1 -delete
is "nothing is left" "$(find "$M" -mindepth 1 | head -n 3)" ""
done_testing
