#!/bin/sh
# The command line: help, usage errors, stat, ls, buckets, JSON, --store.
# Serves: R4 R10 R24
. "$(dirname "$0")/../../lib.sh"
require_fuse
require jq
out=$("$SSEFS" key alias --help)
is "--help after the first words of commands" $? 0
like "... shows those" "$out" "key alias update"
unlike "... and no others" "$out" "key create"
out=$("$SSEFS" --help)
is "--help" $? 0
for c in init mount umount 'bucket create' 'key create' stat ls 'audit verify' \
    fsck scrub; do
	like "help names $c" "$out" "$c"
	ok "help $c" sh -c "'$SSEFS' help $c | grep -q ."
done
like "--version" "$("$SSEFS" --version)" '[0-9]'
for words in '' nonsense 'bucket nonsense' 'bucket create' 'bucket create a b' \
    'fsck --nonsense' 'mount docs' 'key describe'; do
	# shellcheck disable=SC2086
	"$SSEFS" $words >"$T/o" 2>"$T/e"
	is "usage error: '$words'" $? 2
	is "nothing on stdout" "$(wc -c <"$T/o")" 0
	like "a line on stderr" "$(cat "$T/e")" '^(ssefs|usage)'
done
env -u SSEFS_STORE "$SSEFS" fsck 2>"$T/e"
like "no store named" "$(cat "$T/e")" '--store'

new_store
is "init --json" "$("$SSEFS" --json init --store "$T/s3" | jq -r .store)" \
    "$T/s3"
bucket docs --sse None
fails "a bucket twice" "$SSEFS" bucket create docs
like "says so" "$(cat "$T/out")" 'docs.*exists'
for bad in ab UPPER under_score a..b 192.168.1.1 'sp ace'; do
	fails "bad bucket name: $bad" "$SSEFS" bucket create "$bad"
done
ok "--store before the command" "$SSEFS" --store "$S" bucket ls
ok "--store after it" "$SSEFS" bucket ls --store "$S"
like "bucket ls" "$("$SSEFS" bucket ls)" '^docs +None$'
is "bucket ls --json" \
    "$("$SSEFS" bucket ls --json | jq -c '[.[] | [.name, .default]]')" \
    '[["docs","None"]]'
ok "bucket encryption set" "$SSEFS" bucket encryption set docs AES256
is "bucket encryption get" "$("$SSEFS" bucket encryption get docs)" AES256
fails "bucket encryption set: nonsense" \
    "$SSEFS" bucket encryption set docs nonsense
fails "of no bucket" "$SSEFS" bucket encryption get nope
"$SSEFS" bucket encryption set docs KMS

start_mount docs
echo x >"$M/f"
mkdir "$M/d"
ln -s f "$M/l"
out=$("$SSEFS" stat "$M/f")
like "stat: status" "$out" 'encrypted +Yes'
like "stat: algorithm" "$out" 'algorithm +aws:kms'
like "stat: key" "$out" 'key +arn:aws:kms:'
is "stat --json" "$("$SSEFS" --json stat "$M/f" | jq -c '.[0] | [.type,
    .status, .algorithm, .size]')" '["file","Yes","aws:kms",2]'
is "stat of others" "$("$SSEFS" --json stat "$M/d" "$M/l" |
    jq -c '[.[].type]')" '["directory","symlink"]'
fails "stat of nothing" "$SSEFS" stat "$M/none"
fails "stat outside of a mount" "$SSEFS" stat "$T/out"
like "ls --sse" "$("$SSEFS" ls --sse "$M")" 'Yes +aws:kms +arn:aws:kms.* f$'
is "ls --json" "$("$SSEFS" --json ls "$M" | jq -c '[.[].name]')" \
    '["d","f","l"]'
fails "bucket rm during a mount" "$SSEFS" bucket rm docs
stop_mount
fails "bucket rm of a full one" "$SSEFS" bucket rm docs
like "says why" "$(cat "$T/out")" 'not empty'
bucket empty
ok "bucket rm of an empty one" "$SSEFS" bucket rm empty
fails "and again" "$SSEFS" bucket rm empty
is "fsck --json" "$("$SSEFS" --json fsck | jq -c '[.clean, .problems]')" \
    '[true,0]'
is "scrub --json" "$("$SSEFS" --json scrub --keys | jq -c '[.clean, .bad]')" \
    '[true,0]'
# A full output is an error, not silence.
if [ -c /dev/full ]; then
	"$SSEFS" bucket ls --json >/dev/full 2>/dev/null
	isnt "output to a full disk" $? 0
fi
done_testing
