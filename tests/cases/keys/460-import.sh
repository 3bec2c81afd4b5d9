#!/bin/sh
# Material from outside: wrapped by openssl, imported, expired, deleted, imported
# again; files open and fail accordingly.
# Serves: R19 R25 R26 R28
. "$(dirname "$0")/../../lib.sh"
require_fuse
require jq
require sqlite3
require openssl
new_store
get() { "$SSEFS" --json key describe "$1" | jq -r "$2"; }
db() { sqlite3 "$S/keys.db" "PRAGMA busy_timeout=10000; $1" | tail -n +2; }
# wrap MATERIAL HASH: into $T/wrapped, with the public key in $T/pub.
wrap() {
	openssl pkeyutl -encrypt -pubin -keyform DER -inkey "$T/pub" \
	    -pkeyopt rsa_padding_mode:oaep -pkeyopt "rsa_oaep_md:$2" \
	    -in "$1" -out "$T/wrapped"
}
params() { # KEY WRAPPING
	"$SSEFS" key import parameters "$1" "$T/pub" "$T/token" --wrapping "$2"
}
import() {
	"$SSEFS" key import material "$x" "$T/token" "$T/wrapped" "$@"
}
head -c 32 /dev/urandom >"$T/material"
head -c 32 /dev/urandom >"$T/other"
head -c 31 /dev/urandom >"$T/short"

x=$(new_key --origin EXTERNAL)
is "it waits" "$(get "$x" .state)" PendingImport
is "its origin" "$(get "$x" .origin)" EXTERNAL
is "it has no material" "$(get "$x" .material)" null
fails "no such origin" "$SSEFS" key create --origin ELSEWHERE
fails "no such wrapping" params "$x" RSAES_PKCS1_V1_5
fails "no such size" params "$x" RSAES_OAEP_SHA_256:1024
own=$(new_key)
fails "a key of our own material" params "$own" RSAES_OAEP_SHA_256:2048
like "says so" "$(cat "$T/out")" 'was not imported'

like "parameters" "$(params "$x" RSAES_OAEP_SHA_1:2048)" '^good until '
is "nobody else reads them" "$(stat -c %a "$T/token" "$T/pub")" "600
600"
wrap "$T/short" sha1
fails "31 bytes" import
wrap "$T/material" sha256
fails "another hash" import
like "says no more" "$(cat "$T/out")" 'is not for this import token, or was alt'
wrap "$T/material" sha1
ok "import" import
is "state" "$(get "$x" .state)" Enabled
name=$(get "$x" .material)
like "material" "$name" '^[0-9a-f]{64}$'
bucket docs --sse "KMS:$x"
start_mount docs
echo data >"$M/f"
exec 9<"$M/f"
wrap "$T/other" sha1
fails "other material" import
like "says so" "$(cat "$T/out")" 'only the material that it had before'
fails "it does not rotate" "$SSEFS" key rotate "$x"
like "says so" "$(cat "$T/out")" 'imported material, which does not rotate'

ok "delete" "$SSEFS" key import delete "$x"
is "it waits again" "$(get "$x" .state)" PendingImport
errno "at once out of use" EKEYREJECTED cat "$M/f"
errno "open files, too" EKEYREJECTED cat <&9
is "nothing of it is left" "$(db "SELECT count(*) FROM versions v, keys k
    WHERE k.uuid = v.key AND k.origin = 1")" 0
fails "other material is none" import
# A wrapped AES key, then the material wrapped with that.
params "$x" RSA_AES_KEY_WRAP_SHA_256:3072 >"$T/out"
head -c 32 /dev/urandom >"$T/aes"
wrap "$T/aes" sha256
openssl enc -id-aes256-wrap-pad -iv A65959A6 \
    -K "$(od -An -v -tx1 "$T/aes" | tr -d ' \n')" \
    -in "$T/material" -out "$T/second"
cat "$T/second" >>"$T/wrapped"
ok "by way of an AES key" import --expires 5
is "the same material" "$(get "$x" .material)" "$name"
like "it expires" "$("$SSEFS" key describe "$x")" '^material  *expires on '
is "the file opens" "$(cat "$M/f")" data

# Its time passes, beside a mount and without one.
db "UPDATE keys SET expires = 1 WHERE origin = 1;
    UPDATE meta SET v = v + 1 WHERE k = 'epoch'" >"$T/out"
expired() { [ "$(get "$x" .state)" = PendingImport ]; }
ok "expired" await expired
errno "its files tell" EKEYEXPIRED cat "$M/f"
cat >"$T/open.py" <<'PY'
import errno
import os
import time
for _ in range(1200):
    try:
        os.pread(9, 1, 0)
    except OSError as e:
        os._exit(e.errno != errno.EKEYEXPIRED)
    time.sleep(0.05)
os._exit(1)
PY
ok "and those that are open" "$PY" "$T/open.py"
ok "for good" import
is "the file opens again" "$(cat "$M/f")" data
is "and what was open reads on" "$(cat <&9)" data
exec 9<&-
is "no end" "$(get "$x" .expires)" null
stop_mount
ok "import with an end" import --expires 1
db "UPDATE keys SET expires = 1 WHERE origin = 1" >"$T/out"
ok "any opening" "$SSEFS" bucket ls
is "wipes it" "$(get "$x" .state)" PendingImport
like "recorded" "$("$SSEFS" audit show)" 'DeleteExpiredKeyMaterial'
ok "import" import
start_mount docs
is "the file opens after all" "$(cat "$M/f")" data
fails "not for so long" import --expires 366

y=$(new_key --origin EXTERNAL)
fails "another key's token" "$SSEFS" key import material "$y" "$T/token" \
    "$T/wrapped"
like "says so" "$(cat "$T/out")" 'token is for another key'
alter "$T/token" 100
fails "an altered token" import
ok "the log is whole" "$SSEFS" audit verify
is "no material in it" "$(grep -c "$(od -An -v -tx1 "$T/material" |
    tr -d ' \n')" "$S/keys.db-audit.log")" 0
done_testing
