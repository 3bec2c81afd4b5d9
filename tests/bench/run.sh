#!/bin/sh
# run.sh [SECTION...]: how fast ssefs is, beside others, in one run.
#
# Sections, all unless some are named:
#	columns   sequential and random I/O, small files (fsbench.sh), memory
#	untar     unpacking /usr/include
#	git       git status over 50,000 files
#	make      make -j2 of a C project
#	small     open and read of 100,000 small files
#	tree      create, ls -lR and rm -r of 200,000 files
#	fsync     fsyncs per second, one writer and eight
#	million   mounting a store of 1,000,000 files, and its memory (ssefs)
#	kms       data keys per second, by 1, 8 and 64 threads: of a process that
#		has the keystore, the same with the key in a SoftHSM token, of
#		"ssefs serve" by its socket and by HTTPS
#	policy    data keys, and opens of encrypted files, per second, of a user
#		without and with a policy of 100 statements (ssefs)
#
# Memory that a virtual machine has never used is slow when it is first touched:
# each place begins with a file as large as a section will need, which is removed.
# The sections that take little time are run twice, the second time in the other
# order, and the better figure counts (of two peaks of memory the larger).
#
# Environment
#	BENCH_SCALE	divides all counts and sizes (default 1)
#	BENCH_FS	which filesystems, of: ssefs-kms ssefs-aes256 ssefs-none
#			gocryptfs securefs passthrough null raw (default: all
#			but ssefs-aes256 and raw).  null is a FUSE filesystem
#			that keeps no bytes: what any could reach here
#	BENCH_ON	tmpfs, disk or both (default both)
#	BENCH_COLUMNS	columns of fsbench.sh (default all)
#	BENCH_ROUNDS	how often each section is run (default 2 for columns,
#			untar, make, fsync, kms and policy; 1 for the others)
#	BENCH_TMPFS	a directory on tmpfs (default /dev/shm)
#	BENCH_DISK	a directory on a disk (default TMPDIR or /var/tmp)
#	SSEFS		the program (default build/ssefs)
#
# The report goes to stdout, progress to stderr.  A figure of 0 is one that
# could not be measured.  Figures in "s" and "MiB" are better when lower, all
# others when higher; a ratio over 1 says that ssefs-kms is better.
set -eu
here=$(CDPATH="" cd -- "$(dirname "$0")" && pwd)
root=$(dirname "$(dirname "$here")")
SSEFS=${SSEFS:-$root/build/ssefs}
O=${O:-$root/build}
scale=${BENCH_SCALE:-1}
sections=${*:-columns untar git make small tree fsync million kms
    policy}
# A ratio needs ssefs-kms, which therefore comes first.
filesystems=${BENCH_FS:-ssefs-kms ssefs-none gocryptfs securefs passthrough null}
places=${BENCH_ON:-tmpfs disk}
tmpfs=${BENCH_TMPFS:-/dev/shm}
disk=${BENCH_DISK:-${TMPDIR:-/var/tmp}}

scratch=$(mktemp -d "${TMPDIR:-/tmp}/ssefs-bench.XXXXXX")
results=$scratch/results
work=
mnt=
mounted=
# Never through a mount that would not go.
remove_work() {
	if [ -n "$mnt" ] && mountpoint -q "$mnt" 2>/dev/null; then
		umount -l "$mnt" 2>/dev/null || fusermount3 -u -z "$mnt"
	fi
	[ -z "$work" ] || rm -rf --one-file-system "$work"
}
clean_up() {
	stop_serving
	unmount_fs || :
	remove_work
	rm -rf "$scratch"
}
trap clean_up EXIT
trap 'exit 1' INT TERM HUP
: >"$results"

say() { echo "bench: $*" >&2; }
count() { echo $(($1 / scale > 0 ? $1 / scale : 1)); }
drop_caches() {
	sync
	echo 3 2>/dev/null >/proc/sys/vm/drop_caches || :
}

