#!/bin/sh
# Keys by command: create, ls, describe, rotate, alias; during a mount.
# Serves: R9 R25 R26 R28
. "$(dirname "$0")/../../lib.sh"
require_fuse
require jq
new_store
bucket docs
start_mount docs
id=$("$SSEFS" key create --description "for tests" --alias mine)
like "create prints an id" "$id" '^[0-9a-f-]{36}$'
one=$("$SSEFS" --json key describe "$id")
is "id" "$(echo "$one" | jq -r .id)" "$id"
is "arn" "$(echo "$one" | jq -r .arn)" \
    "arn:aws:kms:us-east-1:000000000000:key/$id"
is "state" "$(echo "$one" | jq -r .state)" Enabled
is "version" "$(echo "$one" | jq -r .version)" 1
is "description" "$(echo "$one" | jq -r .description)" "for tests"
is "by alias" "$("$SSEFS" --json key describe alias/mine | jq -r .id)" "$id"
is "by ARN" "$("$SSEFS" --json key describe \
    "arn:aws:kms:us-east-1:000000000000:key/$id" | jq -r .id)" "$id"
like "listed" "$("$SSEFS" key ls)" "$id"
fails "unknown key" "$SSEFS" key describe 00000000-0000-4000-8000-000000000000
like "says so" "$(cat "$T/out")" 'no key named'

setfattr -n user.sse.default -v "KMS:$id" "$M"
echo "version one" >"$M/v1"
ok "rotate" "$SSEFS" key rotate "$id"
is "a new version" "$("$SSEFS" --json key describe "$id" | jq -r .version)" 2
echo "version two" >"$M/v2"
is "files of both versions" "$(cat "$M/v1" "$M/v2")" "version one
version two"
ok "rotate again" "$SSEFS" key rotate alias/mine
remount
is "after a remount too" "$(cat "$M/v1" "$M/v2")" "version one
version two"
is "the key's name did not change" "$(xa user.sse.key-id "$M/v1")" \
    "$(xa user.sse.key-id "$M/v2")"

ok "alias create" "$SSEFS" key alias create alias/second "$id"
like "alias ls" "$("$SSEFS" key alias ls)" "alias/second.*$id"
fails "an alias twice" "$SSEFS" key alias create second "$id"
for a in alias/aws/x alias/acs/x alias/ssefs/x obs/x; do
	fails "reserved: $a" "$SSEFS" key alias create "$a" "$id"
done
ok "alias rm" "$SSEFS" key alias rm alias/second
fails "then unknown" "$SSEFS" key describe alias/second
echo x >"$M/before"
ok "disable" "$SSEFS" key disable alias/mine
is "state" "$("$SSEFS" --json key describe "$id" | jq -r .state)" Disabled
fails "rotate of a disabled key" "$SSEFS" key rotate "$id"
errno "at once in force" EKEYREVOKED cat "$M/before"
ok "enable" "$SSEFS" key enable "$id"
is "at once again" "$(cat "$M/before")" x
# The service key of AES256 exists by itself and cannot be disabled.
setfattr -n user.sse.default -v AES256 "$M"
echo aes >"$M/aes"
svc=$("$SSEFS" --json key ls | jq -r '.[] | select(.kind == "service") | .id')
if [ -n "$svc" ]; then
	fails "the service key cannot be disabled" "$SSEFS" key disable "$svc"
fi
is "AES256 works" "$(cat "$M/aes")" aes
calls=$("$SSEFS" --json key describe "$id" | jq -r .calls)
like "calls are counted" "$calls" '^[1-9]'
for i in 1 2 3 4 5 6 7 8; do
	"$SSEFS" key create >/dev/null &
done
wait
is "8 at once" "$("$SSEFS" --json key ls | jq '[.[] | select(.kind ==
    "customer")] | length')" 9
done_testing
