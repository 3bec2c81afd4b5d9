#!/bin/sh
# ssefs policy check: what is wrong with a document, where, and what it says.
# Serves: R7 R13
. "$(dirname "$0")/../../lib.sh"
require jq
unset SSEFS_STORE
cat >"$T/good" <<'END'
{
  "Version": "1",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": ["kms:List*", "kms:DescribeKey", "kms:Decyrpt"],
      "Resource": [
        "acs:kms:*:1416614965936597:*"//all keys
      ]
    }
  ]
}
END
out=$("$SSEFS" policy check "$T/good" 2>&1)
is "a good document" $? 0
like "its dialect" "$out" 'good: RAM 1 policy, 1 statement$'
like "an action that names nothing" "$out" \
    'warning: Statement\[0\]: "kms:Decyrpt" names no operation'
is "the same as JSON" "$("$SSEFS" policy check --json "$T/good" |
    jq -c '[.valid, .dialect, .statements, .idleActions]')" \
    '[true,"RAM 1",1,[{"statement":0,"action":"kms:Decyrpt"}]]'
is "from standard input" \
    "$("$SSEFS" policy check --json - <"$T/good" | jq .valid)" true
sed 's/"Allow"/"Permit"/' "$T/good" >"$T/bad"
out=$("$SSEFS" policy check "$T/bad" 2>&1 >"$T/o")
is "a bad document" $? 1
is "nothing on stdout" "$(cat "$T/o")" ""
like "where and why" "$out" \
    'bad:5:7: Statement\[0\]\.Effect: must be "Allow" or "Deny"$'
is "the same as JSON" "$("$SSEFS" policy check --json "$T/bad" |
    jq -c '[.valid, .line, .column, .where]')" \
    '[false,5,7,"Statement[0].Effect"]'
echo '{"Statement":{"Effect":"Allow","Principal":"*","Action":"kms:*",
    "Resource":"*"}}' >"$T/key"
fails "a key's policy is no identity policy" "$SSEFS" policy check "$T/key"
ok "--resource" "$SSEFS" policy check --resource "$T/key"
fails "--resource needs principals" "$SSEFS" policy check --resource "$T/good"
head -c 32769 /dev/zero | tr '\0' ' ' >"$T/big"
fails "a large file" "$SSEFS" policy check "$T/big"
like "says so" "$(cat "$T/out")" 'over 32768 bytes'
fails "no such file" "$SSEFS" policy check "$T/none"
like "says so" "$(cat "$T/out")" 'none.*cannot be read'
fails "a directory" "$SSEFS" policy check "$T"
done_testing