# Give the machine's memory to this system: see above.
warm() {
	case $place in
	tmpfs) warm_in=$tmpfs ;;
	*) warm_in=$disk ;;
	esac
	warm_free=$(df -Pm "$warm_in" | awk 'NR == 2 { print int($4 * 0.8) }')
	warm_mem=$(awk '/^MemAvailable/ { print int($2 / 1024 * 0.7) }' \
	    /proc/meminfo)
	warm_size=$(count 4096)
	[ "$warm_size" -le "$warm_free" ] || warm_size=$warm_free
	[ "$warm_size" -le "$warm_mem" ] || warm_size=$warm_mem
	work=$(mktemp -d "$warm_in/ssefs-bench.XXXXXX")
	dd if=/dev/zero of="$work/warm" bs=1M count="$warm_size" 2>/dev/null || :
	rm -rf "$work"
	work=
}

# record SECTION METRIC UNIT VALUE
record() {
	printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$place" "$1" "$2" "$3" "$fs" \
	    "$4" >>"$results"
	say "$place $fs $2: $4 $3"
}

# seconds COMMAND...: prints how long it took; 0 when it failed.
seconds() {
	seconds_from=$(date +%s%N)
	if "$@" >"$scratch/log" 2>&1; then
		awk -v a="$seconds_from" -v b="$(date +%s%N)" \
		    'BEGIN { printf "%.3f\n", (b - a) / 1e9 }'
	else
		say "failed: $*: $(tail -n 1 "$scratch/log")"
		echo 0
	fi
}

# ---- Mounting ------------------------------------------------------------------

# The program and its mount, for each kind of filesystem; 1 when it is not here.
mount_fs() {
	back=$work/back
	mnt=$work/mnt
	mounted=$fs
	pid=
	mkdir -p "$mnt"
	case $fs in
	ssefs-*)
		case $fs in
		*-kms) sse=KMS ;;
		*-aes256) sse=AES256 ;;
		*) sse=None ;;
		esac
		SSEFS_STORE=$back
		export SSEFS_STORE
		if [ ! -d "$back" ]; then
			"$SSEFS" init >/dev/null
			"$SSEFS" bucket create bench --sse "$sse" >/dev/null
		fi
		"$SSEFS" mount bench "$mnt" >/dev/null
		pid=$(grep -oE '[0-9]+' "$back/lock" | head -n 1)
		;;
	gocryptfs)
		command -v gocryptfs >/dev/null || return 1
		echo bench >"$work/pass"
		if [ ! -d "$back" ]; then
			mkdir "$back"
			gocryptfs -q -init -scryptn 10 -passfile "$work/pass" \
			    "$back"
		fi
		gocryptfs -q -nosyslog -passfile "$work/pass" "$back" "$mnt"
		;;
	securefs)
		command -v securefs >/dev/null || return 1
		if [ ! -d "$back" ]; then
			mkdir "$back"
			securefs create --pass bench "$back" >/dev/null 2>&1
		fi
		securefs mount --background --pass bench "$back" "$mnt" \
		    >/dev/null 2>&1
		;;
	passthrough)
		[ -x "$scratch/passthrough" ] || return 1
		mkdir -p "$back"
		"$scratch/passthrough" -o "source=$back,writeback,cache=always" \
		    "$mnt"
		;;
	null)
		[ -x "$O/tests/bench/nullfs" ] || return 1
		"$O/tests/bench/nullfs" "$mnt"
		;;
	raw)
		mnt=$work/raw
		mkdir -p "$mnt"
		return 0
		;;
	*)
		echo "run.sh: no filesystem \"$fs\"" >&2
		exit 2
		;;
	esac
	mount_i=0
	while ! mountpoint -q "$mnt"; do
		mount_i=$((mount_i + 1))
		[ $mount_i -lt 100 ] || return 1
		sleep 0.1
	done
	if [ -z "$pid" ]; then
		pid=$(for p in /proc/[0-9]*; do
			tr '\0' '\n' 2>/dev/null <"$p/cmdline" |
			    grep -qxF "$mnt" && basename "$p"
		done | sort -n | tail -n 1)
	fi
}

