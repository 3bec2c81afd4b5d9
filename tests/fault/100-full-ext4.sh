#!/bin/sh
# A disk of 200 MiB, ext4 on a loop device, filled 50 times: see full.sh.
# Serves: R30
# Environment: ROUNDS (50).
# Without keys: 50 rounds of audit records would fill the disk by themselves.
BACKING=ext4 ROUNDS=${ROUNDS:-50} SSE=None
export BACKING ROUNDS SSE
exec sh "$(dirname "$0")/full.sh" "$@"
