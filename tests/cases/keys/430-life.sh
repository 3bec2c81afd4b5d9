#!/bin/sh
# The end of keys by command: window, usage, delete, cancel, when it is due,
# beside a mount and without one; rotation by period; tags and descriptions.
# Serves: R9 R25 R26 R28
. "$(dirname "$0")/../../lib.sh"
require_fuse
require jq
require sqlite3
new_store
get() { "$SSEFS" --json key describe "$1" | jq -r "$2"; }
state() { get "$1" .state; }
# Time passes for this key.
elapse() {
	sqlite3 "$S/keys.db" "PRAGMA busy_timeout=10000; UPDATE keys SET \
	    $1 = 1 WHERE $1 > 1; UPDATE meta SET v = v + 1 WHERE k = 'epoch'" \
	    >/dev/null
}
gone() { ! "$SSEFS" key describe "$1"; }
rotated() { [ "$(get "$1" .version)" = "$2" ]; }

# Tags and descriptions.
k=$(new_key --tag dept=hr --tag "note=a b" --description first)
is "tags" "$(get "$k" '.tags | to_entries | map(.key + "=" + .value) |
    join(";")')" "dept=hr;note=a b"
ok "tag" "$SSEFS" key tag "$k" dept=it more=
ok "untag" "$SSEFS" key untag "$k" note
ok "description" "$SSEFS" key description "$k" second
like "describe shows tags" "$("$SSEFS" key describe "$k")" '^tag  *dept=it$'
like "and the text" "$("$SSEFS" key describe "$k")" '^description  *second$'
is "what is left" "$(get "$k" '.tags | keys | join(";")')" "dept;more"
fails "no equals sign" "$SSEFS" key tag "$k" dept
fails "a reserved tag" "$SSEFS" key tag "$k" aws:x=1
like "says so" "$(cat "$T/out")" 'reserved'
fails "create with a bad tag" "$SSEFS" key create --tag x

# The waiting time.
is "the usual bounds" "$("$SSEFS" key window)" "7 to 30 days, 30 when not given"
fails "6 days" "$SSEFS" key delete "$k" --days 6
like "says the bounds" "$(cat "$T/out")" 'waits 7 to 30 days'
fails "31 days" "$SSEFS" key delete "$k" --days 31
fails "no number" "$SSEFS" key delete "$k" --days soon
ok "other bounds" "$SSEFS" key window 2 40 --days 3
fails "of no sense" "$SSEFS" key window 5 4
ok "delete" "$SSEFS" key delete "$k"
like "describe says when" "$("$SSEFS" key describe "$k")" '^deletion  *on 20'
is "pending" "$(state "$k")" PendingDeletion
for c in enable disable rotate delete "rotation --period 9" "tag:a=b" \
    "untag:a" "description:x" "alias create x:"; do
	case $c in
	"alias create x:") set -- alias create x "$k" ;;
	"rotation --period 9") set -- rotation --period 9 "$k" ;;
	*:*) set -- "${c%%:*}" "$k" "${c#*:}" ;;
	*) set -- "$c" "$k" ;;
	esac
	fails "pending deletion: $c" "$SSEFS" key "$@"
	like "$c: says why" "$(cat "$T/out")" 'is pending deletion; ssefs key'
done
ok "cancel" "$SSEFS" key cancel-deletion "$k"
is "it is disabled" "$(state "$k")" Disabled
fails "cancel again" "$SSEFS" key cancel-deletion "$k"
like "says why" "$(cat "$T/out")" 'is not pending deletion'
fails "no rotation of a disabled key" "$SSEFS" key rotation "$k" --period 9
ok "delete while disabled" "$SSEFS" key delete "$k" --days 2
elapse delete_at
ok "any opening of the store" "$SSEFS" bucket ls
fails "is the end of it" "$SSEFS" key describe "$k"
like "the log has it" "$("$SSEFS" audit show)" '"eventName":"DeleteKey"'

# In use.
u=$(new_key --alias used)
use() { "$SSEFS" --json key usage "$u" | jq -r '"\(.objects) \(.defaults)"'; }
# The kernel tells that a file was closed a moment later.
used() { [ "$(use)" = "$1" ]; }
bucket docs --sse "KMS:$u"
is "a default counts" "$(use)" "0 1"
fails "in use by a default" "$SSEFS" key delete "$u"
like "says by what" "$(cat "$T/out")" 'in use by 0 objects and 1 defaults'
start_mount docs
echo one >"$M/a"
echo two >"$M/b"
is "counted before any commit" "$(use)" "2 1"
setfattr -n user.sse.default -v None "$M"
rm "$M/b"
ok "one less" await used "1 0"
fails "in use by a file" "$SSEFS" key delete alias/used
like "says so" "$(cat "$T/out")" 'in use by 1 objects and 0 defaults'
exec 9<"$M/a"
rm "$M/a"
is "an open file without a name counts" "$(use)" "1 0"
exec 9<&-
ok "and no more" await used "0 0"
like "calls" "$("$SSEFS" key usage "$u")" '^calls  *[1-9]'
fails "a default key stays" "$SSEFS" key delete alias/ssefs/default
setfattr -n user.sse.default -v KMS "$M"
echo x >"$M/c"
fails "also when it is there" "$SSEFS" key delete alias/ssefs/default
like "says so" "$(cat "$T/out")" 'default key cannot be deleted'

# The timer beside a mount.
echo y >"$M/y"
setfattr -n user.sse.default -v "KMS:$u" "$M"
exec 9>"$M/late"
exec 9>&-
rm "$M/late"
setfattr -n user.sse.default -v None "$M"
await used "0 0"
ok "delete beside the mount" "$SSEFS" key delete "$u" --days 3
setfattr -n user.sse.default -v "KMS:$u" "$M"
errno "at once out of use" EKEYREVOKED sh -c "echo z >'$M/z'"
elapse delete_at
sleep 2
is "it is due, but a default came" "$(state "$u")" PendingDeletion
setfattr -n user.sse.default -v None "$M"
ok "then it goes, while the mount runs" await gone "$u"
is "other files stay" "$(cat "$M/c")" x

# Rotation by period.
r=$(new_key)
ok "rotation" "$SSEFS" key rotation "$r" --period 90
like "describe shows it" "$("$SSEFS" key describe "$r")" \
    '^rotation  *every 90 days'
elapse rotate_at
ok "rotated while the mount runs" await rotated "$r" 2
elapse rotate_at
ok "and again" await rotated "$r" 3
ok "off" "$SSEFS" key rotation "$r" --period off
is "no period" "$(get "$r" .rotation_days)" null
fails "no number of days" "$SSEFS" key rotation "$r" --period never
fails "nothing said" "$SSEFS" key rotation "$r"
stop_mount
ok "rotation 9" "$SSEFS" key rotation "$r" --period 9
elapse rotate_at
ok "any opening" "$SSEFS" bucket ls
is "does it" "$(get "$r" .version)" 4
ok "the log is whole" "$SSEFS" audit verify
done_testing
