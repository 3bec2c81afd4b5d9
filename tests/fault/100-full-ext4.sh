#!/bin/sh
# A disk of 200 MiB, ext4 on a loop device, filled 50 times: see full.sh.
# Serves: R30
# Environment: ROUNDS (50).
BACKING=ext4 ROUNDS=${ROUNDS:-50}
export BACKING ROUNDS
exec sh "$(dirname "$0")/full.sh" "$@"
