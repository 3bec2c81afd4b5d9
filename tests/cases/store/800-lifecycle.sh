#!/bin/sh
# fsck and scrub of stores with all kinds of content; space that comes back;
# files of the store and their modes; a copied store opens.
# Serves: R8 R12 R30
. "$(dirname "$0")/../../lib.sh"
require_fuse
new_store
bucket docs
start_mount docs
py <<'PY'
from lib import *
for i in range(300):
    put(p("f%d" % i), pattern((i * 977) % 30000, i))
fd = os.open(p("sparse"), os.O_CREAT | os.O_RDWR)
for i in range(20): os.pwrite(fd, pattern(5000, i), i * 3000000)
os.close(fd)
a, b = os.open(p("f299"), os.O_RDONLY), os.open(p("copy"),
                                                os.O_CREAT | os.O_WRONLY)
os.copy_file_range(a, b, 30000)
os.close(a)
os.close(b)
for i in range(0, 300, 3): os.unlink(p("f%d" % i))
for i in range(1, 300, 3): os.link(p("f%d" % i), p("l%d" % i))
for i in range(2, 300, 3): os.truncate(p("f%d" % i), i)
os.makedirs(p("d", "e"))
os.setxattr(p("d"), "user.x", b"y" * 3000)
os.symlink("x", p("d", "s"))
PY
stop_mount
out=$("$SSEFS" fsck)
is "fsck" $? 0
like "counts what is there" "$out" '[0-9]+ inodes.*clean'
out=$("$SSEFS" scrub)
is "scrub without keys" $? 0
like "clean" "$out" clean
out=$("$SSEFS" scrub --keys --rate 1G)
is "scrub with keys" $? 0
like "clean with keys" "$out" clean
like "fsck --repair of a clean store" "$("$SSEFS" fsck --repair)" clean
is "no file of the store is open to others" \
    "$(find "$S" -perm /077 -not -type d | head -n 3)" ""

# Space comes back: the store does not grow when files are replaced for ever.
start_mount docs
size() { du -sk "$S" | cut -f 1; }
big() { head -c 20000000 /dev/urandom >"$M/big" && sync "$M/big"; }
big
first=$(size)
for i in 1 2 3 4 5 6; do
	rm "$M/big"
	sync "$M"
	big
done
last=$(size)
ok "six replacements of 20 MB cost less than two more ($first, $last KiB)" \
    [ "$last" -lt $((first + 40000)) ]
rm "$M/big"
stop_mount
start_mount docs
stop_mount
ok "removed data is gone from the disk ($(size) KiB)" \
    [ "$(size)" -lt $((first - 15000)) ]

# A copy of the directory and its key is the store.
cp -a "$S" "$T/copy"
cp -a "$S.key" "$T/copy.key"
export S="$T/copy" SSEFS_STORE="$T/copy"
ok "a copy is clean" "$SSEFS" fsck --root-key "$T/copy.key"
start_mount docs --root-key "$T/copy.key"
py <<'PY'
from lib import *
bad = [i for i in range(1, 300, 3)
       if get(p("l%d" % i)) != pattern((i * 977) % 30000, i)]
eq(bad, [], "a copied store has every file")
PY
stop_mount
done_testing
