#!/bin/sh
# Thousands of calls on every kind of path, by several users, each with its error,
# its effects and the times it changes: as on ext4, on a loop device where the
# case's own directory is on something else.
# Serves: R30
# Environment: EVERY (default 6): one call of so many.
. "$(dirname "$0")/../../lib.sh"
require_fuse
require_root
. "$TESTS/fault/disk.sh"
new_store
bucket docs
beside=$T/ext4
if [ "$(stat -f -c %T "$T")" != ext2/ext3 ]; then
	disk_make ext4 200
	beside=$T/disk/ext4
fi
start_mount docs -o allow_other,dev,suid
mkdir "$beside" "$M/here"
chmod 755 "$M" "$M/here" "$beside"

$PY "$TESTS/model/posixdiff.py" "$beside" "${EVERY:-6}" >"$T/want" 2>"$T/err" &
$PY "$TESTS/model/posixdiff.py" "$M/here" "${EVERY:-6}" >"$T/got" 2>>"$T/err"
wait $!
is "both came to the end" "$(cat "$T/err")" ""
ok "with $(grep -c . "$T/want") calls" test "$(grep -c . "$T/want")" -gt 100
is "and the same in each" "$(diff "$T/want" "$T/got" | grep '^[<>]' |
    head -n 40)" ""
[ "$beside" = "$T/ext4" ] || disk_drop
done_testing
