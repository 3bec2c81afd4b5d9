#!/bin/sh
# A token that hangs: whoever needs it is told so after a while, nobody else
# waits, and it goes on by itself when the token answers again.
# Serves: R12
. "$(dirname "$0")/../../lib.sh"
require_fuse
require jq curl
fake=$(dirname "$SSEFS")/tests/fake/p11.so
[ -f "$fake" ] || skip_all "the module of the unit tests is not built"
FAKE_P11_HANG=$T/hang
export FAKE_P11_HANG
(umask 077 && echo 1234 >"$T/pin")
ms() { echo $(($(date +%s%N) / 1000000)); }
# took DESC MAX CMD...: it ends with a failure or without within MAX ms.
took() {
	took_desc=$1 took_max=$2 took_from=$(ms)
	shift 2
	"$@" >"$T/out" 2>&1
	took_ms=$(($(ms) - took_from))
	is "$took_desc, within $took_max ms" $((took_ms <= took_max)) 1 ||
	    note "took $took_ms ms"
}

new_store
ok "add" "$SSEFS" kms provider add hsm "$fake" token=fake \
    "pin-source=$T/pin" timeout=3000
fails "a limit that is none" "$SSEFS" kms provider add x "$fake" token=fake \
    timeout=0
ok "default" "$SSEFS" kms provider default hsm
local=$(new_key --provider local)
bucket docs --sse "KMS:$local"
start_mount docs
echo here >"$M/here"
# What this module holds is in the memory of the mount's process.
key=$(cd "$S" && echo '{}' | curl -s --unix-socket kms.sock -H \
    "X-Amz-Target: TrentService.CreateKey" --data-binary @- http://kms/ |
    jq -r .KeyMetadata.KeyId)
mkdir "$M/far"
ok "files under it" setfattr -n user.sse.default -v "KMS:$key" "$M/far"
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	echo "$i" >"$M/far/$i"
	mkdir "$M/far/d$i" # the kernel makes one file of a directory at a time
done
is "are there" "$(cat "$M/far/7")" 7

touch "$T/hang"
errno "who makes one is told" ETIMEDOUT sh -c 'echo x >"$1"' x "$M/far/new"
# For a second; a busy machine may not be that quick at the first try.
again() {
	for _ in 1 2 3 4 5; do
		again_from=$(ms)
		sh -c 'echo x >"$1"' x "$M/far/new" 2>/dev/null && return 1
		[ $(($(ms) - again_from)) -ge 2500 ] || return 0
	done
	return 1
}
ok "again at once" again
# More of them than the mount has threads, when that second is over.
sleep 1.2
pids=
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	sh -c 'echo x >"$1"' x "$M/far/d$i/new" 2>/dev/null &
	pids="$pids $!"
done
sleep 0.2
took "a file under another key opens" 2500 cat "$M/here"
is "and reads" "$(cat "$T/out")" here
took "one is made" 2500 sh -c 'echo y >"$1"' x "$M/new"
took "the directory is listed" 2500 ls "$M/far"
for i in $pids; do
	wait "$i"
done
took "the state of the key" 15000 "$SSEFS" key describe "$local"
rm "$T/hang"
ok "it answers: a file is made" await sh -c 'echo x >"$1"' x "$M/far/new"
is "without a remount" "$(cat "$M/far/new")" x
like "both are in the log" "$(cat "$S/mount.log")" 'PKCS#11 library hangs'
stop_mount
tampered
done_testing
