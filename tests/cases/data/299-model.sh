#!/bin/sh
# Random operations on the mount and on an ordinary directory agree.
# Serves: R30
# Environment: MODEL_SEED and MODEL_STEPS repeat or extend a run.
. "$(dirname "$0")/../../lib.sh"
require_fuse
require_root
new_store
bucket docs
start_mount docs

# The mirror must know xattrs and holes.
mkdir "$T/mirror"
setfattr -n user.x -v y "$T/mirror" 2>/dev/null ||
    skip_all "$T has no user xattrs"
setfattr -x user.x "$T/mirror"
for seed in ${MODEL_SEED:-1 2 3}; do
	mkdir "$M/$seed" "$T/mirror/$seed"
	py "$M/$seed" "$T/mirror/$seed" "$seed" "${MODEL_STEPS:-1500}" \
	    <"$TESTS/model/mountmodel.py"
done
remount
for seed in ${MODEL_SEED:-1 2 3}; do
	py "$M/$seed" "$T/mirror/$seed" "$seed" 0 \
	    <"$TESTS/model/mountmodel.py"
done
done_testing
