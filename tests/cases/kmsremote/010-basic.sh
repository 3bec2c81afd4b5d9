#!/bin/sh
# Keys in a remote key service: added, used, kept apart from strangers.
# Serves: R27 R28
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/farkms.sh"
require_fuse
require openssl
require jq
new_store
far_make || skip_all "openssl makes no certificate"
far_start

# What must not be taken.
far_provider() { "$SSEFS" kms provider add "$@"; }
fails "plain HTTP" far_provider far "http://127.0.0.1:$far_port"
like "is refused by name" "$(cat "$T/out")" 'https'
fails "the system's authorities do not vouch for it" \
    far_provider far "$far_url" "credentials=$F/credentials"
(F=$F/other && far_make)
fails "nor does another" far_provider far "$far_url" \
    "ca=$F/other/ca.pem" "credentials=$F/credentials"
chmod 644 "$F/credentials"
fails "credentials that others can read" far_add
like "says how to close them" "$(cat "$T/out")" 'chmod 600'
chmod 600 "$F/credentials"
sed 's/= secret/= wrong/' "$F/credentials" >"$F/wrong"
chmod 600 "$F/wrong"
fails "a wrong secret" far_add "credentials=$F/wrong"
is "nothing was added" "$("$SSEFS" --json kms provider ls |
    jq -r '.[].name')" local

ok "added" far_add
id=$(new_key --provider far)
like "a key over there" "$id" '^[0-9a-f-]{36}$'
is "made by CreateKey, once" "$(far_count CreateKey)" 1
bucket docs --sse "KMS:$id"
start_mount docs
echo one >"$M/one"
echo two >"$M/two"
is "written and read" "$(cat "$M/one" "$M/two")" "one
two"
enc=$(far_count Encrypt)
is "a data key each" "$enc" 2
is "none was asked for again" "$(far_count Decrypt)" 0
remount
is "read after a remount" "$(cat "$M/one" "$M/two")" "one
two"
is "asked for once each" "$(far_count Decrypt)" 2
cat "$M/one" "$M/two" >/dev/null
is "and then known" "$(far_count Decrypt)" 2
mv "$M/one" "$M/three"
is "renamed" "$(cat "$M/three")" one
ok "rotated" "$SSEFS" key rotate "$id"
echo four >"$M/four"
is "two keys over there" "$(far_count CreateKey)" 2
is "both versions" "$(cat "$M/three" "$M/four")" "one
four"
stop_mount
far_stop
done_testing
