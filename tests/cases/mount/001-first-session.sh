#!/bin/sh
# The first session of a newcomer, command for command.
# Serves: R4 R8 R9 R10 R24 R26 R30
. "$(dirname "$0")/../../lib.sh"
require_fuse
cd "$T" || exit 1
unset SSEFS_STORE
arn='arn:aws:kms:us-east-1:000000000000:key/[0-9a-f-]{36}'

out=$("$SSEFS" init --store S 2>&1)
is "init" $? 0
like "it prints where the root key is" "$out" 'S\.key'
is "the root key's mode" "$(stat -c %a S.key)" 600
is "the store's mode" "$(stat -c %a S)" 700
export SSEFS_STORE=S
ok "bucket create" "$SSEFS" bucket create docs --sse KMS
mkdir MNT
# The command's output is a pipe here: the daemon must let go of it.
out=$("$SSEFS" mount docs MNT 2>&1)
is "mount returns when mounted" $? 0
ok "and it is mounted" mountpoint -q MNT
echo "quarterly figures" >MNT/report.txt
out=$(getfattr -d -m user.sse MNT/report.txt)
like "status" "$out" '^user\.sse\.status="Yes"$'
like "algorithm" "$out" '^user\.sse\.algorithm="aws:kms"$'
like "key id" "$out" "^user\\.sse\\.key-id=\"$arn\"\$"
id=$("$SSEFS" key create)
like "key create prints the id" "$id" '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
: >MNT/mine.txt
ok "choose that key for an empty file" \
    setfattr -n user.sse.key-id -v "$id" MNT/mine.txt
echo "under my key" >MNT/mine.txt
like "its key id is the ARN of that key" \
    "$(getfattr --only-values -n user.sse.key-id MNT/mine.txt)" \
    "^arn:aws:kms:us-east-1:000000000000:key/$id\$"
is "read back" "$(cat MNT/report.txt MNT/mine.txt)" "quarterly figures
under my key"
out=$("$SSEFS" umount MNT && "$SSEFS" fsck)
is "umount and fsck, one after the other" $? 0
like "clean" "$out" clean
fails "nothing of the text in the store" grep -rqa "quarterly figures" S
ok "mount again" "$SSEFS" mount docs MNT
is "still there" "$(cat MNT/report.txt MNT/mine.txt)" "quarterly figures
under my key"
ok "umount again" "$SSEFS" umount MNT
done_testing
