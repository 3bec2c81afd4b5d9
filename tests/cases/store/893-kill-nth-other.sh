#!/bin/sh
# A mount killed at its Nth call, a few N of each kind, the second half of the
# kinds: see tests/crash/killn.sh.
# Serves: R30
STEP=${STEP:-40} PART=2/2
export STEP PART
exec sh "$(dirname "$0")/../../crash/killn.sh" "$@"
