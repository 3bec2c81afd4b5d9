#!/bin/sh
# Whoever edits the keystore or the audit log, puts back older ones or whole
# stores, or brings in those of another store, gets errors or what docs/THREATS.md
# states.
# Serves: R13
. "$(dirname "$0")/../../lib.sh"
require_fuse
tampered
py <<'PY'
from attack import keystore
keystore.main()
PY
done_testing
