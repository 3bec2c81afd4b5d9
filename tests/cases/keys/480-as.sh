#!/bin/sh
# Commands on keys as another tenant, and as one of its users: by that user's
# rights, under that name in the log, also while a mount or a server has the
# store.
# Serves: R13 R20 R21
. "$(dirname "$0")/../../lib.sh"
require_fuse
new_store
bucket docs --sse KMS
tenant=123456789012
t="--tenant $tenant"
as="$t --as alice"

key() { "$SSEFS" key "$@"; }
# The last record, and the checkpoint behind it.
last() { "$SSEFS" audit show --last 2; }
give() {
	printf '{"Version":"2012-10-17","Statement":{"Effect":"Allow",
	    "Action":[%s],"Resource":"*"}}' "$1" |
	    "$SSEFS" policy put p - $t >/dev/null
}

"$SSEFS" user create alice $t >/dev/null
"$SSEFS" user create boss --admin $t >/dev/null
give '"kms:Sign"'
"$SSEFS" policy attach p --user alice $t

# ---- The tenant's account
k=$(key create $t --alias mine)
like "a key of the tenant" "$(key describe "$k" $t)" \
    "arn:aws:kms:us-east-1:$tenant:key/$k"
like "is listed there" "$(key ls $t)" "$k"
unlike "and not for the default tenant" "$(key ls)" "$k"
fails "which cannot describe it" key describe \
    "arn:aws:kms:us-east-1:$tenant:key/$k"
like "the tenant's account is in the log" "$(
    key disable "$k" $t
    last)" "arn:aws:iam::$tenant:root.*\"DisableKey\""
key enable "$k" $t
fails "a tenant with a bad name" key ls --tenant 'a b'
fails "a user who is not there" key ls $t --as nobody
like "says so" "$(key ls $t --as nobody 2>&1)" 'no user "nobody"'

# ---- A user
for c in "ls" "describe $k" "enable $k" "disable $k" "rotate $k" \
    "rotation $k --period 100" "rotations $k" "policy get $k" \
    "policy reset $k" "grant ls $k" "tag $k a=b" "untag $k a" \
    "description $k x" "alias create more $k" "alias update mine $k" \
    "alias rm mine" "alias ls" "usage $k" "delete $k" "cancel-deletion $k" \
    "window 7 30" "create" "import delete $k" \
    "grant create $k arn:aws:iam::$tenant:user/alice Decrypt" \
    "grant revoke $k $(printf '%064d' 0)" "import parameters $k $T/p $T/t" \
    "slot add --new-root-key $T/new.key"; do
	# shellcheck disable=SC2086
	like "key $c: not without the right" "$(key $c $as 2>&1)" \
	    "arn:aws:iam::$tenant:user/alice is not authorized"
	like "key $c: which is recorded" "$(last)" \
	    "user/alice\".*\"errorCode\":\"AccessDenied"
done
give '"kms:DisableKey","kms:EnableKey"'
ok "with the right" key disable "$k" $as
is "it is done" "$(key describe "$k" $t --json | jq -r .state)" Disabled
like "under the user's name" "$("$SSEFS" audit show --event DisableKey --last 1)" \
    "\"arn\":\"arn:aws:iam::$tenant:user/alice\""
ok "and back" key enable "$k" $as
ok "an administrator may do everything" key tag "$k" a=b $t --as boss
ok "also without --tenant, in the default one" sh -c \
    "'$SSEFS' user create carl --admin && '$SSEFS' key create --as carl"

# ---- While another process has the store
owners=1 # one was refused above
owned() {
	give '"kms:Sign"'
	fails "$1: no usage without the right" key usage "$k" $as
	fails "$1: no deletion" key delete "$k" $as
	give '"kms:DescribeKey","kms:ScheduleKeyDeletion"'
	like "$1: usage" "$(key usage "$k" $as)" 'objects *0'
	like "$1: deletion" "$(key delete "$k" --days 9 $as)" "^$k is deleted on"
	like "$1: under the user's name" "$("$SSEFS" audit show \
	    --event ScheduleKeyDeletion --last 1)" "user/alice\""
	key cancel-deletion "$k" $t
	owners=$((owners + 1))
	is "$1: as is the refusal" "$("$SSEFS" audit show --denied \
	    --event ScheduleKeyDeletion | grep -c "user/alice\"")" $owners
	give '"kms:ScheduleKeyDeletion"'
	day=$(date -u -d '+9 days' +%Y-%m-%d)
	like "$1: with that right alone" "$(key delete "$k" --days 9 $as)" \
	    "^$k is deleted on ($day|$(date -u -d '+9 days' +%Y-%m-%d))T"
	key cancel-deletion "$k" $t
	fails "$1: a key of that tenant is not the default tenant's" \
	    key usage "arn:aws:kms:us-east-1:$tenant:key/$k"
}
owned "nobody"
start_mount docs
owned "a mount"
stop_mount
"$SSEFS" serve --listen 127.0.0.1:0 >/dev/null
owned "a server"
server=$(daemon_pid)
kill "$server"
wait_gone "$server"
ok "the audit log is whole" "$SSEFS" audit verify
done_testing