unmount_fs() {
	[ -n "$mnt" ] && mountpoint -q "$mnt" 2>/dev/null || return 0
	case $mounted in
	ssefs-*) "$SSEFS" umount --timeout 600 "$mnt" >/dev/null ;;
	*)
		fusermount3 -u "$mnt"
		unmount_i=0
		while [ -n "$pid" ] && [ -d "/proc/$pid" ] &&
		    [ $unmount_i -lt 100 ]; do
			unmount_i=$((unmount_i + 1))
			sleep 0.1
		done
		;;
	esac
}

# A new, empty directory in place of that of the last filesystem.
new_work() {
	unmount_fs || say "$mounted would not unmount"
	remove_work
	case $place in
	tmpfs) work=$(mktemp -d "$tmpfs/ssefs-bench.XXXXXX") ;;
	*) work=$(mktemp -d "$disk/ssefs-bench.XXXXXX") ;;
	esac
}

# A new, empty filesystem.
fresh() {
	new_work
	mount_fs
}

memory() {
	[ -n "$pid" ] || return 0
	record "$1" "$2" MiB "$(awk '/^VmHWM/ { printf "%.0f", $2 / 1024 }' \
	    "/proc/$pid/status")"
}

files() { python3 "$here/files.py" "$@"; }

# ---- Sections --------------------------------------------------------------------

do_columns() {
	FSBENCH_SIZE=$(count 1024) FSBENCH_FILES=$(count 5000) \
	    sh "$here/fsbench.sh" "$mnt" ${BENCH_COLUMNS:-} >"$scratch/columns"
	while read -r name value; do
		case $name in
		*-read | *-write)
			case $name in
			rand-*) record columns "$name" /s "$value" ;;
			*) record columns "$name" MiB/s "$value" ;;
			esac
			;;
		*) record columns "$name" /s "$value" ;;
		esac
	done <"$scratch/columns"
	memory columns peak-memory
}

do_untar() {
	record untar untar s "$(seconds tar -C "$mnt" -xf "$scratch/src.tar")"
	drop_caches
	record untar tar-cold s \
	    "$(seconds sh -c "tar -C '$mnt' -cf - usr | cat >/dev/null")"
}

do_git() {
	git_run() {
		git -c core.fsmonitor=false -c user.name=b -c user.email=b@b \
		    -c safe.directory='*' -c gc.auto=0 -C "$mnt/repo" "$@"
	}
	git init -q "$mnt/repo"
	files create "$mnt/repo" "$(count 50000)" 50 >/dev/null
	record git git-add s "$(seconds git_run add -A)"
	record git git-commit s "$(seconds git_run commit -qm all)"
	drop_caches
	record git status-cold s "$(seconds git_run status --porcelain)"
	record git status-warm s "$(seconds git_run status --porcelain)"
}

do_make() {
	files sources "$mnt" "$(count 120)" >/dev/null
	# Whoever comes first would pay for reading compiler and headers.
	rm -rf "$scratch/warm"
	mkdir "$scratch/warm"
	files sources "$scratch/warm" 2 >/dev/null
	make -s -j2 -C "$scratch/warm"
	record make make-j2 s "$(seconds make -s -j2 -C "$mnt")"
}

do_small() {
	n=$(count 100000)
	record small create-1k /s "$(files create "$mnt" "$n" 1024)"
	drop_caches
	record small read-cold /s "$(files read "$mnt" "$n" 1024)"
	record small read-warm /s "$(files read "$mnt" "$n" 1024)"
	memory small peak-memory
}

do_tree() {
	n=$(count 200000)
	mkdir "$mnt/tree"
	record tree create /s "$(files create "$mnt/tree" "$n" 100)"
	drop_caches
	record tree ls-lR s "$(seconds ls -lR "$mnt/tree")"
	record tree ls-lR-warm s "$(seconds ls -lR "$mnt/tree")"
	record tree rm-r s "$(seconds rm -r "$mnt/tree")"
	memory tree peak-memory
}

