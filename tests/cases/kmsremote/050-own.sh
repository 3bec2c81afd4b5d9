#!/bin/sh
# One store's keys at another's "ssefs serve": made, used, disabled over there.
# Serves: R27 R28
. "$(dirname "$0")/../../lib.sh"
require_fuse
require jq
FAR=$T/farstore
far() { "$SSEFS" "$@" --store "$FAR"; }
far serve --help >/dev/null 2>&1 || skip_all "this ssefs serves no keys"
new_store
ok "another store" far init
far user create near --admin --json >"$T/user.json"
jq -r '"[default]\naws_access_key_id = " + .access_key_id +
    "\naws_secret_access_key = " + .secret_access_key' "$T/user.json" \
    >"$T/cred"
chmod 600 "$T/cred"
ok "it serves" far serve --json --listen 127.0.0.1:0
cp "$T/out" "$T/serve.json"
url=https://$(jq -r .address "$T/serve.json")
add() {
	"$SSEFS" kms provider add "$1" "$url" "ca=$FAR/tls/ca.pem" \
	    "credentials=$T/cred" cache-age=1
}
ok "a provider" add far
id=$(new_key --provider far)
far_id=$(far key ls --json | jq -r '.[] | select(.kind == "customer") | .id')
like "a key over there" "$far_id" '^[0-9a-f-]{36}$'
isnt "with an id of its own" "$far_id" "$id"
bucket docs --sse "KMS:$id"
start_mount docs
echo one >"$M/one"
remount
is "written and read" "$(cat "$M/one")" one
# A server's records of data-key calls are on the disk within a second.
told() { far audit show --json | grep Decrypt; }
ok "it is in the far log" await told
ok "disabled over there" far key disable "$far_id"
sleep 1.2
errno "refused here" EKEYREVOKED cat "$M/one"
ok "enabled over there" far key enable "$far_id"
sleep 1.2
is "read again" "$(cat "$M/one")" one

# Another user may do nothing there.
far user create nobody --json >"$T/user.json"
sed -i "s|^aws_access_key_id.*|aws_access_key_id = $(jq -r .access_key_id \
    "$T/user.json")|; s|^aws_secret_access_key.*|aws_secret_access_key = $(
    jq -r .secret_access_key "$T/user.json")|" "$T/cred"
remount
errno "without a right" EACCES cat "$M/one"
stop_mount
kill "$(jq -r .pid "$T/serve.json")"
ok "the server ends" wait_gone "$(jq -r .pid "$T/serve.json")"
done_testing
