#!/bin/sh
# Default encryption: of buckets and directories, the nearest one wins, files
# that exist never change.
# Serves: R5 R10 R24 R26
. "$(dirname "$0")/../../lib.sh"
require_fuse
new_store
key=$(new_key)
bucket docs --sse None
start_mount docs
def=user.sse.default
alg=user.sse.algorithm
mkdir -p "$M/a/b/c" "$M/x"
echo old >"$M/a/b/old"

ok "set on the bucket" setfattr -n $def -v AES256 "$M"
echo x >"$M/a/b/c/f1"
is "inherited by all below" "$(xa $alg "$M/a/b/c/f1")" AES256
is "an older file stays" "$(xa user.sse.status "$M/a/b/old")" No
ok "set on a directory" setfattr -n $def -v KMS "$M/a/b"
echo x >"$M/a/b/c/f2"
echo x >"$M/a/f3"
is "the nearest wins" "$(xa $alg "$M/a/b/c/f2")" aws:kms
is "not beside it" "$(xa $alg "$M/a/f3")" AES256
ok "set with a key" setfattr -n $def -v "KMS:$key" "$M/a/b/c"
echo x >"$M/a/b/c/f4"
like "that key" "$(xa user.sse.key-id "$M/a/b/c/f4")" "$key\$"
like "shown with the key's ARN" "$(xa $def "$M/a/b/c")" "^KMS:arn:.*$key\$"
is "as set" "$(xa $def "$M/a/b")" KMS
ok "None below KMS" setfattr -n $def -v None "$M/x"
echo x >"$M/x/f5"
is "is None" "$(xa user.sse.status "$M/x/f5")" No
ok "removed from a directory" setfattr -x $def "$M/a/b/c"
echo x >"$M/a/b/c/f6"
isnt "the next one up is in force" "$(xa user.sse.key-id "$M/a/b/c/f6")" \
    "$(xa user.sse.key-id "$M/a/b/c/f4")"
is "KMS again" "$(xa $alg "$M/a/b/c/f6")" aws:kms
is "none of its own any more" "$(xa $def "$M/a/b/c")" ""
errno "nothing to remove" ENODATA setfattr -x $def "$M/a/b/c"
for bad in kms AES-256 "AES256:$key" KMS: "None:x" "aws:kms" ""; do
	errno "refused: '$bad'" EINVAL setfattr -n $def -v "$bad" "$M/a"
done
errno "refused: an unknown key" ENOKEY setfattr -n $def \
    -v KMS:00000000-0000-4000-8000-000000000000 "$M/a"
echo x >"$M/afile"
fails "refused on a file" setfattr -n $def -v KMS "$M/afile"

# A moved directory takes its own default with it and inherits anew.
mkdir "$M/kms" "$M/moving"
setfattr -n $def -v KMS "$M/kms"
mv "$M/moving" "$M/kms/moving"
echo x >"$M/kms/moving/f"
is "a moved directory inherits from its new place" \
    "$(xa $alg "$M/kms/moving/f")" aws:kms
mv "$M/a/b" "$M/x/b"
echo x >"$M/x/b/f"
is "its own default moves along" "$(xa $alg "$M/x/b/f")" aws:kms
is "a moved file keeps its own" "$(xa user.sse.status "$M/x/b/old")" No

for f in a/f3 x/b/c/f1 x/b/c/f2 x/b/c/f4 x/f5 x/b/old; do
	xa user.sse.status "$M/$f" && xa $alg "$M/$f" && \
	    xa user.sse.key-id "$M/$f"
	echo " $f"
done >"$T/before"
setfattr -n $def -v None "$M"
setfattr -x $def "$M/x/b"
setfattr -n $def -v KMS "$M/x"
for f in a/f3 x/b/c/f1 x/b/c/f2 x/b/c/f4 x/f5 x/b/old; do
	xa user.sse.status "$M/$f" && xa $alg "$M/$f" && \
	    xa user.sse.key-id "$M/$f"
	echo " $f"
done >"$T/after"
ok "no file changed when defaults did" cmp "$T/before" "$T/after"

# The tool, with the mount away; then again.
stop_mount
ok "bucket encryption set" "$SSEFS" bucket encryption set docs "KMS:$key"
like "bucket encryption get" "$("$SSEFS" bucket encryption get docs)" "$key"
start_mount docs
echo x >"$M/g"
like "in force" "$(xa user.sse.key-id "$M/g")" "$key\$"
like "seen as an xattr" "$(xa $def "$M")" "$key\$"
for f in a/f3 x/b/c/f1 x/b/c/f2 x/b/c/f4 x/f5 x/b/old; do
	xa user.sse.status "$M/$f" && xa $alg "$M/$f" && \
	    xa user.sse.key-id "$M/$f"
	echo " $f"
done >"$T/after"
ok "and still no file changed" cmp "$T/before" "$T/after"
is "all can be read" "$(cat "$M/a/f3" "$M/x/b/c/f4" "$M/x/f5")" "x
x
x"
done_testing
