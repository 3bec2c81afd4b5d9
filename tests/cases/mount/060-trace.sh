#!/bin/sh
# A background mount that dies of a signal leaves its trace in STORE/mount.log,
# for its owner's eyes only.  Serves R30.
. "$(dirname "$0")/../../lib.sh"
require_fuse
new_store
bucket docs
start_mount docs
echo x >"$M/f"
kill -SEGV "$(getfattr --only-values -n user.sse.store-pid "$M" 2>/dev/null)"
ok "the signal is named" await grep -q "died of signal 11" "$S/mount.log"
is "nobody else may read it" "$(stat -c %a "$S/mount.log")" 600
umount -l "$M"
done_testing
