#!/bin/sh
# Mount options: ro, sse, sse_kms_key_id, user, uid, gid, umask, allow_other,
# default_permissions, commit; as -o and as long options.
# Serves: R10 R11 R30
. "$(dirname "$0")/../../lib.sh"
require_fuse
require_root
new_store
bucket docs --sse None

start_mount docs
echo data >"$M/f"
stop_mount

start_mount docs -o ro
is "ro: reading" "$(cat "$M/f")" data
errno "ro: create" EROFS touch "$M/new"
errno "ro: write" EROFS sh -c "echo x >>'$M/f'"
errno "ro: unlink" EROFS rm -f "$M/f"
errno "ro: setxattr" EROFS setfattr -n user.a -v b "$M/f"
like "ro: the kernel knows" "$(grep " $M " /proc/mounts)" ' ro[, ]'
stop_mount

start_mount docs --sse AES256
echo x >"$M/aes"
is "--sse: new files" "$(xa user.sse.algorithm "$M/aes")" AES256
is "--sse: old files stay" "$(xa user.sse.status "$M/f")" No
stop_mount
start_mount docs -o sse=KMS
echo x >"$M/kms"
is "-o sse=KMS" "$(xa user.sse.algorithm "$M/kms")" aws:kms
stop_mount
id=$(new_key)
start_mount docs -o "sse=KMS,sse_kms_key_id=$id"
echo x >"$M/key"
like "-o sse_kms_key_id" "$(xa user.sse.key-id "$M/key")" "key/$id\$"
stop_mount
start_mount docs --sse KMS --sse-kms-key-id "$id"
echo x >"$M/key2"
like "--sse-kms-key-id" "$(xa user.sse.key-id "$M/key2")" "key/$id\$"
stop_mount
start_mount docs
echo x >"$M/plain"
is "options of one mount do not last" "$(xa user.sse.status "$M/plain")" No
stop_mount
fails "conflict: AES256 with a key" \
    "$SSEFS" mount docs "$M" -o "sse=AES256,sse_kms_key_id=$id"
fails "conflict: None with a key" \
    "$SSEFS" mount docs "$M" --sse None --sse-kms-key-id "$id"
no_key=00000000-0000-4000-8000-000000000000
fails "an unknown key" "$SSEFS" mount docs "$M" -o sse=KMS \
    -o "sse_kms_key_id=$no_key"
is "exit code of an unknown key" "$fails_rc" 4
like "names the key" "$(cat "$T/out")" "no key \"$no_key\""
fails "a malformed key" "$SSEFS" mount docs "$M" -o sse_kms_key_id=arn:x
fails "an unknown mode" "$SSEFS" mount docs "$M" -o sse=ROT13
fails "an empty number" "$SSEFS" mount docs "$M" -o commit=

start_mount docs -o uid=1234,gid=2345,umask=027
is "uid and gid" "$(stat -c %u:%g "$M/f")" 1234:2345
is "umask" "$(stat -c %a "$M/f")" 750
stop_mount
fails "a user that there is not" "$SSEFS" mount docs "$M" -o user=alice
"$SSEFS" user create alice --admin >/dev/null
start_mount docs -o commit=1,user=alice
echo x >"$M/a"
stop_mount
"$SSEFS" bucket encryption set docs KMS >/dev/null
start_mount docs -o user=alice
echo x >"$M/audited"
stop_mount
like "user= is who the audit log names" \
    "$("$SSEFS" audit show | grep -F GenerateDataKey | tail -n 1)" alice

start_mount docs -o noatime
touch -a -d 2001-01-01 "$M/f"
cat "$M/f" >/dev/null
is "noatime keeps the access time" "$(stat -c %x "$M/f" | cut -c 1-4)" 2001
stop_mount
start_mount docs
cat "$M/f" >/dev/null
ok "without it a read sets it" test "$(stat -c %X "$M/f")" -gt 1500000000
stop_mount

# allow_other, and the kernel's permission checks.
start_mount docs
errno "another user without allow_other" EACCES \
    setpriv --reuid 65534 --regid 65534 --clear-groups ls "$M"
stop_mount
start_mount docs -o allow_other
chmod 600 "$M/f"
chmod 755 "$M"
ok "another user with allow_other" \
    setpriv --reuid 65534 --regid 65534 --clear-groups ls "$M"
errno "modes are checked" EACCES \
    setpriv --reuid 65534 --regid 65534 --clear-groups cat "$M/f"
done_testing
