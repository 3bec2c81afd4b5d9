#!/bin/sh
# A disabled key: its files cannot be opened, cached pages are dropped, files
# under other keys are untouched, stat and unlink work; enabling brings all
# back.  Key commands take effect at once, while a mount runs.
# Serves: R9 R13 R26 R28
. "$(dirname "$0")/../../lib.sh"
require_fuse
new_store
k1=$(new_key)
k2=$(new_key)
bucket docs --sse "KMS:$k1"
start_mount docs
mkdir "$M/two" "$M/aes"
setfattr -n user.sse.default -v "KMS:$k2" "$M/two"
setfattr -n user.sse.default -v AES256 "$M/aes"

py "$k1" <<'PY'
import mmap
from lib import *

k1 = sys.argv[1]
small, big = b"small secret", pattern(600000, 1)
put(p("small"), small)
put(p("big"), big)
put(p("gone"), small)
put(p("moved"), big)
put(p("two", "other"), big)
put(p("aes", "other"), big)
fd = os.open(p("big"), os.O_RDWR)
m = mmap.mmap(fd, 600000, prot=mmap.PROT_READ)
eq(m[:10], big[:10], "read through a map, so that pages are cached")
eq(get(p("small")), small, "and through the cache")
ino, size = os.stat(p("big")).st_ino, os.stat(p("big")).st_size

eq(ssefs("key", "disable", k1).returncode, 0, "key disable during the mount")
for n in ("small", "big", "moved"):
    err(errno.EKEYREVOKED, "open to read: %s" % n, os.open, p(n), os.O_RDONLY)
    err(errno.EKEYREVOKED, "open to write: %s" % n, os.open, p(n), os.O_WRONLY)
err(errno.EKEYREVOKED, "open with O_TRUNC", os.open, p("big"),
    os.O_WRONLY | os.O_TRUNC)
err(errno.EKEYREVOKED, "truncate", os.truncate, p("big"), 10)
def read_open():
    os.lseek(fd, 0, os.SEEK_SET)
    return os.read(fd, 100)
try:
    read_open()
    ok(False, "an open descriptor no longer reads")
except OSError as e:
    ok(e.errno in (errno.EKEYREVOKED, errno.EIO),
       "an open descriptor no longer reads (%s)" % name(e.errno))
# The mapped page must be gone: touching it raises SIGBUS.
pid = os.fork()
if pid == 0:
    _ = m[4096:4100]
    os._exit(0)
st = os.waitpid(pid, 0)[1]
ok(os.WIFSIGNALED(st), "a mapped page is gone from the cache")
err(errno.EKEYREVOKED, "a new file under it", put, p("new"), b"x")
eq(os.path.exists(p("new")), False, "which leaves nothing behind")
eq((os.stat(p("big")).st_ino, os.stat(p("big")).st_size), (ino, size),
   "stat works")
eq(sorted(os.listdir(M)), ["aes", "big", "gone", "moved", "small", "two"],
   "so does listing")
eq(os.getxattr(p("big"), "user.sse.status"), b"Yes", "status can be read")
ok(k1.encode() in os.getxattr(p("big"), "user.sse.key-id"), "the key too")
works("chmod", os.chmod, p("big"), 0o600)
works("utime", os.utime, p("big"), (1, 1))
works("rename", os.rename, p("moved"), p("moved2"))
works("link", os.link, p("moved2"), p("moved3"))
works("setxattr", os.setxattr, p("big"), "user.note", b"n")
works("unlink", os.unlink, p("gone"))
put(p("two", "new"), b"new")
eq(get(p("two", "other")), big, "files under another key")
eq(get(p("two", "new")), b"new", "new files under another key")
eq(get(p("aes", "other")), big, "AES256 files")
works("mkdir needs no key", os.mkdir, p("dir"))
works("symlink neither", os.symlink, "x", p("link"))
os.close(fd)

eq(ssefs("key", "enable", k1).returncode, 0, "key enable")
eq(get(p("small")), small, "a small file is back")
eq(get(p("big")), big, "a big one")
eq(get(p("moved3")), big, "a renamed one")
put(p("new"), b"x")
eq(get(p("new")), b"x", "and new ones can be made")
eq(os.stat(p("big")).st_mtime, 1, "what was done meanwhile holds")
for i in range(5):
    ssefs("key", "disable", k1)
    err(errno.EKEYREVOKED, "disabled, round %d" % i, get, p("big"))
    ssefs("key", "enable", k1)
    eq(get(p("big")), big, "enabled, round %d" % i)
PY

# Data written before the key was disabled, not yet synced.
echo "written before" >"$M/late"
ok "disable" "$SSEFS" key disable "$k1"
stop_mount
start_mount docs
errno "still disabled after a remount" EKEYREVOKED cat "$M/late"
ok "the rest is there" cmp "$M/two/other" "$M/aes/other"
ok "enable" "$SSEFS" key enable "$k1"
is "nothing was lost" "$(cat "$M/late")" "written before"
ok "disable, for fsck" "$SSEFS" key disable "$k1"
stop_mount
like "fsck needs no key" "$("$SSEFS" fsck)" clean
like "scrub with keys skips" "$("$SSEFS" scrub --keys)" "skipped"
done_testing
