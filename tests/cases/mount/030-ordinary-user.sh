#!/bin/sh
# An ordinary user makes a store and mounts it through fusermount3.
# Serves: R30
. "$(dirname "$0")/../../lib.sh"
require_fuse
require_root
require setpriv fusermount3
mkdir "$T/home"
chown 65534:65534 "$T/home"
S=$T/home/s M=$T/home/m
export S M SSEFS_STORE="$S"
# The program may stand where only root can go.
cp "$SSEFS" "$T/ssefs"
# A user opens /dev/fuse through fusermount3; it need not be accessible.
user() {
	setpriv --reuid 65534 --regid 65534 --clear-groups env HOME="$T/home" \
	    "$@"
}
ok "init" user "$T/ssefs" init
ok "bucket create" user "$T/ssefs" bucket create docs
mkdir "$M"
chown 65534:65534 "$M"
if ! user sh -c 'exec 3<>/dev/fuse' 2>/dev/null; then
	# Devices are often 0600 in small systems; lend it for this case.
	fuse_mode=$(stat -c %a /dev/fuse)
	chmod 666 /dev/fuse
	trap 'chmod $fuse_mode /dev/fuse' EXIT
fi
ok "mount" user "$T/ssefs" mount docs "$M"
ok "write" user sh -c "echo mine >'$M/f'"
is "read" "$(user cat "$M/f")" mine
is "owner" "$(user stat -c %u "$M/f")" 65534
is "encrypted" "$(user getfattr --only-values -n user.sse.status "$M/f")" Yes
errno "root is not let in" EACCES ls "$M"
errno "mknod of a device is refused" EPERM user mknod "$M/dev" c 1 3
errno "chown is refused" EPERM user chown 0 "$M/f"
fails "trusted xattrs are for root" user setfattr -n trusted.x -v y "$M/f"
ok "umount" user "$T/ssefs" umount "$M"
ok "fsck by the user" user "$T/ssefs" fsck
fails "another user cannot open the store" setpriv --reuid 65533 \
    --regid 65533 --clear-groups "$T/ssefs" fsck
fails "nor does root, with the user's key file" "$T/ssefs" fsck
like "and is told why" "$(cat "$T/out")" 's\.key belongs to another user'
done_testing
