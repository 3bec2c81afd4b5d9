#!/bin/sh
# The store's files changed at random, cut off, replaced by fifos and links:
# errors, or what is whole; nothing falls and nothing hangs.
# Serves: R13
. "$(dirname "$0")/../../lib.sh"
require_fuse
tampered
py <<'PY'
from attack import rows
rows.main_files()
PY
done_testing
