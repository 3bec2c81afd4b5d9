#!/bin/sh
# Rows that an attacker wrote: what they say of names and attributes shows, where
# docs/THREATS.md says so; impossible ones are errors of what they stand for.
# Serves: R13
. "$(dirname "$0")/../../lib.sh"
require_fuse
tampered
py <<'PY'
from attack import rows
rows.main()
PY
done_testing
