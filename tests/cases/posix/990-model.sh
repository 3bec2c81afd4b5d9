#!/bin/sh
# Random calls by several users on the mount and on an ordinary directory agree.
# Serves: R30
# Environment: MODEL_SEED and MODEL_STEPS repeat or extend a run.
. "$(dirname "$0")/../../lib.sh"
require_fuse
require_root
new_store
bucket docs
start_mount docs -o allow_other,dev,suid

# The mirror must know ACLs, and be no place without devices or set-id bits.
mkdir "$T/mirror"
chmod 755 "$M" "$T/mirror"
setfattr -n system.posix_acl_access \
    -v 0x0200000001000700ffffffff04000500ffffffff10000500ffffffff20000500ffffffff \
    "$T/mirror" 2>/dev/null || skip_all "$T has no ACLs"
chmod 755 "$T/mirror"
setfattr -x system.posix_acl_access "$T/mirror"
findmnt -no OPTIONS -T "$T/mirror" | grep -qE 'nodev|nosuid' &&
    skip_all "$T is mounted nodev or nosuid"
for seed in ${MODEL_SEED:-1 2 3}; do
	mkdir "$M/$seed" "$T/mirror/$seed"
	py "$M/$seed" "$T/mirror/$seed" "$seed" "${MODEL_STEPS:-2500}" \
	    <"$TESTS/model/posixmodel.py"
done
remount
for seed in ${MODEL_SEED:-1 2 3}; do
	py "$M/$seed" "$T/mirror/$seed" "$seed" 0 \
	    <"$TESTS/model/posixmodel.py"
done
done_testing
