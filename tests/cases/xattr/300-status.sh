#!/bin/sh
# Every file tells its status, algorithm and key; a status never changes.
# Serves: R4 R5 R9 R10 R11 R24 R26
. "$(dirname "$0")/../../lib.sh"
require_fuse
new_store
key=$(new_key)
"$SSEFS" key alias create team "$key" >/dev/null || fail "alias"
bucket b-none --sse None
bucket b-aes --sse AES256
bucket b-kms --sse KMS
bucket b-key --sse "KMS:$key"
bucket b-alias --sse KMS:alias/team
bucket b-default
fails "an unknown mode" "$SSEFS" bucket create bad1 --sse SSE-C
fails "AES256 takes no key" "$SSEFS" bucket create bad2 --sse "AES256:$key"
fails "None takes no key" "$SSEFS" bucket create bad3 --sse "None:$key"
fails "an unknown key" "$SSEFS" bucket create bad4 \
    --sse KMS:00000000-0000-4000-8000-000000000000
start_mount /
is "the refused ones were not made" "$(ls "$M" | grep -c bad)" 0
arn=arn:aws:kms:us-east-1:000000000000:key/

for b in none aes kms key alias default; do
	echo "file in $b" >"$M/b-$b/f"
	: >"$M/b-$b/empty"
done
is "None: status" "$(xa user.sse.status "$M/b-none/f")" No
is "None: no algorithm" "$(xa user.sse.algorithm "$M/b-none/f")" ""
is "None: no key" "$(xa user.sse.key-id "$M/b-none/f")" ""
is "AES256: status" "$(xa user.sse.status "$M/b-aes/f")" Yes
is "AES256: algorithm" "$(xa user.sse.algorithm "$M/b-aes/f")" AES256
is "AES256: no key is shown" "$(xa user.sse.key-id "$M/b-aes/f")" ""
for b in kms key alias default; do
	is "b-$b: status" "$(xa user.sse.status "$M/b-$b/f")" Yes
	is "b-$b: algorithm" "$(xa user.sse.algorithm "$M/b-$b/f")" aws:kms
done
is "the named key" "$(xa user.sse.key-id "$M/b-key/f")" "$arn$key"
is "the same by its alias" "$(xa user.sse.key-id "$M/b-alias/f")" "$arn$key"
is "the default key is one" "$(xa user.sse.key-id "$M/b-kms/f")" \
    "$(xa user.sse.key-id "$M/b-default/f")"
isnt "and another one" "$(xa user.sse.key-id "$M/b-kms/f")" "$arn$key"
like "an empty file tells too" "$(xa user.sse.status "$M/b-kms/empty")" Yes
out=$(getfattr -d -m - "$M/b-kms/f")
like "they are listed" "$out" 'user\.sse\.status="Yes"'

# R5: no change once there is data.
for b in none aes kms; do
	f=$M/b-$b/f
	errno "$b: set status" EPERM setfattr -n user.sse.status -v No "$f"
	errno "$b: set status to what it is" EPERM \
	    setfattr -n user.sse.status -v Yes "$f"
	errno "$b: set algorithm" EPERM \
	    setfattr -n user.sse.algorithm -v AES256 "$f"
	errno "$b: set algorithm aws:kms" EPERM \
	    setfattr -n user.sse.algorithm -v aws:kms "$f"
	errno "$b: set key" EPERM setfattr -n user.sse.key-id -v "$key" "$f"
	errno "$b: remove status" EPERM setfattr -x user.sse.status "$f"
done
errno "remove the key" EPERM setfattr -x user.sse.key-id "$M/b-kms/f"
errno "remove the algorithm" EPERM setfattr -x user.sse.algorithm "$M/b-kms/f"
is "all is as before" "$(xa user.sse.algorithm "$M/b-kms/f")" aws:kms
is "and readable" "$(cat "$M/b-kms/f")" "file in kms"

# R10: a request for one file, while it is empty.
e=$M/b-none/empty
ok "ask for AES256" setfattr -n user.sse.algorithm -v AES256 "$e"
is "status follows" "$(xa user.sse.status "$e")" Yes
ok "ask for KMS instead" setfattr -n user.sse.algorithm -v aws:kms "$e"
like "the default key" "$(xa user.sse.key-id "$e")" "$arn"
ok "ask for a key" setfattr -n user.sse.key-id -v "$key" "$e"
is "that key" "$(xa user.sse.key-id "$e")" "$arn$key"
ok "by alias" setfattr -n user.sse.key-id -v alias/team "$e"
ok "by ARN" setfattr -n user.sse.key-id -v "$arn$key" "$e"
echo data >"$e"
is "then written" "$(xa user.sse.key-id "$e")" "$arn$key"
errno "then fixed" EPERM setfattr -n user.sse.algorithm -v AES256 "$e"
: >"$M/b-kms/e2"
errno "an unknown algorithm" EINVAL \
    setfattr -n user.sse.algorithm -v ROT13 "$M/b-kms/e2"
errno "an unknown key" ENOKEY setfattr -n user.sse.key-id \
    -v 00000000-0000-4000-8000-000000000000 "$M/b-kms/e2"
errno "an unknown alias" ENOKEY \
    setfattr -n user.sse.key-id -v alias/nobody "$M/b-kms/e2"
errno "a key that is none" EINVAL \
    setfattr -n user.sse.key-id -v 'not a key' "$M/b-kms/e2"
errno "R11: a key for an AES256 file" EINVAL sh -c "
    setfattr -n user.sse.algorithm -v AES256 '$M/b-kms/e2' || exit 0
    setfattr -n user.sse.key-id -v '$key' '$M/b-kms/e2'"
errno "an unknown user.sse name" EINVAL \
    setfattr -n user.sse.colour -v blue "$M/b-kms/e2"
"$SSEFS" key disable "$key" >/dev/null
: >"$M/b-kms/e3"
errno "a disabled key" EKEYREVOKED \
    setfattr -n user.sse.key-id -v "$key" "$M/b-kms/e3"
errno "a new file under a disabled key" EKEYREVOKED touch "$M/b-key/new"
"$SSEFS" key enable "$key" >/dev/null
ok "and again after enabling it" touch "$M/b-key/new"

# Set on a file that was truncated to nothing: it is empty again or was used;
# either way its status and its content must agree.
: >"$M/b-kms/f"
setfattr -n user.sse.algorithm -v AES256 "$M/b-kms/f" 2>/dev/null
echo again >"$M/b-kms/f"
is "after a truncation the file works" "$(cat "$M/b-kms/f")" again
remount
is "status after a remount" "$(xa user.sse.key-id "$M/b-none/empty")" "$arn$key"
is "content after a remount" "$(cat "$M/b-none/empty" "$M/b-kms/f")" "data
again"
done_testing
