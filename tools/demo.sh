#!/bin/sh
# demo.sh: what "make run" shows.  A store with two buckets is made in DEMO (or
# used again), both are mounted, this project's own tree is copied in, and the
# store's files are searched for what was written.
#
# Environment: SSEFS (the program), DEMO (directory, made when absent).
set -eu
SSEFS=${SSEFS:-build/ssefs}
DEMO=${DEMO:-build/demo}
here=$(cd "$(dirname "$0")/.." && pwd)
case $SSEFS in /*) ;; *) SSEFS=$PWD/$SSEFS ;; esac

die() {
	echo "make run: $*" >&2
	exit 1
}
# Shows a command, then runs it.
do_() {
	printf '\n$ %s\n' "$*"
	"$@"
}

[ -e /dev/fuse ] || die "there is no /dev/fuse. Load it (modprobe fuse); in a" \
    "container, give it one: docker run --device /dev/fuse --cap-add SYS_ADMIN"
(: </dev/fuse) 2>/dev/null ||
    die "/dev/fuse cannot be opened by $(id -un); run as root, or chmod 666 it"

mkdir -p "$DEMO"
DEMO=$(cd "$DEMO" && pwd)
store=$DEMO/store mnt=$DEMO/mnt
export SSEFS_STORE="$store"

mounted() { grep -qs " $(printf '%s' "$mnt" | sed 's/ /\\\\040/g') " /proc/mounts; }

# A mount of an earlier run gives way.
if mounted; then
	"$SSEFS" umount "$mnt" ||
	    die "$mnt is in use; leave it, then: $SSEFS umount $mnt"
fi
mkdir -p "$mnt"

if [ ! -d "$store" ]; then
	do_ "$SSEFS" init
fi
have=$("$SSEFS" bucket ls)
printf '%s\n' "$have" | grep -q '^demo ' || do_ "$SSEFS" bucket create demo
printf '%s\n' "$have" | grep -q '^plain ' ||
    do_ "$SSEFS" bucket create plain --sse None
do_ "$SSEFS" mount / "$mnt"

# Tracked files when there is a repository, else all but what was built.
copy_tree() {
	rm -rf "$1"
	mkdir -p "$1"
	if git -C "$here" rev-parse --verify -q HEAD >/dev/null 2>&1; then
		git -C "$here" archive HEAD | tar -xf - -C "$1"
	else
		tar -cf - -C "$here" --exclude='./build*' --exclude=./.git . |
		    tar -xf - -C "$1"
	fi
}
printf '\ncopying the tree of this project to %s\n' "$mnt/demo/tree"
copy_tree "$mnt/demo/tree"
echo "$(find "$mnt/demo/tree" -type f | wc -l) files," \
    "$(du -sh "$mnt/demo/tree" | cut -f 1)"

# A sentence nobody wrote before, once encrypted and once not.
word=$(od -An -N8 -tx1 /dev/urandom | tr -d ' \n')
secret="the secret of this run is $word-demo"
public="the notice of this run is $word-plain"
i=0
: >"$mnt/demo/secret.txt"
while [ $i -lt 200 ]; do
	echo "$secret" >>"$mnt/demo/secret.txt"
	i=$((i + 1))
done
echo "$public" >"$mnt/plain/notice.txt"
sync "$mnt/demo/secret.txt" "$mnt/plain/notice.txt"

if command -v getfattr >/dev/null 2>&1; then
	do_ getfattr --absolute-names -d -m user.sse "$mnt/demo/secret.txt"
	do_ getfattr --absolute-names -d -m user.sse "$mnt/plain/notice.txt"
fi
do_ "$SSEFS" ls --sse "$mnt/demo"
do_ "$SSEFS" ls --sse "$mnt/plain"

printf '\n$ grep -r "%s" %s\n' "$public" "$store"
grep -raq -- "$public" "$store" ||
    die "the unencrypted sentence was not found: this search proves nothing"
echo "found: bucket plain is not encrypted, its files stand in the store as" \
    "they are"
printf '\n$ grep -r "%s" %s\n' "$secret" "$store"
if grep -raq -- "$secret" "$store"; then
	die "PLAINTEXT of an encrypted file is in the store"
fi
echo "nothing: bucket demo is encrypted, no file of the store holds it"

cat <<END

The mount stays.  Look around:
    ls -l $mnt/demo/tree
    getfattr -d -m user.sse $mnt/demo/tree/README.md
    $SSEFS --store $store key ls
    $SSEFS --store $store audit show --last 5
When you are done:
    $SSEFS --store $store umount $mnt
    $SSEFS --store $store fsck
END
