#!/bin/sh
# The log over several files: rotation, what is kept, signatures that are checked
# without the keystore, filters, following, sync mode, backups.
# Serves: R13 R29
. "$(dirname "$0")/../../lib.sh"
require_fuse
require jq
new_store
id=$(new_key)
other=$(new_key)
log="$S/keys.db-audit.log"
denied() {
	"$SSEFS" key describe "$1" >/dev/null 2>&1
}

# ---- Rotation
ok "rotate" "$SSEFS" audit rotate
denied alias/nobody
ok "rotate again" "$SSEFS" audit rotate
"$SSEFS" key disable "$other"
is "three files" "$(find "$S" -name '*audit.log*' | wc -l)" 3
is "their modes" "$(stat -c %a "$log" "$log.2" "$log.3" | sort -u)" 600
out=$("$SSEFS" audit verify)
is "one chain" $? 0
like "over them" "$out" "in 3 files"
all=$("$SSEFS" audit show)
is "all are shown" "$(echo "$all" | jq .seq | tr '\n' ' ')" \
    "$(seq -s ' ' "$(echo "$all" | wc -l)") "
is "each record has CloudTrail's members" "$(echo "$all" | jq -r '
    select((.eventVersion and .userIdentity.type and .userIdentity.accountId and
    .eventTime and .eventSource == "kms.amazonaws.com" and .eventName and
    .awsRegion and .sourceIPAddress and .userAgent and .requestID and .eventID and
    has("readOnly") and has("requestParameters") and .responseElements == null and
    (.resources | type == "array") and .eventType and .managementEvent and
    .recipientAccountId) | not) | .seq')" ""
is "what ssefs does by itself" "$(echo "$all" | jq -r '
    select(.eventType == "AwsServiceEvent") | .eventName' | sort -u)" \
    AuditCheckpoint

# ---- Filters
is "--event" "$("$SSEFS" audit show --event DisableKey | jq -r .eventName)" \
    DisableKey
is "--key by id" "$("$SSEFS" audit show --key "$other" | jq -r .eventName |
    tr '\n' ' ')" "CreateKey DisableKey "
is "--denied" "$("$SSEFS" audit show --denied | jq -r .errorCode)" \
    NotFoundException
is "a key that is none, by the name it was called" \
    "$("$SSEFS" audit show --key alias/nobody | jq -r .eventName)" DescribeKey
is "--user" "$("$SSEFS" audit show --user nobody)" ""
isnt "--user root" "$("$SSEFS" audit show --user root)" ""
is "--since now and then" "$("$SSEFS" audit show --since 1h | wc -l)" \
    "$(echo "$all" | wc -l)"
is "--until" "$("$SSEFS" audit show --until 2001-01-01T00:00:00Z)" ""
is "--last of those" "$("$SSEFS" audit show --event CreateKey --last 1 |
    jq -r '.resources[0].ARN' | sed 's,.*/,,')" "$other"
is "--skip of those" "$("$SSEFS" audit show --event CreateKey --skip 1 |
    wc -l)" 1
is "--json" "$("$SSEFS" --json audit show --event CreateKey | jq length)" 2
"$SSEFS" audit show --since yesterday >/dev/null 2>&1
is "no time" $? 2

# ---- Without the keystore
"$SSEFS" audit key >"$T/keys"
is "a key for each file" "$(wc -l <"$T/keys")" 3
head -n 1 "$T/keys" >"$T/first"
mkdir "$T/copy"
cp "$log" "$log.2" "$log.3" "$T/copy"
c="$T/copy/keys.db-audit.log"
outside() {
	env -u SSEFS_STORE "$SSEFS" audit verify --public-key "$@"
}
ok "by the first key alone" outside "$T/first" "$c" "$c.2" "$c.3"
ok "a later part, by all keys" outside "$T/keys" "$c.2" "$c.3"
outside "$T/keys" "$c" "$c.3" >"$T/out"
is "a part left out" $? 1
like "says what" "$(cat "$T/out")" "missing"
outside "$T/keys" "$c.2" "$c" >"$T/out"
is "the wrong way round" $? 1
sed -i '1s/CreateKey/createkey/' "$c"
outside "$T/first" "$c" "$c.2" "$c.3" >"$T/out"
is "a record changed" $? 1
like "by which checkpoint" "$(cat "$T/out")" "altered: record"
outside "$T/none" "$c" >/dev/null 2>&1
is "no keys: not verified" $? 8
ok "the log continues its copy" "$SSEFS" audit verify "$c.3"
sed '$s/"mac":"[0-9a-f]*/"mac":"'"$(printf '%064d' 0)/" "$c.3" >"$T/other"
"$SSEFS" audit verify "$T/other" >"$T/out"
is "another log does not" $? 1
like "says which record" "$(cat "$T/out")" "another one in this copy"
"$SSEFS" audit verify "$T/keys" >/dev/null 2>&1
is "no log at all" $? 8
# The signature is plain Ed25519 over the text: any tool can check it.
if command -v openssl >/dev/null && command -v xxd >/dev/null; then
	line=$("$SSEFS" audit show --event AuditCheckpoint --last 1)
	echo "$line" | jq -j .additionalEventData.checkpoint >"$T/text"
	echo "$line" | jq -j .additionalEventData.signature | xxd -r -p >"$T/sig"
	(printf '302a300506032b6570032100'
	    tail -n 1 "$T/keys" | cut -d ' ' -f 5) | xxd -r -p >"$T/pub.der"
	ok "openssl agrees" openssl pkeyutl -verify -pubin -keyform DER \
	    -inkey "$T/pub.der" -rawin -in "$T/text" -sigfile "$T/sig"
