#!/bin/sh
# Whoever edits records, map nodes and shared segments, checksums included, gets
# errors out of the store, or what docs/THREATS.md states; never other bytes.
# Serves: R13
. "$(dirname "$0")/../../lib.sh"
require_fuse
tampered
py <<'PY'
from attack import maps
maps.main()
PY
done_testing
