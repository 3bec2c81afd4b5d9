#!/bin/sh
# A store on ext4: see backing.sh.
# Serves: R30
BACKING=ext4
export BACKING
exec sh "$(dirname "$0")/backing.sh" "$@"
