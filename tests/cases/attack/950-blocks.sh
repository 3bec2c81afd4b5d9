#!/bin/sh
# Whoever edits the arenas gets errors out of the store, never other bytes.
# Serves: R13
. "$(dirname "$0")/../../lib.sh"
require_fuse
tampered
py <<'PY'
from attack import blocks
blocks.main()
PY
done_testing
