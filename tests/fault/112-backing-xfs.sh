#!/bin/sh
# A store on xfs: see backing.sh.
# Serves: R30
BACKING=xfs
export BACKING
exec sh "$(dirname "$0")/backing.sh" "$@"
