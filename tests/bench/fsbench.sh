#!/bin/sh
# fsbench.sh DIR [COLUMN...]: the figures of one filesystem, in a directory made
# below DIR and removed at the end.  Prints a line "COLUMN VALUE" each:
#
#	seq-write   MiB/s  one file, 1 MiB requests, the fsync included
#	cold-read   MiB/s  the same file after the caches were dropped
#	warm-read   MiB/s  once more
#	rand-read   /s     4 KiB, caches dropped before
#	rand-write  /s     4 KiB over the file, the fsync included
#	create      /s     new files of 4 KiB in 10 directories
#	stat        /s     of them, caches dropped before
#	read        /s     open, read, close
#	unlink      /s
#
# Environment: FSBENCH_SIZE (MiB, default 1024), FSBENCH_FILES (default 5000).
# Dropping caches needs root; without it "cold" is warm, which is said.
set -eu
here=$(CDPATH="" cd -- "$(dirname "$0")" && pwd)
top=${1:?usage: fsbench.sh DIR [COLUMN...]}
shift
columns=${*:-seq-write cold-read warm-read rand-read rand-write create stat read unlink}
size=${FSBENCH_SIZE:-1024}
files=${FSBENCH_FILES:-5000}
dir=$top/fsbench.$$
mkdir "$dir"
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM HUP

drop_caches() {
	sync
	echo 3 2>/dev/null >/proc/sys/vm/drop_caches ||
	    echo "fsbench: caches not dropped (not root)" >&2
}

wanted() {
	case " $columns " in
	*" $1 "*) return 0 ;;
	esac
	return 1
}

# io COLUMN JQ-EXPRESSION FIO-ARGUMENT...
io() {
	io_column=$1 io_value=$2
	shift 2
	io_result=$(fio --name=bench --filename="$dir/file" \
	    --ioengine=psync --output-format=json "$@" 2>/dev/null |
	    jq ".jobs[0].$io_value | floor")
	if wanted "$io_column"; then
		echo "$io_column $io_result"
	fi
}
random_io="--bs=4k --size=${size}m --io_size=$((size < 64 ? size : 64))m
    --norandommap --randseed=1"

need_file=
for c in seq-write cold-read warm-read rand-read rand-write; do
	! wanted $c || need_file=1
done
if [ -n "$need_file" ]; then
	io seq-write 'write.bw / 1024' --rw=write --bs=1M --size="${size}m" \
	    --end_fsync=1
	if wanted cold-read || wanted warm-read; then
		drop_caches
		io cold-read 'read.bw / 1024' --rw=read --bs=1M \
		    --size="${size}m"
	fi
	if wanted warm-read; then
		io warm-read 'read.bw / 1024' --rw=read --bs=1M \
		    --size="${size}m"
	fi
	if wanted rand-read; then
		drop_caches
		# shellcheck disable=SC2086
		io rand-read read.iops --rw=randread $random_io
	fi
	if wanted rand-write; then
		drop_caches
		# shellcheck disable=SC2086
		io rand-write write.iops --rw=randwrite --end_fsync=1 \
		    $random_io
	fi
	rm -f "$dir/file"
fi

if wanted create || wanted stat || wanted read || wanted unlink; then
	file_column() {
		fc_result=$(python3 "$here/files.py" "$1" "$dir" "$files" 4096)
		if wanted "$1"; then
			echo "$1 $fc_result"
		fi
	}
	file_column create
	drop_caches
	file_column stat
	file_column read
	file_column unlink
fi
