#!/bin/sh
# backup and restore: beside a mount and without, by epoch, verified; a cut-off
# backup is none; no key is needed to make one, the root key to open it.
# Serves: R29
. "$(dirname "$0")/../../lib.sh"
require_fuse
require jq
B=$T/bk
new_store
bucket docs
bucket open --sse None
start_mount /
py <<'PY'
from lib import *
for i in range(20):
    put(p("docs/f%d" % i), pattern(50000 + i, i))
put(p("docs/small"), b"inline")
put(p("open/plain"), pattern(300000, 77))
os.mkdir(p("docs/d"))
os.symlink("../small", p("docs/d/l"))
os.setxattr(p("docs/small"), "user.k", b"v")
with open(p("docs/sparse"), "wb") as f:
    f.truncate(1 << 40)
    f.seek(1 << 33)
    f.write(b"far")
PY
sums() { (cd "$M" && find . -type f ! -name sparse -exec sha256sum {} + | sort -k2); }

# ---- Beside a mount -----------------------------------------------------------

out=$("$SSEFS" backup "$B")
is "a backup of a mounted store" $? 0
like "it says its epoch, and how much" "$out" '^epoch [0-9]+: [0-9]+ of [0-9]+ blocks copied$'
like "that the root key is not in it" "$out" 'root key is not in it'
e1=$(ls "$B" | sort -n | tail -n 1)
"$SSEFS" --json backup "$B" >"$T/same.json"
is "again, nothing is new" "$(jq -c '[.same, .copied, .epoch]' "$T/same.json")" \
    "[true,0,$e1]"
sums >"$T/sums1"
is "its mode is its owner's" "$(stat -c %a "$B/$e1" "$B/$e1/blocks" |
    tr '\n' ' ')" "700 600 "
ok "no key stands in it" test ! -e "$B/$e1/s.key"
printf 'new' | dd of="$M/docs/f3" bs=1 seek=20000 conv=notrunc 2>/dev/null
rm "$M/docs/f4"
echo more >"$M/docs/more"
"$SSEFS" --json backup "$B" >"$T/two.json"
is "only what is new is copied" \
    "$(jq -c '[.same, .copied <= 3, .blocks > 200, .damaged]' "$T/two.json")" \
    '[false,true,true,0]'
sums >"$T/sums2"
e2=$(jq .epoch "$T/two.json")
out=$("$SSEFS" backup --verify "$B")
is "both are whole" $? 0
like "it says so" "$out" '^2 backups, the last of epoch [0-9]+ with .*: whole$'
is "the digest is the same" "$(jq -r .digest "$T/two.json")" \
    "$(echo "$out" | sed -n 's/^digest //p')"
fails "below the mount" "$SSEFS" backup "$M/docs/bk"
like "says so" "$(cat "$T/out")" 'lies in the mount'
fails "in the store" "$SSEFS" backup "$S/bk"
like "says so too" "$(cat "$T/out")" 'lies in the store itself'
rm -rf "$S/bk"
fails "in a directory of other things" "$SSEFS" backup "$T"
ok "which is left alone" test ! -e "$T/lock"
(cd "$T" && "$SSEFS" backup rel >/dev/null)
is "a path that is relative" "$("$SSEFS" backup --verify "$T/rel" |
    grep -c whole)" 1
rm -rf "$T/rel"

# Until a backup copies, to DIR: then it has taken hold of its epoch.
copies() { [ -n "$(ls "$1/new")" ]; }

# ---- While others write -------------------------------------------------------

: >"$T/go"
(
	n=0
	while [ -e "$T/go" ]; do
		n=$((n + 1))
		# By rename: a file that is written over is empty for a moment.
		for f in first second; do
			printf '%08d' "$n" >"$M/docs/new" &&
			    mv "$M/docs/new" "$M/docs/$f"
		done
		head -c 200000 /dev/urandom >"$M/docs/w.$((n % 5))"
		[ $((n % 3)) -ne 0 ] || rm "$M/docs/w.$((n % 5))"
	done
) &
writers=$!
await test -f "$M/docs/second"
for i in 1 2 3; do
	ok "backup $i beside writers" "$SSEFS" backup "$B"
