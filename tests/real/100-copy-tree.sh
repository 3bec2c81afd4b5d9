#!/bin/sh
# cp -a of real trees onto the mount, compared after a remount by rsync with
# every attribute and by checksum; tar and untar of the same.
# Serves: R30
# Environment: REAL_MB (default 150) bounds what is taken of /usr/share.
. "$(dirname "$0")/../lib.sh"
require_fuse
require_root
require rsync tar
new_store
bucket docs
start_mount docs -o suid,dev

same() {
	# rsync's own xattrs of the mount (user.sse.*) have no counterpart.
	rsync -aHAXnc --delete --itemize-changes \
	    --filter='-x user.sse.*' --filter='-x user.s3.*' \
	    "$1/" "$2/" | head -n 20
}
# /usr/share, as many directories as the limit allows, in the order of names.
left=$((${REAL_MB:-150} * 1024))
mkdir "$M/share"
taken=
for d in /usr/share/*/; do
	k=$(du -sk "$d" | cut -f 1)
	[ "$k" -lt "$left" ] || continue
	left=$((left - k))
	taken="$taken $(basename "$d")"
done
ok "cp -a /usr/include" cp -a /usr/include "$M/include"
# shellcheck disable=SC2086
ok "cp -a of parts of /usr/share" sh -c \
    "cd /usr/share && cp -a $taken '$M/share/'"
# A tree with what those lack.
mkdir -p "$T/odd/d"
echo x >"$T/odd/f"
ln "$T/odd/f" "$T/odd/d/hard"
ln -s ../f "$T/odd/d/sym"
mkfifo "$T/odd/fifo"
mknod "$T/odd/null" c 1 3
chmod 4711 "$T/odd/f"
chown 1234:2345 "$T/odd/d"
setfattr -n user.note -v hello "$T/odd/f" 2>/dev/null
truncate -s 100M "$T/odd/sparse"
touch -d '1999-12-31 23:59:59.123456789' "$T/odd/d/hard"
ok "cp -a of links, nodes and a hole" cp -a "$T/odd" "$M/odd"
remount
is "/usr/include is the same" "$(same /usr/include "$M/include")" ""
for d in $taken; do
	same "/usr/share/$d" "$M/share/$d"
done >"$T/diff"
is "/usr/share is the same" "$(head -n 20 "$T/diff")" ""
is "the odd tree is the same" "$(same "$T/odd" "$M/odd")" ""
ok "the hole is one" [ "$(du -k "$M/odd/sparse" | cut -f 1)" -lt 1024 ]

ok "tar" tar -C "$M" -cf "$M/all.tar" include odd
mkdir "$M/un"
ok "untar" tar -C "$M/un" -xpf "$M/all.tar"
remount
is "what was untarred is the same" "$(same /usr/include "$M/un/include")" ""
ok "rm -rf" sh -c "rm -rf '$M'/*"
is "nothing is left" "$(ls -A "$M")" ""
done_testing
