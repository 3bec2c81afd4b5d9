#!/bin/sh
# mount.ssefs, as mount(8) and fstab call it.
# Serves: R30
. "$(dirname "$0")/../../lib.sh"
require_fuse
require_root
new_store
bucket docs
mkdir "$M"
helper=$(dirname "$SSEFS")/mount.ssefs
if [ ! -x "$helper" ]; then
	helper=$T/mount.ssefs
	ln -s "$SSEFS" "$helper"
fi

ok "mount.ssefs SOURCE DIR -o OPTIONS" \
    "$helper" docs "$M" -o "rw,store=$S,noatime"
echo x >"$M/f"
is "is a mount of the bucket" "$(xa user.sse.status "$M/f")" Yes
is "with ssefs as its type" "$(findmnt -no FSTYPE "$M")" fuse.ssefs
is "and the bucket as its source" "$(findmnt -no SOURCE "$M")" docs
ok "umount(8) ends it" umount "$M"
ok "daemon gone" await "$SSEFS" fsck
ok "read-only" "$helper" docs "$M" -o "ro,store=$S"
errno "cannot be written" EROFS touch "$M/g"
umount "$M"
await "$SSEFS" fsck
fails "no such bucket" "$helper" nope "$M" -o "rw,store=$S"
fails "nothing is mounted" mountpoint -q "$M"
done_testing
