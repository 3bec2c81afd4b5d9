#!/bin/sh
# Fifty programs open one file under a remote key: one question is asked.
# Serves: R27 R28
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/farkms.sh"
require_fuse
require openssl
new_store
far_make || skip_all "openssl makes no certificate"
far_start
ok "added" far_add
id=$(new_key --provider far)
bucket docs --sse "KMS:$id"
start_mount docs
echo crowd >"$M/file"
remount
far_mode slow 300
pids=
for i in $(seq 50); do
	cat "$M/file" >"$T/out.$i" 2>&1 &
	pids="$pids $!"
done
for i in $pids; do
	wait "$i"
done
is "all of them read it" "$(cat "$T"/out.* | sort | uniq -c | xargs)" \
    "50 crowd"
is "one question" "$(far_count Decrypt)" 1
stop_mount
far_stop
done_testing
