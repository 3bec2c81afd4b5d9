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
i=0
while ! mountpoint -q "$M" && [ $i -lt 100 ]; do
	sleep 0.1
	i=$((i + 1))
done
ok "foreground: mounted" mountpoint -q "$M"
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

# Failures: a reason on stderr, distinct exit codes, nothing mounted.
code() {
	"$SSEFS" "$@" >"$T/o" 2>"$T/e"
	echo $?
}
c_usage=$(code mount docs "$M" --no-such-option)
like "an unknown option is a usage error" "$c_usage" '^[1-9]'
like "and is named" "$(cat "$T/e")" 'no-such-option'
c_o=$(code mount docs "$M" -o no_such_thing)
isnt "an unknown -o option is refused" "$c_o" 0
like "and is named too" "$(cat "$T/e")" 'no_such_thing'
c_bucket=$(code mount nobucket "$M")
isnt "no such bucket" "$c_bucket" 0
like "the bucket is named" "$(cat "$T/e")" 'nobucket'
is "one line on stderr" "$(wc -l <"$T/e")" 1
is "nothing on stdout" "$(cat "$T/o")" ""
c_mnt=$(code mount docs "$T/nowhere")
isnt "no such mount point" "$c_mnt" 0
like "the mount point is named" "$(cat "$T/e")" 'nowhere'
: >"$T/afile"
isnt "a file as mount point" "$(code mount docs "$T/afile")" 0
c_store=$(code mount --store "$T/nostore" docs "$M")
isnt "no such store" "$c_store" 0
like "the store is named" "$(cat "$T/e")" 'nostore'
isnt "bucket and mount point fail differently" "$c_bucket" "$c_mnt"
isnt "bucket and store fail differently" "$c_bucket" "$c_store"
start_mount docs
mkdir "$T/m2"
c_lock=$(code mount docs "$T/m2")
isnt "a second mount of the store" "$c_lock" 0
like "names the owner's pid" "$(cat "$T/e")" "$(daemon_pid)"
isnt "and fails differently from a missing bucket" "$c_lock" "$c_bucket"
fails "fsck of a mounted store" "$SSEFS" fsck
like "names the owner's pid too" "$(cat "$T/out")" "$(daemon_pid)"
fails "nothing was mounted by the failures" mountpoint -q "$T/m2"

# A daemon that was killed leaves a store that opens again.
kill_mount
start_mount docs
is "mount after a kill -9" "$(cat "$M/f")" kept
done_testing
