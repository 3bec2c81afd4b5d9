# shellcheck shell=sh
# lib.sh: what every shell case stands on.  Source it first:
#
#	. "$(dirname "$0")/../../lib.sh"
#
# A case is an executable POSIX shell script that prints TAP (for prove).  It
# runs in two processes: the outer one makes a private directory, starts the
# case again under a time limit, and afterwards removes whatever is left.  A
# mount or a process that outlives a case makes the case fail.
#
# Environment a case can rely on
#	T		private directory, removed at the end
#	S		the store's directory ($T/s), also SSEFS_STORE
#	M		the mount point ($T/m)
#	SSEFS		the program, absolute (default build/ssefs)
#	TESTS		the directory of this file
# Environment a user may set
#	SSEFS		another program to test
#	TMPDIR		where private directories are made (default /tmp)
#	CASE_TIMEOUT	seconds a case may take (default 600)
#	KEEP=1		keep the private directory and say where it is
#	NO_SKIP=1	a case that cannot run here fails
#
# Reporting (each call that ends in "(1 test)" prints one TAP line)
#	ok DESC CMD...		CMD succeeds (1 test); its output is shown if not
#	fails DESC CMD...	CMD exits with 1..125, not by a signal (1 test)
#	is DESC GOT WANT	the strings are equal (1 test)
#	isnt DESC GOT WANT	the strings differ (1 test)
#	like DESC GOT ERE	a line of GOT matches (1 test)
#	unlike DESC GOT ERE	no line of GOT matches (1 test)
#	errno DESC NAME CMD...	CMD fails and its stderr names that errno (1 test)
#	pass DESC, fail DESC	unconditional (1 test)
#	note TEXT...		a comment line
#	py [ARG...] <<EOF	a Python script that reports through tests/lib.py;
#				counts its tests, plus one if it stops half-way
#	skip_all REASON		the whole case cannot run here; ends the case
#	done_testing		unmounts, checks every store, prints the plan;
#				the last line of every case
#
# Stores and mounts
#	new_store [INIT-ARG...]	make $S and set SSEFS_STORE
#	bucket NAME [ARG...]	ssefs bucket create, output hidden
#	start_mount BUCKET [ARG...]	mount at $M (made if missing)
#	stop_mount		unmount $M; fails the case if that fails
#	remount			stop_mount, then start_mount as last time
#	kill_mount		kill -9 the daemon of $S and drop the dead mount
#	daemon_pid		print the pid of the process that owns $S
#	await CMD...		wait until CMD succeeds, trying again and again (60 s
#				at least, then it fails); its output is hidden
#	wait_gone PID		wait until the process has ended (as await)
#	tampered		this case damages its store: no fsck at the end
#	alter FILE OFFSET	complements a byte of a file: whatever it was, it
#			is another one then
#	new_key [ARG...]	ssefs key create; prints the id only
#	xa NAME FILE		print the value of an extended attribute
#	require_fuse, require_root, require CMD...	skip_all when missing

