#!/bin/sh
# A mount is killed at its Nth call of a kind, for N = 1, 1 + STEP, ... until a
# run comes through: each time fsck finds the store clean and everything whose
# fsync was acknowledged is there, whole.  N counts the calls of each thread.
# Serves: R30
# Environment: STEP (default 1), CALLS (the kinds), SEED (default 1).
. "$(dirname "$0")/../lib.sh"
require_fuse
require strace
strace -o /dev/null true 2>/dev/null || skip_all "strace may not trace here"

# start_killed CALL N: mount, to be killed at the Nth CALL; 1: died on the way.
start_killed() {
	strace -f -qqq -o /dev/null -e trace="$1" \
	    -e "inject=$1:signal=SIGKILL:when=$2" \
	    "$SSEFS" mount --foreground docs "$M" >/dev/null 2>&1 &
	killed=$!
	killed_i=0
	while ! mountpoint -q "$M" 2>/dev/null; do
		kill -0 "$killed" 2>/dev/null || return 1
		killed_i=$((killed_i + 1))
		[ $killed_i -lt 400 ] || return 1
		sleep 0.02
	done
}

# run_to_kill CALL N: 0 when the mount was killed, 1 when it came through.
run_to_kill() {
	if start_killed "$1" "$2"; then
		$PY "$TESTS/crash/load.py" 0 "$2" "${SEED:-1}" "$T/acks0" 25 \
		    2>>"$T/load.err" || :
		"$SSEFS" umount "$M" >/dev/null 2>&1 || :
	fi
	run_rc=0
	wait "$killed" || run_rc=$?
	umount -l "$M" 2>/dev/null || :
	[ $run_rc -ne 0 ]
}

for call in ${CALLS:-pwrite64 pwritev fdatasync fsync fallocate ftruncate \
    pread64 rename unlink writev}; do
	rm -rf "$S" "$T/acks0"
	new_store
	bucket docs
	mkdir -p "$M"
	n=1
	runs=0
	while run_to_kill "$call" $n; do
		runs=$((runs + 1))
		if ! out=$("$SSEFS" fsck 2>&1); then
			fail "killed at $call $n: fsck"
			note "$out"
			break
		fi
		start_mount docs
		py "$call $n" <"$TESTS/crash/verify.py"
		stop_mount
		n=$((n + ${STEP:-1}))
	done
	note "$call: killed $runs times"
done
is "the loads saw no error but the end" "$(cat "$T/load.err")" ""
done_testing
