#!/bin/sh
# Eight processes write, read, rename and delete, each comparing all content,
# while pages are dropped, keys rotate and the store is remounted; at the end
# nothing has leaked: memory, descriptors, slots.
# Serves: R30
# Environment: SOAK_SECONDS (default 1800), SEED (default: the time).
. "$(dirname "$0")/../lib.sh"
require_fuse
require_root
seconds=${SOAK_SECONDS:-1800}
seed=${SEED:-$(date +%s)}
note "seed $seed, $seconds seconds"
new_store
bucket docs

fds() { find "/proc/$(daemon_pid)/fd" -mindepth 1 | wc -l; }
rss() { awk '/^VmRSS/ { print int($2 / 1024) }' "/proc/$(daemon_pid)/status"; }

start_mount docs
before=$(fds)
pids=
for k in 0 1 2 3 4 5 6 7; do
	$PY "$TESTS/load/soak.py" $k "$seed" "$seconds" "$M/w$k" \
	    >"$T/out$k" 2>&1 &
	pids="$pids $!"
done

alive() {
	for alive_p in $pids; do
		kill -0 "$alive_p" 2>/dev/null || return 1
	done
}
# Each process has said so ${1} times.
paused() {
	paused_i=0
	while [ "$(grep -c paused "$T"/out? | grep -c ":$1\$")" -lt 8 ]; do
		paused_i=$((paused_i + 1))
		[ $paused_i -lt 600 ] && alive || return 1
		sleep 0.1
	done
}

end=$(($(date +%s) + seconds - 5))
round=0
most=0
first=
sleep 1
while [ "$(date +%s)" -lt $end ] && alive; do
	sleep 3
	now=$(rss)
	[ "$now" -le "$most" ] || most=$now
	[ -n "$first" ] || first=$now
	echo 3 >/proc/sys/vm/drop_caches
	"$SSEFS" key rotate alias/aws/s3 >/dev/null 2>&1 || :
	round=$((round + 1))
	if [ $((round % 5)) = 0 ] && [ "$(date +%s)" -lt $((end - 10)) ]; then
		# shellcheck disable=SC2086
		kill -USR1 $pids
		paused $((round / 5)) || break
		stop_mount
		start_mount docs
		# shellcheck disable=SC2086
		kill -USR1 $pids
	fi
done
bad=0
for p in $pids; do
	wait "$p" || bad=$((bad + 1))
done
is "every process found what it wrote" $bad 0
grep -hv paused "$T"/out? | sed 's/^/# /'
note "$round rounds; resident memory: $first MiB at first, $most at most"
ok "at most 300 MiB resident" test "$most" -le 300
# Later arenas are open files, too.
arenas=$(find "$S" -name 'arena-*' | wc -l)
after=$(fds)
note "descriptors: $before, then $after with $arenas arenas"
ok "no descriptor is left open" test "$after" -le $((before + arenas))
sync -f "$M"
stop_mount
out=$("$SSEFS" fsck 2>&1)
is "fsck" $? 0 || note "$out"
start_mount docs
is "no file left" "$(find "$M" -mindepth 1 | wc -l)" 0
# The audit log is meant to grow.
used=$(du -cm "$S"/arena-* "$S"/meta.db | tail -n 1 | cut -f 1)
note "the empty store takes $used MiB, its log $(du -m "$S"/keys.db-audit* |
    awk '{ n += $1 } END { print n }')"
ok "all space came back" test "$used" -le 80
done_testing
