#!/bin/sh
# Daemon and foreground, signals, exit codes, and what a failed mount says.
# Serves: R30
. "$(dirname "$0")/../../lib.sh"
require_fuse
new_store
bucket docs
mkdir "$M"

# Foreground: stays, and SIGTERM unmounts cleanly with everything kept.
"$SSEFS" mount docs "$M" --foreground >"$T/fg" 2>&1 &
pid=$!
ok "foreground: mounted" await mountpoint -q "$M"
ok "and still there" kill -0 $pid
echo kept >"$M/f"
kill -USR1 $pid
kill -HUP $pid
is "SIGUSR1 and SIGHUP leave it running" "$(cat "$M/f")" kept
kill -TERM $pid
wait $pid
is "SIGTERM: exit 0" $? 0
fails "SIGTERM: unmounted" mountpoint -q "$M"
like "SIGUSR1 printed statistics" "$(cat "$T/fg")" '[0-9]'

# Daemon: SIGTERM too.
start_mount docs
is "what was written before SIGTERM is there" "$(cat "$M/f")" kept
pid=$(daemon_pid)
ok "the lock names the daemon" kill -0 "$pid"
is "it is its own session" "$(ps -o sid= -p "$pid" | tr -d ' ')" "$pid"
is "in the root directory" "$(readlink "/proc/$pid/cwd")" /
echo more >"$M/g"
kill -TERM "$pid"
ok "SIGTERM ends the daemon" wait_gone "$pid"
fails "and unmounts" mountpoint -q "$M"
start_mount docs
is "nothing was lost" "$(cat "$M/f" "$M/g")" "kept
more"

# fusermount3 -u and umount(8) work as well.
pid=$(daemon_pid)
ok "fusermount3 -u" fusermount3 -u "$M"
ok "ends the daemon" wait_gone "$pid"
start_mount docs

fails "umount of a busy mount" sh -c "cd '$M' && '$SSEFS' umount '$M'"
like "says that it is busy" "$(cat "$T/out")" 'busy|in use'
is "and leaves it mounted" "$(cat "$M/f")" kept
stop_mount
fails "umount of what is not mounted" "$SSEFS" umount "$M"
like "says so" "$(cat "$T/out")" 'not mounted|not a mount|no mount'

# umount waits for the last commit of the mount that is named, whichever store
# SSEFS_STORE means, if any.
start_mount docs
is "the mount tells its daemon" "$(xa user.sse.store-pid "$M")" "$(daemon_pid)"
unlike "but does not list it" "$(getfattr -m - "$M")" store-pid
head -c 20000000 /dev/urandom >"$M/big"
ok "umount without SSEFS_STORE" env -u SSEFS_STORE "$SSEFS" umount "$M"
ok "the store is free" "$SSEFS" fsck
ok "another store" "$SSEFS" init --store "$T/other"
start_mount docs
head -c 20000000 /dev/urandom >"$M/big"
ok "umount with another SSEFS_STORE" \
    env SSEFS_STORE="$T/other" "$SSEFS" umount "$M"
ok "the store is free" "$SSEFS" fsck

# Failures: a reason on stderr, distinct exit codes, nothing mounted.
code() {
	"$SSEFS" "$@" >"$T/o" 2>"$T/e"
	echo $?
}
is "an unknown option: 2" "$(code mount docs "$M" --no-such-option)" 2
like "it is named" "$(cat "$T/e")" 'no-such-option'
is "an unknown -o option: 2" "$(code mount docs "$M" -o no_such_thing)" 2
like "it is named" "$(cat "$T/e")" 'no_such_thing'
is "no such store: 3" "$(code mount --store "$T/nostore" docs "$M")" 3
like "it is named" "$(cat "$T/e")" 'nostore'
mv "$S.key" "$T/away"
is "no root key: 4" "$(code mount docs "$M")" 4
like "it is named" "$(cat "$T/e")" '\.key'
mv "$T/away" "$S.key"
is "no such mount point: 5" "$(code mount docs "$T/nowhere")" 5
like "it is named" "$(cat "$T/e")" 'nowhere'
: >"$T/afile"
is "a file as mount point: 5" "$(code mount docs "$T/afile")" 5
is "no such bucket: 7" "$(code mount nobucket "$M")" 7
like "it is named" "$(cat "$T/e")" 'nobucket'
is "one line on stderr" "$(wc -l <"$T/e")" 1
is "nothing on stdout" "$(cat "$T/o")" ""
fails "nothing is mounted" mountpoint -q "$M"
start_mount docs
mkdir "$T/m2"
is "a second mount of the store: 3" "$(code mount docs "$T/m2")" 3
like "the owner's pid is named" "$(cat "$T/e")" "$(daemon_pid)"
fails "fsck of a mounted store" "$SSEFS" fsck
like "names the owner's pid too" "$(cat "$T/out")" "$(daemon_pid)"
fails "nothing is mounted" mountpoint -q "$T/m2"

# A daemon that was killed leaves a store that opens again.
kill_mount
start_mount docs
is "mount after a kill -9" "$(cat "$M/f")" kept
done_testing
