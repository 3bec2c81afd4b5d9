#!/bin/sh
# Grants, key policies, rotations and aliases by command.
# Serves: R18 R19 R20 R25
. "$(dirname "$0")/../../lib.sh"
require jq
new_store
alice=arn:aws:iam::000000000000:user/alice
k=$(new_key --alias one)
other=$(new_key)
grants() { "$SSEFS" --json key grant ls "$k"; }

g=$("$SSEFS" key grant create alias/one "$alice" Decrypt DescribeKey)
like "an id" "$g" '^[0-9a-f]{64}$'
is "whose" "$(grants | jq -r '.[0].grantee')" "$alice"
is "what for" "$(grants | jq -c '.[0].operations')" '["Decrypt","DescribeKey"]'
is "by whom" "$(grants | jq -r '.[0].issuer')" \
    arn:aws:iam::000000000000:root
is "no constraint" "$(grants | jq -r '.[0].constraint')" none
ok "with a context" "$SSEFS" key grant create "$k" "$alice" Encrypt \
    --subset dept=hr --subset a=b --retiring "$alice"
is "its context" "$(grants | jq -cS '.[] | select(.context != {}) |
    [.constraint, .context, .retiring]')" \
    "[\"subset\",{\"a\":\"b\",\"dept\":\"hr\"},\"$alice\"]"
like "as text" "$("$SSEFS" key grant ls "$k")" "$alice Encrypt subset:a=b"
is "the other key has none" "$("$SSEFS" --json key grant ls "$other")" '[]'
fails "no operation" "$SSEFS" key grant create "$k" "$alice" Fly
fails "nobody" "$SSEFS" key grant create "$k" alice Decrypt
fails "both constraints" "$SSEFS" key grant create "$k" "$alice" Decrypt \
    --equals a=b --subset a=b
fails "no id" "$SSEFS" key grant revoke "$k" abc
fails "of another key" "$SSEFS" key grant revoke "$other" "$g"
ok "revoke" "$SSEFS" key grant revoke "$k" "$g"
fails "twice" "$SSEFS" key grant revoke "$k" "$g"
ok "retire" "$SSEFS" key grant retire "$k" "$(grants | jq -r '.[0].id')"
is "none is left" "$(grants)" '[]'
like "recorded" "$("$SSEFS" audit show)" '"RetireGrant"'

like "the default policy" "$("$SSEFS" key policy get "$k")" 'key-default-1'
cat >"$T/policy" <<POLICY
{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"kms:*",
 "Principal":{"AWS":"arn:aws:iam::000000000000:root"},"Resource":"*"}}
POLICY
ok "policy set" "$SSEFS" key policy set "$k" "$T/policy"
is "as it was given" "$("$SSEFS" key policy get "$k")" "$(cat "$T/policy")"
sed "s/000000000000:root/000000000000:user\/alice/" "$T/policy" >"$T/locked"
fails "locked out" "$SSEFS" key policy set "$k" "$T/locked"
like "says so" "$(cat "$T/out")" 'could not change'
echo '{' >"$T/bad"
fails "no policy" "$SSEFS" key policy set "$k" "$T/bad"
fails "an empty file" "$SSEFS" key policy set "$k" /dev/null
fails "no file" "$SSEFS" key policy set "$k" "$T/none"
ok "policy reset" "$SSEFS" key policy reset "$k"
like "the default again" "$("$SSEFS" key policy get "$k")" 'key-default-1'

is "no rotation" "$("$SSEFS" --json key rotations "$k")" '[]'
for _ in $(seq 25); do "$SSEFS" key rotate "$k"; done
is "all of them" "$("$SSEFS" --json key rotations "$k" | jq -c \
    '[length, .[0].version, .[24].version, .[24].type]')" \
    '[25,2,26,"ON_DEMAND"]'
fails "one more" "$SSEFS" key rotate "$k"
like "says so" "$(cat "$T/out")" '25 times at most'
like "as text" "$("$SSEFS" key rotations "$k")" '^ *26  .*ON_DEMAND'

ok "alias update" "$SSEFS" key alias update alias/one "$other"
is "it names the other" "$("$SSEFS" --json key describe alias/one |
    jq -r .id)" "$other"
fails "no alias" "$SSEFS" key alias update alias/two "$other"
fails "a reserved one" "$SSEFS" key alias update alias/aws/s3 "$other"
ok "the log is whole" "$SSEFS" audit verify
done_testing
