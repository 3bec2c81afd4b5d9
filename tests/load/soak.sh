#!/bin/sh
# Eight processes write, read, rename and delete, each comparing all content,
# while pages are dropped, keys rotate and data keys are wrapped anew.  For two
# thirds of the time one daemon serves it all: what it holds whenever the load
# rests does not grow.  Then the store is remounted again and again.  At the end
# nothing has leaked: memory, descriptors, slots.
# Serves: R30
# Environment: SOAK_SECONDS (default 1800, 180 at least), SEED (default: the
# time).
. "$(dirname "$0")/../lib.sh"
require_fuse
require_root
require jq setfattr
# A race that ThreadSanitizer sees ends the daemon, and with it the load.
TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1:second_deadlock_stack=1}
export TSAN_OPTIONS
seconds=${SOAK_SECONDS:-1800}
seed=${SEED:-$(date +%s)}
note "seed $seed, $seconds seconds"

# What the daemon holds while the load rests and all is synced and dropped:
#	SECONDS MEMORY DESCRIPTORS INODES
# in KiB that only it has; without arenas, which come as the store grows; inodes
# in core.  Workers leave after 5 seconds, with their buffers.
held() {
	sync -f "$M"
	echo 3 >/proc/sys/vm/drop_caches
	sleep 7
	echo 3 >/proc/sys/vm/drop_caches
	held_pid=$(daemon_pid)
	held_n=$(grep -c statistics: "$S/mount.log")
	kill -USR1 "$held_pid"
	held_i=0
	while [ "$(grep -c statistics: "$S/mount.log")" = "$held_n" ] &&
	    [ $held_i -lt 50 ]; do
		held_i=$((held_i + 1))
		sleep 0.1
	done
	printf '%d %d %d %d\n' $(($(date +%s) - begin)) \
	    "$(awk '/^RssAnon/ { print $2 }' "/proc/$held_pid/status")" \
	    "$(find "/proc/$held_pid/fd" -mindepth 1 -printf '%l\n' |
	        grep -vc '/arena-[0-9]*$')" \
	    "$(sed -n 's/.*statistics:.* inodes=\([0-9]*\).*/\1/p' \
	        "$S/mount.log" | tail -n 1)"
}

# must CMD...: what has to succeed; what does not is told at the end.
must() {
	"$@" >"$T/out" 2>&1 && return
	must_rc=$?
	echo "exit $must_rc from: $*: $(tail -n 1 "$T/out")" >>"$T/failed"
}

alive() {
	for alive_p in $pids; do
		kill -0 "$alive_p" 2>/dev/null || return 1
	done
}

# rest, go_on: the load closes all its files and waits, then compares all.
rests=0
rest() {
	# shellcheck disable=SC2086
	kill -USR1 $pids 2>/dev/null || return 1
	rests=$((rests + 1))
	rest_i=0
	while [ "$(grep -c paused "$T"/out? | grep -c ":$rests\$")" -lt 8 ]; do
		rest_i=$((rest_i + 1))
		[ $rest_i -lt 1200 ] && alive || return 1
		sleep 0.1
	done
}
# shellcheck disable=SC2086
go_on() { kill -USR1 $pids; }

# Of the bucket's key and that of two directories.  A key rotates 25 times, then
# another takes its place.
keys=0
next_key() {
	key=$(new_key) || key=
	dir_key=$(new_key) || dir_key=
	must "$SSEFS" bucket encryption set docs "KMS:$key"
	must setfattr -n user.sse.default -v "KMS:$dir_key" "$M/w4" "$M/w5"
	keys=$((keys + 2))
	turns=0
}
rotate() {
	[ $turns -lt 25 ] || next_key
	must "$SSEFS" key rotate "$key"
	must "$SSEFS" key rotate "$dir_key"
	turns=$((turns + 1))
	rotated=$((rotated + 2))
}

# All data keys under the newest versions, while files come and go.  Once more,
# there is nothing to do but for a file that each process may have been making.
rewrapped=0
rekey() {
	for rekey_i in first again; do
		must "$SSEFS" rekey --json
		rekey_n=$(jq .rewrapped "$T/out" 2>/dev/null) || rekey_n=
		rekey_bad=$(jq '.skipped + .bad' "$T/out" 2>/dev/null)
		[ "$rekey_bad" = 0 ] && case $rekey_i in
		first) [ "$rekey_n" -gt 0 ] ;;
		again) [ "$rekey_n" -le 8 ] ;;
		esac || echo "rekey, $rekey_i: $(tr -d '\n' <"$T/out")" \
		    >>"$T/failed"
		rewrapped=$((rewrapped + ${rekey_n:-0}))
	done
}

