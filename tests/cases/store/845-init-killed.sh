#!/bin/sh
# ssefs init, killed at any call: what it leaves is no store and no obstacle, and
# the next init makes one.
# Serves: R30
# Environment: STEP (default 6): of the kills of each kind, every so many.
. "$(dirname "$0")/../../lib.sh"
require strace
strace -o /dev/null true 2>/dev/null || skip_all "strace may not trace here"

# init_killed CALL N ARG...: 0 when it was killed.
init_killed() {
	call=$1 n=$2
	shift 2
	rm -rf "$S" "$S.key"
	! strace -f -qqq -o /dev/null -e trace="$call" \
	    -e "inject=$call:signal=SIGKILL:when=$n" \
	    "$SSEFS" init "$@" >/dev/null 2>&1
}

for how in '' --seal-metadata; do
	for call in openat pwrite64 fdatasync fsync fallocate ftruncate mkdir \
	    unlink rename close; do
		n=1
		runs=0
		bad=
		while init_killed "$call" $n $how; do
			runs=$((runs + 1))
			if "$SSEFS" bucket ls >/dev/null 2>&1; then
				# All was done but to say so.
				"$SSEFS" fsck >/dev/null 2>&1 ||
				    bad="$bad $n:fsck"
			elif [ -d "$S" ] && ! "$SSEFS" init $how \
			    >"$T/out" 2>&1; then
				bad="$bad $n:$(cat "$T/out")"
			elif [ -d "$S" ] && ! "$SSEFS" fsck >/dev/null 2>&1; then
				bad="$bad $n:fsck after"
			fi
			n=$((n + ${STEP:-6}))
		done
		is "killed at $runs of its $call${how:+, $how}" "$bad" ""
	done
done

rm -rf "$S" "$S.key"
"$SSEFS" init >/dev/null
: >"$S/making"
out=$("$SSEFS" bucket ls 2>&1) || :
like "half a store is called that" "$out" "cut off"
echo mine >"$S/precious"
rc=0
"$SSEFS" init >/dev/null 2>&1 || rc=$?
ok "what init did not make is not removed" test "$rc" != 0 -a -s "$S/precious"
done_testing