do_fsync() {
	record fsync one-writer /s "$(files fsync "$mnt" 1)"
	record fsync eight-writers /s "$(files fsync "$mnt" 8)"
}

do_million() {
	case $fs in ssefs-*) ;; *) return 0 ;; esac
	n=$(count 100000)
	million_i=0
	while [ $million_i -lt 10 ]; do
		mkdir "$mnt/m$million_i"
		rate=$(files create "$mnt/m$million_i" "$n" 100)
		case $million_i in
		0) record million create-first-tenth /s "$rate" ;;
		9) record million create-last-tenth /s "$rate" ;;
		esac
		million_i=$((million_i + 1))
	done
	record million umount s "$(seconds unmount_fs)"
	drop_caches
	record million mount s "$(seconds mount_fs)"
	pid=$(grep -oE '[0-9]+' "$back/lock" | head -n 1)
	record million ls-lR-one-tenth s "$(seconds ls -lR "$mnt/m5")"
	record million read-first-tenth /s "$(files read "$mnt/m0" "$n" 100)"
	memory million peak-memory
	record million stat-last-tenth /s "$(files stat "$mnt/m9" "$n")"
	record million store-size MiB "$(du -sm "$back" | cut -f 1)"
}

# kms_rates COMMAND...: what a program prints, with the threads' number last.
kms_rates() {
	for kms_n in 1 8 64; do
		"$@" $kms_n 1 >"$scratch/kms" || say "failed: $*"
		while read -r name value; do
			record kms "$name-$kms_n" /s "$value"
		done <"$scratch/kms"
	done
}

# Columns are ways to the keys, not filesystems.
# bench_token: makes the provider "hsm" of the store, a SoftHSM token in $work;
# false without one.
bench_token() {
	bt_module=/usr/lib/softhsm/libsofthsm2.so
	[ -f $bt_module ] || return 1
	mkdir "$work/tokens"
	SOFTHSM2_CONF=$work/softhsm2.conf
	export SOFTHSM2_CONF
	printf '%s\n' "directories.tokendir = $work/tokens" \
	    "objectstore.backend = file" "log.level = ERROR" >"$SOFTHSM2_CONF"
	softhsm2-util --init-token --free --label bench --pin 1234 \
	    --so-pin 5678 >/dev/null || return 1
	(umask 077 && echo 1234 >"$work/pin")
	"$SSEFS" kms provider add hsm \
	    "pkcs11:token=bench?module-path=$bt_module&pin-source=$work/pin" \
	    >/dev/null
}

do_kms() {
	kms_store=$work/store
	SSEFS_STORE=$kms_store
	export SSEFS_STORE
	"$SSEFS" init >/dev/null
	"$SSEFS" key alias create alias/bench "$("$SSEFS" key create)" \
	    >/dev/null
	fs=in-process
	kms_rates "$O/tests/bench/kms" "$kms_store/keys.db" alias/bench
	if bench_token; then
		"$SSEFS" key alias create alias/token \
		    "$("$SSEFS" key create --provider hsm)" >/dev/null
		fs=softhsm
		kms_rates "$O/tests/bench/kms" "$kms_store/keys.db" alias/token
	else
		say "no SoftHSM token: left out"
	fi
	"$SSEFS" user create bench --admin --json >"$scratch/user"
	AWS_ACCESS_KEY_ID=$(jq -r .access_key_id "$scratch/user")
	AWS_SECRET_ACCESS_KEY=$(jq -r .secret_access_key "$scratch/user")
	export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
	if ! "$SSEFS" serve --json --listen 127.0.0.1:0 >"$scratch/serve"; then
		say "the keys cannot be served: left out"
		return 0
	fi
	served=$(jq -r .pid "$scratch/serve")
	fs=socket
	kms_rates "$O/tests/bench/kmsload" "$kms_store/kms.sock"
	fs=https
	kms_rates "$O/tests/bench/kmsload" \
	    "https://$(jq -r .address "$scratch/serve")/" \
	    "$(jq -r .ca "$scratch/serve")"
	stop_serving
}