done
rm "$T/go"
wait "$writers"
"$SSEFS" backup --rate 200K "$T/slow" >"$T/slow.out" 2>&1 &
slow=$!
await copies "$T/slow"
fails "one backup at a time" "$SSEFS" backup "$T/other"
like "says so" "$(cat "$T/out")" 'a backup is running already'
fails "nor a scrub" "$SSEFS" scrub
echo x >"$M/docs/meanwhile"
ok "the mount works on" rm "$M/docs/meanwhile"
# The mount dies in the middle of it.
kill_mount
wait "$slow"
is "a backup cut off has failed" $? 1
ok "the store is clean" "$SSEFS" fsck
ok "a piece of it is left" test -d "$T/slow/new"
"$SSEFS" backup --verify "$T/slow" >"$T/out" 2>&1
is "which is no backup" $? 8
like "and is called what it is" "$(cat "$T/out")" 'only one that was cut off'
fails "nor can it be restored" "$SSEFS" restore "$T/slow" --store "$T/r0"
ok "nothing was made" test ! -e "$T/r0"

# ---- Without a mount, without keys --------------------------------------------

mv "$S.key" "$T/away.key"
ok "no key is needed: a backup over what was cut off" \
    "$SSEFS" backup "$T/slow"
ok "which is whole" "$SSEFS" backup --verify "$T/slow"
ok "nothing is left of the other" test ! -e "$T/slow/new"
ok "into the first place too" "$SSEFS" backup "$B"
"$SSEFS" backup --verify "$B" >"$T/out"
is "all are whole" $? 0

# ---- Restoring ------------------------------------------------------------------

check_restored() { # DIR SUMS
	is "fsck of $1" "$("$SSEFS" fsck --store "$T/$1" --root-key \
	    "$T/away.key" >/dev/null; echo $?)" 0
	is "scrub of $1" "$("$SSEFS" scrub --keys --store "$T/$1" --root-key \
	    "$T/away.key" >/dev/null; echo $?)" 0
	"$SSEFS" mount / "$M" --store "$T/$1" --root-key "$T/away.key"
	[ -z "${2:-}" ] || is "content of $1" "$(sums | diff - "$2")" ""
	is "attributes of $1" "$(getfattr --absolute-names --only-values -n user.k \
	    "$M/docs/small")$(readlink "$M/docs/d/l")$(stat -c %s \
	    "$M/docs/sparse")" "v../small1099511627776"
	echo new >"$M/docs/new"
	is "it takes changes" "$(cat "$M/docs/new")" new
	if [ -e "$M/docs/first" ]; then
		a=$(cat "$M/docs/first") b=$(cat "$M/docs/second")
		is "one moment: $a $b" "$(printf '%s\n%s\n' "$b" "$a" |
		    sort -c 2>&1)" ""
	fi
	"$SSEFS" umount "$M" --store "$T/$1"
}
ok "restore" "$SSEFS" restore "$B" --store "$T/r1"
like "says what opens it" "$(cat "$T/out")" 'root key of the store'
is "it is its owner's" "$(stat -c %a "$T/r1" "$T/r1/meta.db" | tr '\n' ' ')" \
    "700 600 "
fails "without the root key it does not open" "$SSEFS" fsck --store "$T/r1"
check_restored r1
ok "the audit log goes on" "$SSEFS" audit verify --store "$T/r1" \
    --root-key "$T/away.key"
ok "restore the first" "$SSEFS" restore "$B" --epoch "$e1" --store "$T/r2"
check_restored r2 "$T/sums1"
ok "restore the second" "$SSEFS" restore "$B" --epoch "$e2" --store "$T/r3"
check_restored r3 "$T/sums2"
for e in $(ls "$B" | awk -v after="$e2" '$1 + 0 > after'); do
	"$SSEFS" restore "$B" --epoch "$e" --store "$T/r.$e" >/dev/null
	check_restored "r.$e"
	rm -rf "${T:?}/r.$e"
done
fails "not over a store" "$SSEFS" restore "$B" --store "$T/r1"
fails "an epoch that is not there" \
    "$SSEFS" restore "$B" --epoch 999999 --store "$T/r9"
like "says which is the last" "$(cat "$T/out")" 'the last is [0-9]+'
fails "of nothing" "$SSEFS" restore "$T/nowhere" --store "$T/r9"
mkdir "$T/r9"
ok "into an empty directory" "$SSEFS" restore "$B" --store "$T/r9"
fails "a store that lies elsewhere by now" "$SSEFS" restore "$B"

# ---- Altered --------------------------------------------------------------------

