#!/bin/sh
# The same with files that have no keys: nothing but ENOSPC comes then.
# Serves: R30
# Environment: ROUNDS (6).
BACKING=ext4 ROUNDS=${ROUNDS:-6} SSE=None
export BACKING ROUNDS SSE
exec sh "$(dirname "$0")/full.sh" "$@"
