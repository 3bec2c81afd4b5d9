#!/bin/sh
# A disk filled to the last block, three times: see tests/fault/full.sh.
# Serves: R30
exec sh "$(dirname "$0")/../../fault/full.sh" "$@"