fi

# ---- Following
"$SSEFS" audit show --follow --event DescribeKey >"$T/follow" &
pid=$!
denied alias/one
"$SSEFS" audit rotate
denied alias/two
followed() { [ "$(wc -l <"$T/follow")" -ge 3 ]; }
await followed
kill "$pid"
wait "$pid" 2>/dev/null
is "--follow goes on across files" \
    "$(jq -r .requestParameters.keyId "$T/follow" | tr '\n' ' ')" \
    "alias/nobody alias/one alias/two "

# ---- A mount: sync mode, by the store and by an option
bucket docs
start_mount docs -o audit=sync
setfattr -n user.sse.default -v "KMS:$id" "$M"
echo x >"$M/f"
last=$(find "$S" -name '*audit.log*' | sort -V | tail -n 1)
like "a record before the answer" "$(tail -n 1 "$last")" GenerateDataKey
cat "$M/f" >/dev/null
like "each" "$(tail -n 1 "$last")" '"eventName":"Decrypt"'
stop_mount
start_mount docs
cat "$M/f" >/dev/null
unlike "not without" "$(tail -n 1 "$last")" '"eventName":"Decrypt"'
is "the mode" "$("$SSEFS" audit mode)" epoch
ok "set beside a mount" "$SSEFS" audit mode sync
cat "$M/f" >/dev/null
like "it is in force at once" "$(tail -n 1 "$last")" '"eventName":"Decrypt"'
is "the mode then" "$("$SSEFS" --json audit mode | jq -r .mode)" sync
ok "rotate beside a mount" "$SSEFS" audit rotate
cat "$M/f" >/dev/null
like "the mount goes on in the new file" \
    "$(tail -n 1 "$(find "$S" -name '*audit.log*' | sort -V | tail -n 1)")" \
    '"eventName":"Decrypt"'
stop_mount
"$SSEFS" audit mode epoch
"$SSEFS" audit mode never >/dev/null 2>&1
is "no other mode" $? 2
"$SSEFS" mount docs "$M" -o audit=never >/dev/null 2>&1
isnt "nor option" $? 0
ok "still one chain" "$SSEFS" audit verify

# ---- Backups
ok "a backup" "$SSEFS" backup "$T/backup"
ok "verify it" "$SSEFS" backup --verify "$T/backup"
ok "restore it" "$SSEFS" restore "$T/backup" --store "$T/restored"
is "it has all files" "$(find "$T/restored" -name '*audit.log*' | wc -l)" \
    "$(find "$S" -name '*audit.log*' | wc -l)"
ok "whose chain is whole" "$SSEFS" audit verify --store "$T/restored" \
    --root-key "$S.key"
n=$(find "$T/backup" -name 'keys.db-audit.log.2')
cp "$n" "$T/part"
head -c 100 "$T/part" >"$n"
"$SSEFS" backup --verify "$T/backup" >/dev/null 2>&1
is "a damaged one is found" $? 4
cp "$T/part" "$n"

# ---- What is kept
is "all, at first" "$("$SSEFS" --json audit keep | jq -c '[.keepDays,
    .keepBytes, .fileBytes]')" "[0,0,67108864]"
ok "set" "$SSEFS" audit keep 365d files=64K
is "as set" "$("$SSEFS" audit keep)" "365d, in files of 65536 bytes"
for bad in 0d 12x files=0 files=1K -1d; do
	"$SSEFS" audit keep -- "$bad" >/dev/null 2>&1
	isnt "not $bad" $? 0
done
"$SSEFS" audit keep all 4K
ok "rotation removes what is too much" "$SSEFS" audit rotate
[ ! -e "$log" ]
is "the first file is gone" $? 0
out=$("$SSEFS" audit verify)
is "what is left is whole" $? 0
like "and says where it begins" "$out" "from record"
like "the log tells" "$("$SSEFS" audit show --event DeleteAuditSegments |
    jq -c .additionalEventData)" firstSegment
first=$(find "$S" -name '*audit.log*' | sort -V | head -n 1)
rm "$first"
"$SSEFS" audit verify >/dev/null 2>&1
is "who removes one more is found out" $? 1
tampered
"$SSEFS" fsck >/dev/null 2>&1
is "by fsck, too" $? 16
done_testing