served=
stop_serving() {
	[ -n "$served" ] || return 0
	kill "$served" 2>/dev/null || :
	serve_i=0
	while [ -d "/proc/$served" ] && [ $serve_i -lt 100 ]; do
		serve_i=$((serve_i + 1))
		sleep 0.1
	done
	served=
}

# A document whose last of 100 statements is the one that allows it; each of the
# others has to be looked at.
policy_100() {
	awk 'BEGIN {
		print "{\"Version\":\"2012-10-17\",\"Statement\":["
		for (i = 1; i < 100; i++)
			printf "{\"Effect\":\"Allow\",\"Action\":[%s],%s,%s},\n",
			    "\"kms:Decrypt\",\"kms:GenerateDataKey*\"",
			    "\"Resource\":\"arn:aws:kms:*:*:key/*\"",
			    "\"Condition\":{\"StringEquals\":{\"aws:username\":" \
			    "\"user-" i "\"}}"
		print "{\"Effect\":\"Allow\",\"Action\":\"kms:*\"," \
		    "\"Resource\":\"*\"}]}"
	}'
}

# Columns are the rights of who opens the files: an administrator's, who needs no
# policy, and a user's with one.
do_policy() {
	n=$(count 20000)
	SSEFS_STORE=$work/store
	export SSEFS_STORE
	mnt=$work/mnt
	mounted=ssefs-kms
	mkdir "$mnt"
	"$SSEFS" init >/dev/null
	"$SSEFS" bucket create bench --sse KMS >/dev/null
	"$SSEFS" user create none --admin >/dev/null
	"$SSEFS" user create hundred >/dev/null
	policy_100 >"$scratch/policy"
	"$SSEFS" policy put hundred "$scratch/policy" >/dev/null
	"$SSEFS" policy attach hundred --user hundred >/dev/null
	"$SSEFS" mount bench "$mnt" >/dev/null
	files create "$mnt" "$n" 1000 >/dev/null
	unmount_fs
	for fs in $1; do
		"$O/tests/bench/kms" "$SSEFS_STORE/keys.db" "" 1 1 "$fs" \
		    >"$scratch/kms" || say "failed: kms as $fs"
		while read -r name value; do
			record policy "$name" /s "$value"
		done <"$scratch/kms"
		if ! "$SSEFS" mount -o "user=$fs" bench "$mnt" >/dev/null; then
			say "not mounted as $fs: left out"
			continue
		fi
		record policy open-first /s "$(files open "$mnt" "$n")"
		record policy open-again /s "$(files open "$mnt" "$n")"
		unmount_fs
	done
}

# ---- Report ----------------------------------------------------------------------

