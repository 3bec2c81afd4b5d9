#!/bin/sh
# Keys in a PKCS#11 token: a provider is added, keys are made there and cannot
# leave, files are under them; PINs that are wrong or open to others; a keystore
# that somebody edited.
# Serves: R12 R25 R26
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/hsm.sh"
require_fuse
require jq
require sqlite3
require pkcs11-tool
new_token
new_store
kms() { "$SSEFS" kms provider "$@"; }

# Providers.
fails "a PIN in the URI" kms add x "pkcs11:token=tok?pin-value=$pin"
like "says what to do" "$(cat "$T/out")" "pin-source"
fails "no such token" kms add x "pkcs11:token=other?module-path=$module"
fails "no library" kms add x "pkcs11:token=tok?module-path=/bin/sh"
fails "another scheme" kms add x "ftp://tok"
fails "the name of the keystore itself" kms add local "$HSM"
chmod 644 "$T/pin"
fails "a PIN that others can read" kms add hsm "$HSM"
like "says so" "$(cat "$T/out")" "read or written by others"
chmod 600 "$T/pin"
echo 9999 >"$T/pin"
fails "a wrong PIN" kms add hsm "$HSM"
like "says so, too" "$(cat "$T/out")" "does not take the PIN"
echo "$pin" >"$T/pin"
ok "add" kms add hsm "$HSM"
ok "add by path" kms add path $module token=tok "pin-source=$T/pin" sessions=2
fails "twice" kms add hsm "$HSM"
ok "test" kms test hsm
is "listed" "$("$SSEFS" --json kms provider ls |
    jq -r '.[] | "\(.name) \(.default) \(.versions)"')" \
    "local true 0
hsm false 0
path false 0"
ok "removed" kms rm path
ok "kept out of the log" sh -c '! grep -q -e "$1" "$2"' x "$pin" \
    "$S/keys.db-audit.log"

# A key in it.
a=$(new_key --provider hsm)
is "described" "$("$SSEFS" --json key describe "$a" |
    jq -r '"\(.state) \(.provider) \(.version)"')" "Enabled hsm 1"
fails "a provider with keys stays" kms rm hsm
objects() {
	pkcs11-tool --module $module --token-label tok --login --pin "$pin" \
	    --list-objects --type secrkey 2>&1
}
like "made in the token" "$(objects)" "ssefs:$a"
like "cannot leave it" "$(objects)" "always sensitive, never extractable, local"
like "nor be read" "$(objects)" "CKR_ATTRIBUTE_SENSITIVE"

bucket docs --sse "KMS:$a"
start_mount docs
head -c 300000 /dev/urandom >"$M/f"
sum=$(sha256sum <"$M/f")
remount
is "a file under it" "$(sha256sum <"$M/f")" "$sum"
is "its key" "$(xa user.sse.key-id "$M/f" | sed 's|.*/||')" "$a"
ok "rotate" "$SSEFS" key rotate "$a"
echo two >"$M/g"
is "two keys in the token" "$(objects | grep -c "ssefs:$a")" 2
is "old version" "$(sha256sum <"$M/f")" "$sum"
is "rekey" "$("$SSEFS" --json rekey | jq -r '"\(.rewrapped) \(.bad)"')" "1 0"
ok "disable" "$SSEFS" key disable "$a"
errno "out of use at once" EKEYREVOKED cat "$M/g"
ok "enable" "$SSEFS" key enable "$a"
is "and back" "$(cat "$M/g")" two
stop_mount

# New keys, default keys and the service key go where they shall.
ok "default" kms default hsm
fails "the default stays" kms rm hsm
bucket plain --sse AES256
bucket dflt --sse KMS
start_mount /
echo 1 >"$M/plain/f"
echo 2 >"$M/dflt/f"
is "the service key" "$(sqlite3 "file:$S/keys.db?mode=ro" \
    "SELECT count(*) FROM keys JOIN versions ON versions.key = uuid
    WHERE kind <> 0 AND provider = 1")" 2
stop_mount
ok "back to the keystore" kms default local
is "a key here" "$("$SSEFS" --json key describe "$(new_key)" |
    jq -r .provider)" local

# Who can write the keystore's file, and no more.
cp "$S/keys.db" "$T/good.db"
edit() {
	cp "$T/good.db" "$S/keys.db"
	sqlite3 "$S/keys.db" "$1"
}
b=$(new_key --provider hsm)
cp "$S/keys.db" "$T/good.db"
hex() { echo "$1" | tr -d -; }
edit "UPDATE versions SET sealed = (SELECT sealed FROM versions
    WHERE hex(key) = upper('$(hex "$b")')) WHERE hex(key) = upper('$(hex "$a")')
    AND version = 2"
start_mount docs
errno "another key's reference" EUCLEAN cat "$M/f"
stop_mount
edit "UPDATE providers SET name = 'other'"
fails "a provider renamed" kms test other
edit "INSERT INTO providers SELECT 9, 'mine', sealed, created FROM providers"
fails "a provider copied" kms test mine
edit "UPDATE meta SET v = zeroblob(36) WHERE k = 'provider'"
fails "the choice edited" "$SSEFS" key create
cp "$T/good.db" "$S/keys.db"
ok "as it was" kms test hsm
ok "the log is whole" "$SSEFS" audit verify
done_testing
