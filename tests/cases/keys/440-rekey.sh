#!/bin/sh
# rekey: data keys wrapped anew without and beside a mount, for one key, under
# load, stopped and killed; nothing else changes.
# Serves: R9 R25 R26
. "$(dirname "$0")/../../lib.sh"
require_fuse
require jq
require sqlite3
new_store
a=$(new_key)
b=$(new_key)
bucket docs --sse "KMS:$a"
start_mount docs
mkdir "$M/b" "$M/aes" "$M/none"
setfattr -n user.sse.default -v "KMS:$b" "$M/b"
setfattr -n user.sse.default -v AES256 "$M/aes"
setfattr -n user.sse.default -v None "$M/none"
for i in $(seq 300); do echo "file $i" >"$M/f$i"; done
for i in 1 2 3; do
	echo "b $i" >"$M/b/$i"
	echo "aes $i" >"$M/aes/$i"
	echo "none $i" >"$M/none/$i"
done
head -c 3000000 /dev/urandom >"$M/big"
cp --reflink=auto "$M/big" "$M/copy"
sums() { (cd "$M" && find . -type f -exec sha256sum {} + | sort -k 2); }
sums >"$T/before"
json() { "$SSEFS" --json rekey "$@"; }
# How many files have a wrapped key of each version of the key.
versions() {
	sqlite3 "file:$S/meta.db?mode=ro" "SELECT count(*) FROM inode JOIN
	    keyref ON keyref.id = keyref WHERE arn LIKE '%$1' AND
	    substr(obj, 185, 4) = x'0000000$2'"
}
is "nothing to do" "$(json | jq -r '"\(.files) \(.rewrapped)"')" "308 0"
ok "rotate" "$SSEFS" key rotate "$a"
ok "rotate the other" "$SSEFS" key rotate "$b"
echo new >"$M/new"
exec 8<"$M/f1" 9>>"$M/f2"
is "one key, beside the mount" "$(json --key "$b" |
    jq -r '"\(.files) \(.rewrapped) \(.skipped)"')" "3 3 0"
is "the other" "$(json --key "$a" | jq -r '"\(.files) \(.rewrapped)"')" \
    "303 302"
is "an open file reads" "$(cat <&8)" "file 1"
echo more >&9
exec 8<&- 9>&-
is "an open file writes" "$(cat "$M/f2")" "file 2
more"
echo "file 2" >"$M/f2"
rm "$M/new"
is "every byte as before" "$(sums | diff - "$T/before")" ""
is "again: nothing" "$(json | jq -r .rewrapped)" 0
is "none of version 1" "$("$SSEFS" rekey >/dev/null; stop_mount >/dev/null;
    versions "$a" 1)" 0
case $(mount) in *" $M "*) stop_mount ;; esac
is "all of version 2" "$(versions "$a" 2)" 302
start_mount docs
is "after a remount" "$(sums | diff - "$T/before")" ""

# Keys out of use are passed over.
ok "rotate b" "$SSEFS" key rotate "$b"
ok "disable b" "$SSEFS" key disable "$b"
"$SSEFS" --json rekey >"$T/r"
is "exit code" "$?" 4
is "skipped" "$(jq -r .skipped "$T/r")" 3
ok "enable b" "$SSEFS" key enable "$b"
fails "an unknown key" "$SSEFS" rekey --key alias/none

# Killed in the middle, then resumed.
ok "rotate a" "$SSEFS" key rotate "$a"
timeout -s KILL 2 "$SSEFS" rekey --rate 50 >/dev/null 2>&1
is "one at a time is enough" "$("$SSEFS" key usage "$a" | head -1)" \
    "objects   302"
"$SSEFS" rekey --rate 100 >/dev/null 2>&1 &
sleep 1
kill_mount
wait
ok "fsck" "$SSEFS" fsck
start_mount docs
is "every byte after the kill" "$(sums | diff - "$T/before")" ""
ok "resumed" "$SSEFS" rekey
is "done" "$(json | jq -r .rewrapped)" 0
is "every byte" "$(sums | diff - "$T/before")" ""
ok "scrub with keys" "$SSEFS" scrub --keys

# Under load.
for _ in 1 2 3; do "$SSEFS" key rotate "$a"; done
(i=0; while [ ! -e "$T/stop" ]; do i=$((i + 1))
    echo "$i" >"$M/w"; echo "$i" >>"$M/f3"; cat "$M/f4" >/dev/null
    mv "$M/w" "$M/w2"; rm "$M/w2"; done) &
load=$!
ok "under load" "$SSEFS" rekey
ok "and once more" "$SSEFS" rekey
: >"$T/stop"
wait "$load"
echo "file 3" >"$M/f3"
is "every byte after the load" "$(sums | diff - "$T/before")" ""
stop_mount
ok "without a mount" "$SSEFS" rekey
is "no old version is left" "$(versions "$a" 6)" 302
start_mount docs
is "every byte in the end" "$(sums | diff - "$T/before")" ""
done_testing