new_store
bucket docs
# What is free in malloc's many heaps is not told from what is lost: one for the
# daemon whose memory is compared.
export MALLOC_ARENA_MAX=1
start_mount docs
unset MALLOC_ARENA_MAX
mkdir "$M/w0" "$M/w1" "$M/w2" "$M/w3" "$M/w4" "$M/w5" "$M/w6" "$M/w7"
must setfattr -n user.sse.default -v AES256 "$M/w6"
must setfattr -n user.sse.default -v None "$M/w7"
next_key
begin=$(date +%s)
end=$((begin + seconds))
pids=
for k in 0 1 2 3 4 5 6 7; do
	$PY "$TESTS/load/soak.py" $k "$seed" "$seconds" "$M/w$k" \
	    >"$T/out$k" 2>&1 &
	pids="$pids $!"
done
sleep 1

# One daemon until then; what it holds is compared from a quarter of that on, when
# its caches are full.
one=$((seconds * 2 / 3))
warm=$((one / 4 > 60 ? one / 4 : 60))
round=0
rotated=0
remounts=0
most=0
while [ "$(date +%s)" -lt $((end - 12)) ] && alive; do
	sleep 3
	now=$(awk '/^VmRSS/ { print $2 }' "/proc/$(daemon_pid)/status")
	[ "$now" -le "$most" ] || most=$now
	echo 3 >/proc/sys/vm/drop_caches
	rotate
	round=$((round + 1))
	[ $((round % 3)) != 0 ] || rekey
	[ $((round % 4)) = 0 ] && [ "$(date +%s)" -lt $((end - 15)) ] ||
	    continue
	if ! rest; then
		# One has found something; the others would rest for ever.
		# shellcheck disable=SC2086
		kill $pids 2>/dev/null
		break
	fi
	if [ $(($(date +%s) - begin)) -lt $one ]; then
		held >>"$T/held"
	else
		stop_mount
		must "$SSEFS" fsck
		start_mount docs
		remounts=$((remounts + 1))
	fi
	go_on
done
bad=0
for p in $pids; do
	wait "$p" || bad=$((bad + 1))
done
is "every process found what it wrote" $bad 0
grep -hv paused "$T"/out? | sed 's/^/# /'
note "$round rounds, $rotated rotations of $keys keys, $rewrapped data keys" \
    "wrapped anew, $remounts remounts"
is "all commands beside the load succeed" "$(cat "$T/failed" 2>/dev/null)" ""

note "the daemon of the first $one s when all rests: seconds, KiB," \
    "descriptors, inodes in core"
sed 's/^/#   /' "$T/held"
# The greatest of the first two that are warm, beside the least of the last
# quarter's.
awk -v warm=$warm -v last=$((one - one / 4)) '
	$1 >= warm && n++ < 2 {
		if ($2 > m) m = $2
		if ($3 > f) f = $3
		if ($4 > i) i = $4
	}
	$1 >= last {
		if (!late++ || $2 < lm) lm = $2
		if (late == 1 || $3 < lf) lf = $3
		if (late == 1 || $4 < li) li = $4
	}
	END { print (late && n > 1) + 0, m + 0, lm + 0, f + 0, lf + 0, i + 0, li + 0 }
	' "$T/held" >"$T/judged"
read -r enough m lm f lf i li <"$T/judged"
is "there are figures to compare" "$enough" 1
if grep -qE 'lib[atl]san' "/proc/$(daemon_pid)/maps"; then
	note "memory is not compared: that of a sanitizer grows"
else
	ok "memory has not grown: $m KiB, late $lm" \
	    test "$lm" -le $((m + m / 10 + 1024))
	ok "at most 200 MiB resident ($((most / 1024)) MiB)" \
	    test "$most" -le $((200 * 1024))
fi
ok "no descriptor is left open: $f, late $lf" test "$lf" -le $((f + 3))
ok "no inode is left in core: $i, late $li" test "$li" -le $((i + 3))
sync -f "$M"
stop_mount
# Slots in use are those that maps refer to, and none is left (I3).
out=$("$SSEFS" fsck --json 2>&1)
is "fsck" $? 0 || note "$out"
is "no slot is in use, no inode and no name left but the bucket's" \
    "$(printf '%s' "$out" | jq -r '"\(.blocks) \(.inodes) \(.names)"')" "0 2 1"
start_mount docs
is "no file left" "$(find "$M" -mindepth 1 | wc -l)" 0
# The audit log is meant to grow.
used=$(du -cm "$S"/arena-* "$S"/meta.db | tail -n 1 | cut -f 1)
note "the empty store takes $used MiB, its log $(du -m "$S"/keys.db-audit* |
    awk '{ n += $1 } END { print n }')"
ok "all space came back" test "$used" -le 80
done_testing
