#!/bin/sh
# Two servers of one store: who asks one of them for it gets it, and the other
# does not take it in between.
# Serves: R7 R24
. "$(dirname "$0")/../../lib.sh"
require_fuse

# Until a server has it.
owned() { await test -S "$S/control"; }

new_store
bucket docs
ok "serve" "$SSEFS" serve --store "$S" --listen 127.0.0.1:0
one=$(daemon_pid)
ok "another server" "$SSEFS" serve --store "$S" --json --listen 127.0.0.1:0
for i in 1 2 3 4 5 6 7 8 9 10; do
	began=$(date +%s)
	ok "fsck gets the store" "$SSEFS" fsck
	# Who is in another's way gets it after 20 seconds, or not at all.
	ok "soon" test $(($(date +%s) - began)) -lt 18
	# At any moment of another's taking it.
	sleep "0.${i}5"
done
# Who wants it may be slow.
owned
py "$S" <<'END'
import fcntl, os, socket, sys, time
from lib import ok
d = os.open(sys.argv[1], os.O_RDONLY)
fcntl.flock(d, fcntl.LOCK_SH)
os.chdir(sys.argv[1])
c = socket.socket(socket.AF_UNIX)
c.connect("control")
c.sendall(b"yield\n")
c.recv(100)
time.sleep(3)
ok(not os.path.exists("control"), "no server takes what somebody wants")
END
owned
start_mount docs
isnt "so does a mount" "$(daemon_pid)" "$one"
sleep 2
ok "which keeps it" touch "$M/f"
stop_mount
owned
ok "then a server has it" test -S "$S/control"
for p in $(pgrep -f "serve --store $S "); do
	kill "$p"
	wait_gone "$p"
done
done_testing
