#!/bin/sh
# make.sh NAME [INIT-ARG...]: make the store of today's format that later versions
# must open:
# tests/compat/NAME.tar.gz (the store "s" and its root key "s.key") and what a
# mount of it shows, NAME.list.  Run once for each format that is released, with
# the program of that release (SSEFS, default build/ssefs); never again.
#
# NAME.who is what its keystore says of identities.
#
# It holds every kind of row and record: inline and embedded maps, a node, shared
# segments, all three methods, two versions of a key, and, as the mount is killed
# at the end, a log to be brought home, an inode without a name, and blocks that
# are in the metadata only.
set -eu
here=$(CDPATH="" cd -- "$(dirname "$0")" && pwd)
name=$1
shift
SSEFS=${SSEFS:-$here/../../build/ssefs}
W=$(mktemp -d)
trap 'umount -l "$W/m" 2>/dev/null || :; rm -rf "$W"' EXIT
export SSEFS_STORE="$W/s"
umask 022
[ ! -e "$here/$name.tar.gz" ] || { echo "$name exists" >&2; exit 1; }

"$SSEFS" init "$@" >/dev/null
"$SSEFS" bucket create docs
"$SSEFS" bucket create open --sse None
key=$("$SSEFS" key create --alias made | head -n 1)
"$SSEFS" user create alice --admin >/dev/null
"$SSEFS" user create bob >/dev/null
"$SSEFS" user role add bob writers
"$SSEFS" tenant set sse-kms-role=writers
cat >"$W/policy" <<'END'
{"Version":"2012-10-17","Statement":[{"Effect":"Allow",
"Action":"kms:*","Resource":"*"}]}
END
"$SSEFS" policy put use "$W/policy"
"$SSEFS" policy attach use --role writers
mkdir "$W/m"
"$SSEFS" mount / "$W/m"
cd "$W/m"
chmod 777 docs
printf 'hello, world\n' >docs/inline
yes 'two blocks of text' | head -c 5000 >docs/two
mkdir docs/aes docs/own
setfattr -n user.sse.default -v AES256 docs/aes
setfattr -n user.sse.default -v KMS:alias/made docs/own
yes 'five blocks of text' | head -c 20000 >docs/aes/five
printf 'before the rotation\n' >docs/own/before
"$SSEFS" key rotate alias/made >/dev/null
cp --reflink=never docs/inline docs/own/after
python3 - <<'PY'
import os
with open("docs/aes/five", "rb") as a, open("docs/aes/copy", "wb") as b:
    assert os.copy_file_range(a.fileno(), b.fileno(), 20000) == 20000
PY
printf 'written over' | dd of=docs/aes/copy bs=1 seek=9000 conv=notrunc 2>/dev/null
truncate -s 3M docs/sparse
printf 'end' >>docs/sparse
yes 'nothing hidden here' | head -c 30000 >open/plain
ln docs/two docs/hard
ln -s aes/five docs/link
mkfifo docs/fifo
setfattr -n user.note -v 'a value' docs/inline
chmod 640 docs/two
cd /
"$SSEFS" umount "$W/m"
# All of it is home: what is left in it are old frames.  (That of sealed metadata
# has another name, and must be there.)
rm -f "$W/s/meta.db-wal"
"$SSEFS" mount / "$W/m"
python3 - "$W/m/docs" "$W/arena" <<'PY'
import os, shutil, sys
os.chdir(sys.argv[1])
gone = os.open("gone", os.O_RDWR | os.O_CREAT)
os.write(gone, b"unlinked and open")
os.unlink("gone")
f = os.open("last", os.O_RDWR | os.O_CREAT, 0o644)
os.write(f, b"synced, then killed\n")
os.fsync(f)
shutil.copy(os.environ["SSEFS_STORE"] + "/arena-0", sys.argv[2])
f = os.open("waits", os.O_RDWR | os.O_CREAT, 0o644)
os.write(f, b"of two blocks " * 400)
os.fsync(f)
os.kill(int(open(os.environ["SSEFS_STORE"] + "/lock").read()), 9)
PY
sleep 0.5
umount -l "$W/m"
# What waits in the metadata for its place: a power cut keeps it from there.
cp --sparse=always "$W/arena" "$W/s/arena-0"
rm -f "$W/s/control" "$W/s/kms.sock" "$W/s/lock" "$W/s/mount.log" "$W/s/keys.db-epoch" \
    "$W/s/keys.db-shm"
tar -C "$W" -S --sort=name --owner=0 --group=0 --numeric-owner -cf - s s.key |
    gzip -9n >"$here/$name.tar.gz"
"$SSEFS" mount / "$W/m" 2>"$W/said"
grep 'blocks of the last commits put in place' "$W/said"
sh "$here/list.sh" "$W/m" >"$here/$name.list"
sh "$here/who.sh" "$SSEFS" >"$here/$name.who"
"$SSEFS" umount "$W/m"
ls -l "$here/$name.tar.gz"
