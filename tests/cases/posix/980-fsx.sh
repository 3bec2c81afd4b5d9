#!/bin/sh
# One file: maps, O_DIRECT, truncation, holes and copies against an image.
# Serves: R30
# Environment: MODEL_SEED and MODEL_STEPS repeat or extend a run.
. "$(dirname "$0")/../../lib.sh"
require_fuse
new_store
bucket docs
seeds=${MODEL_SEED:-1 2 3 4 5 6}
start_mount docs
for seed in $seeds; do
	py "$M/$seed" "$seed" "${MODEL_STEPS:-1500}" <"$TESTS/model/fsx.py"
done
remount
for seed in $seeds; do
	ok "seed $seed after a remount" cmp "$M/$seed" "$M/$seed.image"
done
stop_mount
start_mount docs -o direct_io,sse=None
for seed in ${MODEL_SEED:-7 8}; do
	py "$M/p$seed" "$seed" "${MODEL_STEPS:-700}" <"$TESTS/model/fsx.py"
done
remount
for seed in ${MODEL_SEED:-7 8}; do
	ok "seed $seed after a remount" cmp "$M/p$seed" "$M/p$seed.image"
done
done_testing
