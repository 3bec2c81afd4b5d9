#!/bin/sh
# A mount is killed at its Nth call of a kind, for N = 1, 1 + STEP, ... until a
# run comes through: each time fsck finds the store clean and everything whose
# fsync was acknowledged is there, whole.  N counts the calls of each thread.
# The kinds are those that a run makes, but for $idle.
# Serves: R30
# Environment: STEP (default 1), CALLS (the kinds), ONLY (an expression: those
# of them whose names match), SEED (default 1).
. "$(dirname "$0")/../lib.sh"
require_fuse
require strace
strace -o /dev/null true 2>/dev/null || skip_all "strace may not trace here"

# What changes nothing but the process itself, and tells its clients nothing: a
# kill there is one at the call before or after it.
idle='access accept4 arch_prctl brk clock_nanosleep clone clone3 close connect
    dup epoll_ctl epoll_wait eventfd2 execve exit exit_group fadvise64 fstat
    futex getcwd getdents64 getegid geteuid getgid getpid getpriority getrandom
    getsockname getsockopt gettid getuid listen lseek madvise membarrier mincore
    mlock mlock2 mprotect munlock munmap nanosleep newfstatat pipe2 poll ppoll
    prctl prlimit64 readlink readlinkat restart_syscall rseq rt_sigaction
    rt_sigprocmask rt_sigreturn rt_sigtimedwait sched_getaffinity
    sched_getparam sched_getscheduler sched_setaffinity sched_setscheduler
    sched_yield set_robust_list set_tid_address setsockopt sigaltstack
    signalfd4 socket statfs statx sysinfo umask uname wait4'

# start_traced ARG...: mount under strace; 1: it died on the way.
start_traced() {
	strace -f -qqq "$@" "$SSEFS" mount --foreground docs "$M" \
	    >/dev/null 2>&1 &
	traced=$!
	traced_i=0
	while ! mountpoint -q "$M" 2>/dev/null; do
		kill -0 "$traced" 2>/dev/null || return 1
		traced_i=$((traced_i + 1))
		[ $traced_i -lt 3000 ] || return 1
		sleep 0.02
	done
}

# run_load LOOP: the scripted run; sets load_rc.
run_load() {
	load_rc=0
	$PY "$TESTS/crash/load.py" 0 "$1" "${SEED:-1}" "$T/acks0" 25 \
	    2>>"$T/load.err" || load_rc=$?
	"$SSEFS" umount "$M" >/dev/null 2>&1 || :
}

# run_to_kill CALL N: 0 when the mount was killed, 1 when it came through.
run_to_kill() {
	load_rc=3
	if start_traced -o /dev/null -e trace="$1" \
	    -e "inject=$1:signal=SIGKILL:when=$2"; then
		run_load "$2"
	fi
	run_rc=0
	wait "$traced" || run_rc=$?
	umount -l "$M" 2>/dev/null || :
	[ $run_rc -ne 0 ] && return 0
	is "$1: the run that came through was done to its end" $load_rc 0
	return 1
}

# What the run calls whose calls were counted.
kinds() {
	# shellcheck disable=SC2086
	awk 'NF > 3 && $1 ~ /^[0-9.]+$/ && $NF != "total" { print $NF }' \
	    "$T/count" | sort | grep -vxF "$(printf '%s\n' $idle)"
}

fresh() {
	rm -rf "$S" "$T/acks0" "$T/stores"
	new_store
	bucket docs
	mkdir -p "$M"
}

if [ -z "${CALLS:-}" ]; then
	fresh
	start_traced -c -o "$T/count" || fail "a mount under strace"
	run_load 1
	wait "$traced"
	is "the run whose calls are counted was done to its end" $load_rc 0
	# A list that lacks what every run must do was not read rightly.
	for call in pwrite64 fdatasync openat; do
		like "a run calls $call" "$(kinds)" "^$call\$"
	done
	CALLS=$(kinds | grep -E "${ONLY:-.}")
fi
# shellcheck disable=SC2086
note "kinds of calls:" $CALLS
for call in $CALLS; do
	fresh
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
