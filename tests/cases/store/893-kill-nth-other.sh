#!/bin/sh
# A mount killed at its Nth call, a few N of each kind, from p on: see
# tests/crash/killn.sh.
# Serves: R30
STEP=${STEP:-40} ONLY='^[^a-o]'
export STEP ONLY
exec sh "$(dirname "$0")/../../crash/killn.sh" "$@"