# The outer process marks itself before it starts the case again: whatever goes
# wrong below, a case never starts itself a second time.
if [ -z "${CASE_INNER:-}" ]; then
	TESTS=$(CDPATH="" cd -- "$(dirname "$0")" && while [ ! -f lib.sh ]; do
		[ "$PWD" != / ] && cd .. || exit 1; done && pwd)
	if [ ! -f "$TESTS/lib.sh" ]; then
		echo "$0 does not stand below the folder of lib.sh" >&2
		exit 1
	fi
	CASE_INNER=1
	export CASE_INNER
	SSEFS=${SSEFS:-$(dirname "$TESTS")/build/ssefs}
	case $SSEFS in /*) ;; *) SSEFS=$PWD/$SSEFS ;; esac
	T=$(mktemp -d "${TMPDIR:-/tmp}/ssefs-case.XXXXXX") || exit 1
	chmod 755 "$T"
	S=$T/s M=$T/m SSEFS_STORE=$T/s LC_ALL=C TZ=UTC
	export TESTS SSEFS T S M SSEFS_STORE LC_ALL TZ

	# Processes of this case: those that own a store below $T or name $T
	# in their arguments.
	case_pids() {
		for case_p in /proc/[0-9]*; do
			[ "${case_p#/proc/}" != $$ ] || continue
			tr '\0' '\n' 2>/dev/null <"$case_p/cmdline" |
			    grep -qF "$T/" && echo "${case_p#/proc/}"
		done
		return 0
	}
	case_mounts() {
		awk -v t="$T/" 'index($2, t) == 1 { print $2 }' /proc/mounts |
		    sort -r
	}
	case_clean() {
		case_left=0
		for case_m in $(case_mounts); do
			echo "# left mounted: $case_m"
			case_left=1
			umount -l "$case_m" 2>/dev/null ||
			    fusermount3 -u -z "$case_m"
		done
		# A daemon that was unmounted may still be closing.
		for case_i in $(seq 100); do
			[ -n "$(case_pids)" ] || break
			sleep 0.3
		done
		for case_p in $(case_pids); do
			echo "# left running: $case_p" \
			    "$(tr '\0' ' ' <"/proc/$case_p/cmdline")"
			case_left=1
			kill -9 "$case_p"
		done
		if [ -n "${KEEP:-}" ]; then
			echo "# kept: $T"
		else
			rm -rf "$T"
		fi
		return $case_left
	}
	trap 'kill "$case_child" 2>/dev/null; case_clean; exit 130' INT TERM HUP
	timeout -k 10 "${CASE_TIMEOUT:-600}" sh "$0" "$@" </dev/null &
	case_child=$!
	wait "$case_child"
	case_rc=$?
	[ $case_rc -ne 124 ] || echo "# stopped after ${CASE_TIMEOUT:-600} s"
	case_clean || case_rc=1
	exit $case_rc
fi

# A script that a case starts is a case of its own.
unset CASE_INNER
if [ ! -d "${T:-}" ] || [ ! -f "${TESTS:-}/lib.sh" ]; then
	echo "lib.sh: started without its private directory" >&2
	exit 1
fi

tap_n=0
tap_bad=0
PY=/usr/bin/python3
[ -x $PY ] || PY=python3
PYTHONPATH=$TESTS PYTHONDONTWRITEBYTECODE=1
export PYTHONPATH PYTHONDONTWRITEBYTECODE
umask 022

note() { printf '%s\n' "$*" | sed 's/^/# /'; }
pass() { tap_n=$((tap_n + 1)); printf 'ok - %s\n' "$1"; }
fail() {
	tap_n=$((tap_n + 1))
	tap_bad=$((tap_bad + 1))
	printf 'not ok - %s\n' "$1"
}

ok() {
	ok_desc=$1
	shift
	if "$@" >"$T/out" 2>&1; then
		pass "$ok_desc"
	else
		ok_rc=$?
		fail "$ok_desc"
		note "exit $ok_rc from: $*"
		head -n 20 "$T/out" | sed 's/^/#   /'
		return 1
	fi
}

fails() {
	fails_desc=$1
	shift
	"$@" >"$T/out" 2>&1
	fails_rc=$?
	if [ $fails_rc -ge 1 ] && [ $fails_rc -le 125 ]; then
		pass "$fails_desc"
	else
		fail "$fails_desc"
		note "exit $fails_rc from: $*"
		head -n 20 "$T/out" | sed 's/^/#   /'
		return 1
	fi
}

is() {
	if [ "$2" = "$3" ]; then
		pass "$1"
	else
		fail "$1"
		note "got:  $2"
		note "want: $3"
		return 1
	fi
}

isnt() {
	if [ "$2" != "$3" ]; then
		pass "$1"
	else
		fail "$1"
		note "got: $2"
		return 1
	fi
}

like() {
	if printf '%s\n' "$2" | grep -qE -- "$3"; then
		pass "$1"
	else
		fail "$1"
		note "got:  $(printf '%s\n' "$2" | head -n 20)"
		note "want a match of: $3"
		return 1
	fi
}

unlike() {
	if printf '%s\n' "$2" | grep -qE -- "$3"; then
		fail "$1"
		note "got: $(printf '%s\n' "$2" | head -n 20)"
		note "want no match of: $3"
		return 1
	else
		pass "$1"
	fi
}

errno_text() {
	case $1 in
	EPERM) echo 'Operation not permitted' ;;
	ENOENT) echo 'No such file or directory' ;;
	EACCES) echo 'Permission denied' ;;
	EBUSY) echo 'Device or resource busy' ;;
	EEXIST) echo 'File exists' ;;
	EXDEV) echo 'Invalid cross-device link' ;;
	EINVAL) echo 'Invalid argument' ;;
	EROFS) echo 'Read-only file system' ;;
	ENOTEMPTY) echo 'Directory not empty' ;;
	ENAMETOOLONG) echo 'File name too long' ;;
	ENODATA) echo 'No (data available|such attribute)' ;;
	ENOTSUP) echo '(Operation not supported|Not supported)' ;;
	ETIMEDOUT) echo 'Connection timed out' ;;
	ENOKEY) echo 'Required key not available' ;;
	EKEYREVOKED) echo 'Key has been revoked' ;;
	EKEYEXPIRED) echo 'Key has expired' ;;
	EKEYREJECTED) echo 'Key was rejected by service' ;;
	EBADMSG) echo 'Bad message' ;;
	EUCLEAN) echo 'Structure needs cleaning' ;;
	*) echo "unknown errno $1" ;;
	esac
}

errno() {
	errno_desc=$1 errno_name=$2
	shift 2
	if "$@" >"$T/out" 2>"$T/err"; then
		fail "$errno_desc"
		note "succeeded: $*"
		return 1
	fi
	if grep -qE "$(errno_text "$errno_name")" "$T/err"; then
		pass "$errno_desc"
	else
		fail "$errno_desc"
		note "want $errno_name from: $*"
		head -n 5 "$T/err" | sed 's/^/#   /'
		return 1
	fi
}

py() {
	cat >"$T/script.py"
	$PY "$T/script.py" "$@" >"$T/pyout" 2>&1
	py_rc=$?
	sed '/^ok - /b
	/^not ok - /b
	s/^#* */# /' "$T/pyout"
	tap_n=$((tap_n + $(grep -cE '^(not )?ok - ' "$T/pyout")))
	tap_bad=$((tap_bad + $(grep -cE '^not ok - ' "$T/pyout")))
	if [ $py_rc -ne 0 ]; then
		fail "the script above ran to its end (exit $py_rc)"
	fi
}

