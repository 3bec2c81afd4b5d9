#!/bin/sh
# A store on btrfs: see backing.sh.
# Serves: R30
BACKING=btrfs
export BACKING
exec sh "$(dirname "$0")/backing.sh" "$@"
