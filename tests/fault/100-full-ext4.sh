#!/bin/sh
# A disk of 200 MiB, ext4 on a loop device, filled 50 times with encrypted files:
# see full.sh.
# Serves: R30
# Environment: ROUNDS (50), SSE (KMS).
BACKING=ext4 ROUNDS=${ROUNDS:-50} SSE=${SSE:-KMS}
export BACKING ROUNDS SSE
exec sh "$(dirname "$0")/full.sh" "$@"
