#!/bin/sh
# deps.sh build|run|test|bench|fuzz|faults|soak...: what these targets need, as
# Debian packages.
#
# Nothing missing: one dpkg-query and silence, no network.  Something missing:
# installed when we are root, else named in one line.
set -u

build='gcc libc6-dev make pkg-config libfuse3-dev fuse3 libssl-dev libsqlite3-dev
libargon2-dev libjansson-dev libcurl4-openssl-dev libp11-kit-dev libmicrohttpd-dev
libgnutls28-dev'
test="$build libcmocka-dev attr acl rsync git sqlite3 perl python3 strace jq
e2fsprogs util-linux mount procps openssl softhsm2 opensc curl awscli
python3-boto3"
run="$build attr"
bench="$build softhsm2 fio gocryptfs securefs jq python3 git"
fuzz="$build clang libclang-rt-dev"
faults="$test xfsprogs btrfs-progs"
soak="$test postgresql"

want=
for group; do
	case $group in
	build) want="$want $build" ;;
	run) want="$want $run" ;;
	test) want="$want $test" ;;
	bench) want="$want $bench" ;;
	fuzz) want="$want $fuzz" ;;
	valgrind) want="$want $test valgrind" ;;
	faults) want="$want $faults" ;;
	soak) want="$want $soak" ;;
	*)
		echo "usage: deps.sh build|run|test|bench|fuzz|faults|soak|valgrind" >&2
		exit 2
		;;
	esac
done

# fusermount3 reads /etc/mtab when an ordinary user unmounts, which a test does.
# A booted Debian has it, a bare chroot has not.
case " $* " in
*' test '* | *' faults '* | *' soak '*)
	if [ "$(id -u)" = 0 ] && [ ! -e /etc/mtab ] && [ ! -L /etc/mtab ]; then
		ln -s ../proc/self/mounts /etc/mtab
	fi
	;;
esac

if ! command -v dpkg-query >/dev/null 2>&1; then
	# Not Debian: the build itself will say what it misses.
	exit 0
fi

# Prints the packages of $want that are not installed.
missing() {
	# shellcheck disable=SC2086
	dpkg-query -W -f '${db:Status-Status} ${Package} ${Provides}\n' \
	    $want 2>/dev/null | awk -v want="$want" '
		$1 == "installed" {
			for (i = 2; i <= NF; i++) {
				gsub(/,/, "", $i)
				have[$i] = 1
			}
		}
		END {
			n = split(want, w, /[ \n]+/)
			for (i = 1; i <= n; i++)
				if (w[i] != "" && !(w[i] in have) &&
				    !(w[i] in said)) {
					said[w[i]] = 1
					printf "%s%s", sep, w[i]
					sep = " "
				}
		}'
}

# pkg-config is a name that another package provides.
need=$(missing)
case " $need " in
*' pkg-config '*)
	if command -v pkg-config >/dev/null 2>&1; then
		need=$(printf '%s' "$need" | sed 's/pkg-config//; s/  / /g
		    s/^ //; s/ $//')
	fi
	;;
esac
[ -n "$need" ] || exit 0

if [ "$(id -u)" != 0 ]; then
	echo "ssefs needs these packages: $need (as root: apt-get install" \
	    "$need)" >&2
	exit 1
fi

echo "  APT    $need"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086
if ! { apt-get -q update &&
	apt-get -q -y --no-install-recommends install $need; } >"$log" 2>&1
then
	tail -n 15 "$log" >&2
	echo "ssefs needs these packages, and installing them failed: $need" >&2
	exit 1
fi