skip_all() {
	if [ -n "${NO_SKIP:-}" ]; then
		echo "not ok - the case can run here: $*"
		echo "1..1"
		exit 1
	fi
	echo "1..0 # SKIP $*"
	exit 0
}
require_fuse() {
	[ -c /dev/fuse ] || skip_all "no /dev/fuse"
	[ -w /dev/fuse ] || skip_all "/dev/fuse is not writable"
}
require_root() { [ "$(id -u)" = 0 ] || skip_all "needs root"; }
require() {
	for require_c; do
		command -v "$require_c" >/dev/null ||
		    skip_all "$require_c is not installed"
	done
}

new_store() {
	export SSEFS_STORE="$S"
	if ! "$SSEFS" init --store "$S" "$@" >"$T/init.out" 2>&1; then
		fail "ssefs init"
		sed 's/^/#   /' "$T/init.out"
		exit 1
	fi
	printf '%s\n' "$S" >>"$T/stores"
}

bucket() {
	if ! "$SSEFS" bucket create "$@" >"$T/bucket.out" 2>&1; then
		fail "ssefs bucket create $*"
		sed 's/^/#   /' "$T/bucket.out"
		exit 1
	fi
}

start_mount() {
	mkdir -p "$M"
	mount_bucket=$1
	shift
	mount_args=$*
	if ! "$SSEFS" mount "$mount_bucket" "$M" "$@" >"$T/mount.out" 2>&1
	then
		fail "ssefs mount $mount_bucket $*"
		sed 's/^/#   /' "$T/mount.out"
		exit 1
	fi
}

stop_mount() {
	if ! "$SSEFS" umount "$M" >"$T/umount.out" 2>&1; then
		fail "ssefs umount"
		sed 's/^/#   /' "$T/umount.out"
		exit 1
	fi
}

remount() {
	stop_mount
	# shellcheck disable=SC2086
	start_mount "$mount_bucket" $mount_args
}

daemon_pid() { grep -oE '[0-9]+' "$S/lock" | head -n 1; }

await() {
	await_left=600
	until "$@" >/dev/null 2>&1; do
		await_left=$((await_left - 1))
		[ $await_left -gt 0 ] || return 1
		sleep 0.1
	done
}

wait_gone() { await test ! -d "/proc/$1"; }

kill_mount() {
	kill_pid=$(daemon_pid)
	if [ "${kill_pid:-0}" -le 1 ]; then
		fail "the store's lock names its owner"
		exit 1
	fi
	kill -9 "$kill_pid"
	wait_gone "$kill_pid"
	umount -l "$M" 2>/dev/null || fusermount3 -u -z "$M"
}

tampered() { : >"$T/tampered"; }

alter() {
	alter_was=$(od -An -v -tu1 -j "$2" -N 1 "$1" | tr -d ' ')
	# shellcheck disable=SC2059
	printf "\\$(printf %03o "$((255 - alter_was))")" |
	    dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}

new_key() {
	"$SSEFS" key create "$@" | grep -oE \
	    '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}' |
	    head -n 1
}

xa() { getfattr --only-values -n "$1" "$2" 2>/dev/null; }

done_testing() {
	cd /
	if awk -v m="$M" '$2 == m { f = 1 } END { exit !f }' /proc/mounts; then
		ok "unmount" "$SSEFS" umount "$M"
	fi
	if [ -f "$T/stores" ] && [ ! -f "$T/tampered" ]; then
		while read -r done_s; do
			[ -d "$done_s" ] || continue
			done_out=$("$SSEFS" fsck --store "$done_s" 2>&1)
			is "fsck exits 0" $? 0
			like "fsck says clean" "$done_out" '(^|[^a-z])clean'
		done <"$T/stores"
	fi
	echo "1..$tap_n"
	[ $tap_bad -eq 0 ]
	exit
}