last=$(ls "$B" | grep -v lock | sort -n | tail -n 1)
for f in manifest meta.db index keys.db keys.db-audit.log; do
	cp "$B/$last/$f" "$T/keep"
	alter "$B/$last/$f" 50
	"$SSEFS" backup --verify "$B" >"$T/out" 2>&1
	is "$f is altered: verify" $? 4
	like "says which" "$(cat "$T/out")" "$last/$f"
	fails "$f is altered: restore" "$SSEFS" restore "$B" --store "$T/r8"
	ok "nothing is made" test ! -e "$T/r8"
	cp "$T/keep" "$B/$last/$f"
done
alter "$B/$e1/blocks" 4196
"$SSEFS" backup --verify "$B" >"$T/out" 2>&1
is "a block of the first: verify" $? 4
like "says which block" "$(cat "$T/out")" "$e1/blocks: block 1, of slot"
fails "a block of the first: restore" "$SSEFS" restore "$B" --store "$T/r8"

# ---- Sealed metadata ----------------------------------------------------------

S=$T/sealed
export S SSEFS_STORE="$S"
new_store --seal-metadata
bucket docs
start_mount docs
echo content >"$M/a-name-that-is-secret"
ok "sealed: backup of a mounted store" "$SSEFS" backup "$T/bs"
is "sealed: the same again" "$("$SSEFS" --json backup "$T/bs" | jq -c .same)" \
    true
echo more >"$M/another-secret-name"
ok "sealed: what is new" "$SSEFS" backup "$T/bs"
stop_mount
mv "$S.key" "$T/kept.key"
fails "sealed: without a mount it needs the key" "$SSEFS" backup "$T/bs"
ok "sealed: with it" "$SSEFS" backup "$T/bs" --root-key "$T/kept.key"
is "sealed: no name is in clear" "$(grep -rlE 'secret|another' "$T/bs")" ""
ok "sealed: verify, without" "$SSEFS" backup --verify "$T/bs"
ok "sealed: restore, without" "$SSEFS" restore "$T/bs" --store "$T/rs"
ok "sealed: fsck" "$SSEFS" fsck --store "$T/rs" --root-key "$T/kept.key"
"$SSEFS" mount docs "$M" --store "$T/rs" --root-key "$T/kept.key"
is "sealed: content" "$(cat "$M"/*)" "content
more"
echo new >"$M/new"
"$SSEFS" umount "$M" --store "$T/rs"
ok "sealed: fsck after changes" "$SSEFS" fsck --store "$T/rs" \
    --root-key "$T/kept.key"
mv "$T/kept.key" "$S.key"
S=$T/s
export S SSEFS_STORE="$S"

# ---- A full disk ----------------------------------------------------------------

full() {
	S=$T/disk/s
	export S SSEFS_STORE="$S"
	new_store
	bucket docs
	start_mount docs
	head -c 60000000 /dev/urandom >"$M/a"
	sync "$M/a"
	"$SSEFS" backup --rate 1M "$T/bf" >"$T/full.out" 2>&1 &
	slow=$!
	await copies "$T/bf"
	rm "$M/a"
	sync "$M"
	ok "a writer gets what the backup keeps" sh -c "
	    head -c 90000000 /dev/urandom >'$M/b' && sync '$M/b'"
	wait "$slow"
	is "and the backup is given up" $? 1
	like "it says why" "$(cat "$T/full.out")" 'became full'
	is "nothing is left of it" "$(ls "$T/bf")" lock
	ok "the next one is whole" "$SSEFS" backup "$T/bf"
	ok "and verified" "$SSEFS" backup --verify "$T/bf"
	stop_mount
	ok "fsck of the full store" "$SSEFS" fsck
	umount "$T/disk"
	S=$T/s
	export S SSEFS_STORE="$S"
}
mkdir "$T/disk"
if [ "$(id -u)" = 0 ] &&
    mount -t tmpfs -o size=160m none "$T/disk" 2>/dev/null; then
	full
fi

# ---- Damage in the store ---------------------------------------------------------

py <<'PY'
from lib import *
with open(S + "/arena-0", "r+b") as f:
    at = 0
    while not f.read(4096).strip(b"\0"):
        at += 4096
    f.seek(at)
    was = f.read(1)
    f.seek(at)
    f.write(bytes([was[0] ^ 1]))
PY
"$SSEFS" backup "$T/hurt" >"$T/out" 2>&1
is "of a damaged store: exit" $? 4
like "it is told" "$(cat "$T/out")" 'slot [0-9]+ does not hold'
"$SSEFS" backup --verify "$T/hurt" >"$T/out" 2>&1
is "verify says it again" $? 4
like "in words" "$(cat "$T/out")" 'made of a store with 1 damaged blocks'
mv "$T/away.key" "$S.key"
tampered
done_testing