report() {
	echo "ssefs bench, $(date -u +%Y-%m-%dT%H:%M:%SZ)"
	echo "commit   $(git -C "$root" rev-parse --short=12 HEAD 2>/dev/null ||
	    echo unknown)$(git -C "$root" diff --quiet HEAD 2>/dev/null ||
	    echo ' and changes')"
	echo "kernel   $(uname -srm)"
	echo "machine  $(nproc) cores," \
	    "$(awk -F': ' '/^model name/ { print $2; exit }' /proc/cpuinfo)," \
	    "$(awk '/^MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' \
	    /proc/meminfo)"
	echo "scale    1/$scale"
	echo "others   $(gocryptfs -version 2>/dev/null | head -n 1);" \
	    "securefs $(dpkg-query -Wf '${Version}' securefs 2>/dev/null);" \
	    "libfuse $(pkg-config --modversion fuse3)"
	awk -F '\t' -v fss="$filesystems" -v kmss="in-process softhsm socket https" -v users="none hundred" '
	function head(title,    i) {
		printf "\n%s\n%-20s %-6s", title, "", ""
		for (i = 1; i <= nfs; i++)
			if (f[i] in here)
				printf " %12s", f[i]
		for (i = 2; i <= nfs; i++)
			if (f[i] in here)
				printf " %14s", "x " f[i]
		printf "\n"
	}
	function flush(    m, i, a, b) {
		if (title == "")
			return
		head(title)
		for (m = 1; m <= nm; m++) {
			printf "%-20s %-6s", name[m], unit[m]
			for (i = 1; i <= nfs; i++)
				if (f[i] in here)
					printf " %12s", ((m, f[i]) in v) ? \
					    v[m, f[i]] : "-"
			for (i = 2; i <= nfs; i++) {
				if (!(f[i] in here))
					continue
				a = v[m, f[1]] + 0
				b = v[m, f[i]] + 0
				if (a == 0 || b == 0)
					printf " %14s", "-"
				else if (unit[m] == "s" || unit[m] == "MiB")
					printf " %14.2f", b / a
				else
					printf " %14.2f", a / b
			}
			printf "\n"
		}
	}
	# Is ${x} the one to keep?  0 could not be measured.
	function better(x, old, unit) {
		if (x + 0 == 0 || old + 0 == 0)
			return old + 0 == 0
		return unit == "s" ? x + 0 < old + 0 : x + 0 > old + 0
	}
	{ key = $1 " " $2 }
	key != title {
		flush()
		title = key
		delete f
		nfs = split($2 == "kms" ? kmss : $2 == "policy" ? users : \
		    fss, f, " ")
		nm = 0
		delete at
		delete v
		delete here
	}
	{
		if (!($3 in at)) {
			at[$3] = ++nm
			name[nm] = $3
			unit[nm] = $4
		}
		if (!((at[$3], $5) in v) || better($6, v[at[$3], $5], $4))
			v[at[$3], $5] = $6
		here[$5] = 1
	}
	END { flush() }' "$results"
}

# ---- The run -----------------------------------------------------------------------

source=/usr/share/doc/libfuse3-dev/examples/passthrough_ll.c
case " $filesystems " in
*' passthrough '*)
	# Debian ships the example with libfuse's headers.
	if [ -f "$source" ]; then
		# shellcheck disable=SC2046
		cc -O2 -w -o "$scratch/passthrough" "$source" \
		    $(pkg-config --cflags --libs fuse3)
	else
		say "no $source: passthrough is left out"
	fi
	;;
esac
case " $sections " in
*' untar '*) tar -C / -cf "$scratch/src.tar" usr/include ;;
esac
[ "$(id -u)" = 0 ] || say "not root: caches are not dropped"

rounds_of() {
	if [ -n "${BENCH_ROUNDS:-}" ]; then
		echo "$BENCH_ROUNDS"
		return 0
	fi
	case $1 in
	columns | untar | make | fsync | kms | policy) echo 2 ;;
	*) echo 1 ;;
	esac
}

# The section once, with each filesystem in the order given.
run_section() {
	for fs; do
		[ "$section" != million ] || case $fs in
		ssefs-*) ;;
		*) continue ;;
		esac
		if fresh; then
			"do_$section"
		else
			say "$fs cannot be mounted: left out"
		fi
	done
}

for section in $sections; do
	case $section in
	columns | untar | git | make | small | tree | fsync | million) ;;
	kms | policy) ;;
	*)
		echo "run.sh: no section \"$section\"" >&2
		exit 2
		;;
	esac
done
reversed=
for fs in $filesystems; do
	reversed="$fs $reversed"
done
for place in $places; do
	warm
	for section in $sections; do
		round=1
		rounds=$(rounds_of "$section")
		while [ $round -le "$rounds" ]; do
			order=$((round % 2))
			if [ "$section" = kms ]; then
				new_work
				do_kms
			elif [ "$section" = policy ]; then
				new_work
				case $order in
				1) do_policy "none hundred" ;;
				*) do_policy "hundred none" ;;
				esac
			elif [ $order = 1 ]; then
				# shellcheck disable=SC2086
				run_section $filesystems
			else
				# shellcheck disable=SC2086
				run_section $reversed
			fi
			round=$((round + 1))
		done
	done
done
unmount_fs
report
