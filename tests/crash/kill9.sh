#!/bin/sh
# kill -9 of a mount under load, again and again: each time fsck finds the
# store clean and everything whose fsync was acknowledged is there, whole.
# Serves: R30
# Environment: LOOPS (default 20), SEED (default 1).
. "$(dirname "$0")/../lib.sh"
require_fuse
new_store
bucket docs

i=1
while [ $i -le "${LOOPS:-20}" ]; do
	start_mount docs
	loads=
	for k in 0 1 2; do
		$PY "$TESTS/crash/load.py" $k $i "${SEED:-1}" "$T/acks$k" \
		    2>>"$T/load$k.err" &
		loads="$loads $!"
	done
	# From a tenth of a second to a second, the same for each seed.
	sleep "$(awk -v i=$i -v s="${SEED:-1}" 'BEGIN { srand(s * 100 + i)
		printf "%.2f", 0.2 + rand() * 0.8 }')"
	# What they see is the end of the mount, not what lies under it.
	owner=$(daemon_pid)
	kill -9 "$owner"
	ends=
	for p in $loads; do
		rc=0
		wait "$p" || rc=$?
		ends="$ends $rc"
	done
	is "loop $i: the loads ended with the mount" "$ends" " 3 3 3"
	wait_gone "$owner"
	umount -l "$M" 2>/dev/null || fusermount3 -u -z "$M"
	if [ $((i % 2)) = 0 ]; then
		out=$("$SSEFS" fsck 2>&1)
		is "loop $i: fsck after the kill" $? 0
		unlike "loop $i: clean" "$out" 'problem'
	fi
	start_mount docs
	py "loop $i" <"$TESTS/crash/verify.py"
	stop_mount
	out=$("$SSEFS" fsck 2>&1)
	is "loop $i: fsck" $? 0 || note "$out"
	i=$((i + 1))
done
is "the loads saw no error but the end" "$(cat "$T"/load?.err)" ""
done_testing
