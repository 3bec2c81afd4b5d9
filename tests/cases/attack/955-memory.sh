#!/bin/sh
# Keys stand in locked memory that is left out of dumps, and nowhere once a process
# ends, however it ends: every key of the store is looked for in its memory.
# Serves: R13
. "$(dirname "$0")/../../lib.sh"
require_fuse
require_root
$PY -c 'import sys; from attack import memory; sys.exit(not memory.possible())' ||
	skip_all 'ptrace is not permitted'
py <<'PY'
from attack import memory
memory.main()
PY
done_testing
