#!/bin/sh
# Every KMS call leaves a record, allowed or denied; the log is a chain.
# Serves: R13 R28
. "$(dirname "$0")/../../lib.sh"
require_fuse
require jq
new_store
bucket docs
id=$(new_key)
start_mount docs
setfattr -n user.sse.default -v "KMS:$id" "$M"
echo "the secret itself" >"$M/f"
cat "$M/f" >/dev/null
"$SSEFS" key disable "$id"
cat "$M/f" >/dev/null 2>&1
"$SSEFS" key enable "$id"
stop_mount

log=$("$SSEFS" audit show)
is "each line is JSON" "$(echo "$log" | jq -e . >/dev/null 2>&1; echo $?)" 0
for call in CreateKey GenerateDataKey Decrypt DisableKey EnableKey; do
	like "a record of $call" "$log" "$call"
done
like "who asked" "$log" '"root"'
like "which key" "$log" "$id"
denied=$(echo "$log" | grep -F '"Decrypt"' | grep -iE 'disabled|denied|revoked')
isnt "the refused call is there too" "$denied" ""
is "seq counts from 1" "$(echo "$log" | head -n 1 | jq .seq)" 1
n=$(echo "$log" | wc -l)
is "without a gap" "$(echo "$log" | tail -n 1 | jq .seq)" "$n"
unlike "no plaintext in it" "$log" 'secret itself'
unlike "no file name in it" "$log" '"f"'
is "--json is one list" "$("$SSEFS" --json audit show | jq length)" "$n"
is "--last" "$("$SSEFS" audit show --last 2 | wc -l)" 2
is "--skip" "$("$SSEFS" audit show --skip 3 | head -n 1 | jq .seq)" 4
out=$("$SSEFS" audit verify)
is "verify" $? 0
like "says intact" "$out" intact

file=$(ls "$S"/*audit*.log)
is "the log's mode" "$(stat -c %a "$file")" 600
cp "$file" "$T/good"
tampering() {
	"$SSEFS" audit verify >"$T/out" 2>&1
	is "$1" $? 1
	cp "$T/good" "$file"
}
sed -i '3s/root/toor/' "$file"
tampering "an altered record is found"
sed -i 4d "$file"
tampering "a removed record is found"
sed -i '2{h;d};3{G}' "$file"
tampering "exchanged records are found"
sed -i '$d' "$file"
tampering "a cut tail is found"
sed -n 2p "$T/good" >>"$file"
tampering "an appended copy is found"
: >"$file"
tampering "an emptied log is found"
rm "$file"
tampering "a removed log is found"
head -c -5 "$T/good" >"$file"
tampering "a torn last line is found"
ok "the log put back is intact" "$SSEFS" audit verify
start_mount docs
cat "$M/f" >/dev/null
ok "verify during a mount" "$SSEFS" audit verify
stop_mount
ok "and it goes on as one chain" "$SSEFS" audit verify
isnt "with new records" "$("$SSEFS" audit show | wc -l)" "$n"
done_testing
