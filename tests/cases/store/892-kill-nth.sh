#!/bin/sh
# A mount killed at its Nth call, a few N of each: see tests/crash/killn.sh.
# Serves: R30
STEP=${STEP:-40}
export STEP
exec sh "$(dirname "$0")/../../crash/killn.sh" "$@"
