#!/bin/sh
# Thousands of calls on every kind of path, by several users, each with its error,
# its effects and the times it changes: as on ext4, where this machine has it.
# Serves: R30
# Environment: EVERY (default 6): one call of so many.
. "$(dirname "$0")/../../lib.sh"
require_fuse
require_root
[ "$(stat -f -c %T "$T")" = ext2/ext3 ] ||
    skip_all "$T is not on ext4, which this compares with"
new_store
bucket docs
start_mount docs -o allow_other,dev,suid
mkdir "$T/ext4" "$M/here"
chmod 755 "$M" "$M/here" "$T/ext4"

$PY "$TESTS/model/posixdiff.py" "$T/ext4" "${EVERY:-6}" >"$T/want" 2>"$T/err" &
$PY "$TESTS/model/posixdiff.py" "$M/here" "${EVERY:-6}" >"$T/got" 2>>"$T/err"
wait $!
is "both came to the end" "$(cat "$T/err")" ""
ok "with $(grep -c . "$T/want") calls" test "$(grep -c . "$T/want")" -gt 100
is "and the same in each" "$(diff "$T/want" "$T/got" | grep '^[<>]' |
    head -n 40)" ""
done_testing
