#!/bin/sh
# A key that is disabled at the remote service: refused within the bound here,
# open files go on.
# Serves: R27 R28
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/farkms.sh"
require_fuse
require openssl
new_store
far_make || skip_all "openssl makes no certificate"
far_start
ok "added" far_add cache-age=1
id=$(new_key --provider far)
bucket docs --sse "KMS:$id"
start_mount docs
echo one >"$M/one"
echo two >"$M/two"
exec 3<"$M/one"
far_state Disabled
sleep 1.2
errno "a file that was open" EKEYREVOKED cat "$M/one"
errno "another" EKEYREVOKED cat "$M/two"
errno "a new one" EKEYREVOKED sh -c 'echo x >"$1"' sh "$M/new"
is "what is open goes on" "$(cat <&3)" one
exec 3<&-
far_state Enabled
sleep 1.2
is "enabled again, without a remount" "$(cat "$M/one" "$M/two")" "one
two"
far_state PendingDeletion
sleep 1.2
errno "pending deletion" EKEYREVOKED cat "$M/two"
far_state Enabled
sleep 1.2
is "and back" "$(cat "$M/two")" two
stop_mount
far_stop
done_testing
