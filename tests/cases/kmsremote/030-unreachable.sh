#!/bin/sh
# A remote service that is not there: new opens fail with ETIMEDOUT, open files
# and files under other keys go on, and it comes back without a remount.
# Serves: R27 R28
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/farkms.sh"
require_fuse
require openssl
new_store
far_make || skip_all "openssl makes no certificate"
far_start
ok "added" far_add cache-age=2 timeout=6000 tries=2
id=$(new_key --provider far)
bucket docs
start_mount docs
mkdir "$M/far" "$M/near"
setfattr -n user.sse.default -v "KMS:$id" "$M/far"
setfattr -n user.sse.default -v AES256 "$M/near"
for f in a b c; do
	echo "far $f" >"$M/far/$f"
	echo "near $f" >"$M/near/$f"
done
for i in $(seq 20); do
	echo "far $i" >"$M/far/n$i"
done
remount
exec 3<"$M/far/a"
far_stop
errno "a new open" ETIMEDOUT cat "$M/far/b"
errno "at once again" ETIMEDOUT cat "$M/far/c"
errno "a new file" ETIMEDOUT sh -c 'echo x >"$1"' sh "$M/far/new"
is "an open one goes on" "$(cat <&3)" "far a"
is "files under other keys go on" "$(cat "$M/near/a" "$M/near/b")" "near a
near b"
far_start
sleep 1.2
is "it is back" "$(cat "$M/far/a" "$M/far/b" "$M/far/c")" "far a
far b
far c"
exec 3<&-

# One that hangs keeps nobody else waiting.
remount
far_mode hang
cat "$M/far/b" >"$T/hung" 2>&1 &
is "others meanwhile" "$(cat "$M/near/c")" "near c"
echo new >"$M/near/new"
is "new files, too" "$(cat "$M/near/new")" new
wait $!
like "it gave up" "$(cat "$T/hung")" 'timed out'
# Nor do more of them than the mount has threads, a second later.
sleep 1.2
pids=
for i in $(seq 20); do
	cat "$M/far/n$i" >/dev/null 2>&1 &
	pids="$pids $!"
done
sleep 1
from=$(date +%s%N)
is "others beside twenty of them" "$(cat "$M/near/b")" "near b"
ms=$((($(date +%s%N) - from) / 1000000))
is "who do not wait for their time limit" $((ms < 4000)) 1 || note "$ms ms"
for i in $pids; do
	wait "$i"
done
far_mode
sleep 1.2
is "and is back" "$(cat "$M/far/b")" "far b"

# Faults that pass are not seen.
for w in '500 1' 'throttle 1' 'cut 1' 'half 1'; do
	remount
	far_mode "$w"
	is "over $w" "$(cat "$M/far/c")" "far c"
done
# Nonsense is refused, and nothing wrong is read.
for w in garbage empty other; do
	remount
	far_mode "$w"
	fails "refused: $w" cat "$M/far/c"
	far_mode
	sleep 1.2
	is "fine after $w" "$(cat "$M/far/c")" "far c"
done
stop_mount
far_stop
done_testing
