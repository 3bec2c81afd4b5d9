#!/bin/sh
# "/" mounts all buckets as directories: mkdir and rmdir make and remove them.
# Serves: R10 R30
. "$(dirname "$0")/../../lib.sh"
require_fuse
new_store
bucket docs --sse KMS
bucket plain --sse None
start_mount /

is "the buckets" "$(ls "$M")" "docs
plain"
ok "mkdir makes a bucket" mkdir "$M/new-bucket"
echo x >"$M/new-bucket/f"
is "with KMS as its default" "$(xa user.sse.status "$M/new-bucket/f")" Yes
echo x >"$M/plain/f"
is "each bucket has its own default" "$(xa user.sse.status "$M/plain/f")" No
for bad in ab UPPER under_score -dash dash- a..b 192.168.1.1 'sp ace' \
    "$(printf '%064d' 0)"; do
	errno "bad bucket name: $bad" EINVAL mkdir "$M/$bad"
done
errno "a file beside the buckets" EPERM sh -c "mkfifo '$M/fifo'"
py <<'PY'
from lib import *
err(errno.EPERM, "create beside the buckets", put, p("afile"), b"x")
err(errno.EPERM, "symlink beside the buckets", os.symlink, "x", p("alink"))
err(errno.EEXIST, "mkdir of a bucket that exists", os.mkdir, p("docs"))
put(p("docs", "f"), b"f")
err(errno.EXDEV, "rename across buckets", os.rename, p("docs", "f"),
    p("plain", "g"))
err(errno.EXDEV, "link across buckets", os.link, p("docs", "f"),
    p("plain", "g"))
os.mkdir(p("docs", "d"))
err(errno.EXDEV, "rename of a directory across buckets", os.rename,
    p("docs", "d"), p("plain", "d"))
err(errno.EPERM, "rename of a bucket", os.rename, p("docs"), p("docs2"))
err(errno.ENOTEMPTY, "rmdir of a full bucket", os.rmdir, p("docs"))
eq(os.stat(p("docs", "..")).st_ino, os.stat(M).st_ino,
   ".. of a bucket is the root")
eq(os.stat(M).st_nlink, 2 + len(os.listdir(M)), "link count of the root")
PY
ok "mv copies across buckets" mv "$M/docs/f" "$M/plain/g"
is "with the target's encryption" "$(xa user.sse.status "$M/plain/g")" No
is "user.sse.default of a bucket" "$(xa user.sse.default "$M/plain")" None
ok "is settable" setfattr -n user.sse.default -v AES256 "$M/plain"
echo x >"$M/plain/h"
is "and in force" "$(xa user.sse.algorithm "$M/plain/h")" AES256
rm "$M/new-bucket/f"
ok "rmdir removes an empty bucket" rmdir "$M/new-bucket"
stop_mount
is "the same buckets for the tool" \
    "$("$SSEFS" bucket ls | awk '{ print $1 }' | sort | tr '\n' ' ')" \
    "docs plain "
start_mount docs
is "a bucket mounted alone" "$(ls "$M")" d
done_testing
