#!/bin/sh
# Key commands killed at any moment: the keystore opens, the log is whole, each
# key is as before or as after, and what was due is done by the next one.
# Serves: R9 R25 R28
. "$(dirname "$0")/../../lib.sh"
require_fuse
require jq
require sqlite3
require openssl
new_store
a=$(new_key)
bucket docs --sse "KMS:$a"
start_mount docs
echo data >"$M/f"
stop_mount
db() { sqlite3 "$S/keys.db" "PRAGMA busy_timeout=10000; $1" | tail -n +2; }
killed() { # SECONDS COMMAND...
	s=$1
	shift
	timeout -s KILL "$s" "$SSEFS" "$@" >/dev/null 2>&1
}
# One whose material comes and goes.
head -c 32 /dev/urandom >"$T/material"
x=$(new_key --origin EXTERNAL)
"$SSEFS" key import parameters "$x" "$T/pub" "$T/token" >"$T/out"
openssl pkeyutl -encrypt -pubin -keyform DER -inkey "$T/pub" \
    -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 \
    -in "$T/material" -out "$T/wrapped"
alice=arn:aws:iam::000000000000:user/alice
bad=0 n=0
# Longer and longer, until past the end of each of them.
for ms in 02 04 06 08 10 12 14 16 18 20 23 26 30 35 40 50; do
	killed 0.0$ms key rotate "$a"
	killed 0.0$ms key create --tag x=y --alias "k$ms"
	killed 0.0$ms key rotation "$a" --period 9
	killed 0.0$ms key import material "$x" "$T/token" "$T/wrapped"
	"$SSEFS" key import material "$x" "$T/token" "$T/wrapped" ||
	    bad=$((bad + 1))
	killed 0.0$ms key import delete "$x"
	killed 0.0$ms key create --origin EXTERNAL
	killed 0.0$ms key grant create "$a" "$alice" Decrypt
	k=$(new_key --tag a=b)
	killed 0.0$ms key delete "$k"
	case $("$SSEFS" --json key describe "$k" | jq -r .state) in
	Enabled) "$SSEFS" key delete "$k" >/dev/null || bad=$((bad + 1)) ;;
	PendingDeletion) ;;
	*) bad=$((bad + 1)) ;;
	esac
	db "UPDATE keys SET delete_at = 1 WHERE state = 3" >/dev/null
	killed 0.0$ms bucket ls
	"$SSEFS" audit verify >"$T/out" 2>&1 || bad=$((bad + 1))
	n=$((n + 1))
done
is "nothing went wrong in $n rounds" "$bad" 0
ok "the last of them" "$SSEFS" bucket ls
is "no key is pending" "$(db "SELECT count(*) FROM keys WHERE state = 3")" 0
is "no material without its key" "$(db "SELECT count(*) FROM versions WHERE key
    NOT IN (SELECT uuid FROM keys)")" 0
is "no key without material but who waits for it" "$(db "SELECT count(*) FROM
    keys WHERE (state = 2) IS (uuid IN (SELECT key FROM versions))")" 0
is "no grant without its key" "$(db "SELECT count(*) FROM grants WHERE key
    NOT IN (SELECT uuid FROM keys)")" 0
is "tags belong to keys" "$(db "SELECT count(*) FROM tags WHERE key
    NOT IN (SELECT uuid FROM keys)")" 0
is "a key that was made has its tag" "$(db "SELECT count(*) FROM aliases a WHERE
    a.name LIKE 'alias/k%' AND NOT EXISTS (SELECT 1 FROM tags WHERE
    tags.key = a.key)")" 0
is "each deletion was recorded" "$([ "$("$SSEFS" audit show |
    grep -c '"eventName":"DeleteKey"')" -ge "$n" ]; echo $?)" 0
start_mount docs
is "the file opens" "$(cat "$M/f")" data
ok "rekey" "$SSEFS" rekey
is "and again" "$(cat "$M/f")" data
done_testing
