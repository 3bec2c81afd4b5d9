#!/bin/sh
# rekey --to: keys and their files move from the keystore to a token and back,
# beside a mount, killed half-way, without a byte of data written anew.
# Serves: R12 R25 R26
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/hsm.sh"
require_fuse
require jq
require sqlite3
new_token
new_store
a=$(new_key)
b=$(new_key)
bucket docs --sse "KMS:$a"
bucket plain --sse AES256
start_mount /

for i in $(seq 200); do echo "file $i" >"$M/docs/f$i"; done
echo plain >"$M/plain/f"
head -c 3000000 /dev/urandom >"$M/docs/big"
sums() { (cd "$M" && find . -type f -exec sha256sum {} + | sort -k 2); }
sums >"$T/before"
where() { "$SSEFS" --json key describe "$1" |
    jq -r '"\(.provider) \(.version)"'; }
# Files by the suite of their wrapped key.
suites() {
	sqlite3 "file:$S/meta.db?mode=ro" "SELECT count(*) FROM inode
	    WHERE keyref <> 0 AND hex(substr(obj, 166, 1)) = '0$1'"
}
ok "add" "$SSEFS" kms provider add hsm "$HSM"
fails "no such provider" "$SSEFS" rekey --to nowhere
exec 8<"$M/docs/f1"

# Killed at any moment, then done.
for ms in 05 15 30; do
	"$SSEFS" rekey --to hsm >/dev/null 2>&1 &
	pid=$!
	sleep 0.$ms
	kill -9 $pid 2>/dev/null
	wait $pid 2>/dev/null
	token_mend
done
# The mount notices within a second that nobody waits for the last one.
rekey() {
	for _ in $(seq 200); do
		"$SSEFS" rekey "$@" 2>"$T/rekey.err" && return
		rekey_rc=$?
		grep -q 'running already' "$T/rekey.err" || break
		sleep 0.3
	done
	cat "$T/rekey.err"
	return $rekey_rc
}
ok "to the token" rekey --to hsm
is "its key" "$(where "$a")" "hsm 2"
is "a key without files" "$(where "$b")" "hsm 2"
is "again: nothing" "$("$SSEFS" --json rekey --to hsm 2>/dev/null |
    jq -r .rewrapped)" 0
is "an open file reads" "$(cat <&8)" "file 1"
exec 8<&-
is "every byte as before" "$(sums | diff - "$T/before")" ""
ok "sync" sync -f "$M/docs"
stop_mount
is "all under the token" "$(suites 2)" 202
start_mount /
is "after a remount" "$(sums | diff - "$T/before")" ""

# Back, one key first, then all; without the token afterwards.
ok "one key back" "$SSEFS" rekey --to local --key "$a"
is "is here" "$(where "$a")" "local 3"
is "the other is not" "$(where "$b")" "hsm 2"
ok "disable one" "$SSEFS" key disable "$b"
"$SSEFS" rekey --to local >/dev/null 2>&1
is "a disabled key stays, and that is told" $? 4
ok "enable" "$SSEFS" key enable "$b"
ok "all back" "$SSEFS" rekey --to local
stop_mount
is "none under the token" "$(suites 2)" 0
token_gone
start_mount /
is "without the token" "$(sums | diff - "$T/before")" ""
stop_mount
token_back
ok "the log is whole" "$SSEFS" audit verify
done_testing
