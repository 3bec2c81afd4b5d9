#!/bin/sh
# sealed.sh: what sealed metadata costs: processor time of the mount for each of
# FILES files of 1000 bytes, in microseconds, plain and sealed, the median of
# ROUNDS.
#
# Environment: FILES (20000), ROUNDS (4), BENCH_TMPFS (/dev/shm), SSEFS.
set -eu
here=$(CDPATH="" cd -- "$(dirname "$0")" && pwd)
SSEFS=${SSEFS:-$(dirname "$(dirname "$here")")/build/ssefs}
files=${FILES:-20000}
work=$(mktemp -d "${BENCH_TMPFS:-/dev/shm}/ssefs-bench.XXXXXX")
mnt=$work/mnt
results=$work/results
mkdir "$mnt"

clean_up() {
	! mountpoint -q "$mnt" || "$SSEFS" umount "$mnt" >/dev/null ||
	    umount -l "$mnt"
	rm -rf --one-file-system "$work"
}
trap clean_up EXIT
trap 'exit 1' INT TERM HUP

mount_it() { "$SSEFS" mount bench "$mnt" >/dev/null; }

# Ticks of the processor that the mount has used.
ticks() {
	sed 's/.*) //' "/proc/$(grep -oE '[0-9]+' "$SSEFS_STORE/lock" |
	    head -n 1)/stat" | awk '{ print $12 + $13 }'
}

# cost METHOD WHAT: do it with all files.
cost() {
	cost_from=$(ticks)
	python3 "$here/files.py" "$2" "$mnt" "$files" 1000 >/dev/null
	echo "$2 $1 $(ticks) $cost_from $files $(getconf CLK_TCK)" |
	    awk '{ printf "%s %s %.1f\n", $1, $2, ($3 - $4) * 1e6 / $5 / $6 }' \
	    >>"$results"
}

round=1
while [ $round -le "${ROUNDS:-4}" ]; do
	for method in plain sealed; do
		export SSEFS_STORE="$work/$method"
		# shellcheck disable=SC2046
		"$SSEFS" init $([ $method = plain ] || echo --seal-metadata) \
		    >/dev/null
		"$SSEFS" bucket create bench >/dev/null
		mount_it
		cost $method create
		"$SSEFS" umount "$mnt" >/dev/null
		mount_it
		cost $method stat
		cost $method unlink
		"$SSEFS" umount "$mnt" >/dev/null
		rm -rf "$SSEFS_STORE" "$SSEFS_STORE".key
	done
	round=$((round + 1))
done

echo "us for a file      plain    sealed"
for what in create stat unlink; do
	printf '%-14s' $what
	for method in plain sealed; do
		grep "^$what $method " "$results" | sort -k 3 -n | awk '
			{ v[NR] = $3 }
			END {
				i = int((NR + 1) / 2)
				printf "%10.1f", (v[i] + v[NR + 1 - i]) / 2
			}'
	done
	echo
done
