#!/bin/sh
# Who counts the uses of a key for a server: for keys of every tenant, whoever
# owns the store, with nobody blamed for it, and with nobody kept waiting.
# Serves: R7 R11 R24
. "$(dirname "$0")/../../lib.sh"
require_fuse
require jq sqlite3

# That it is time for the keys that wait.
due() {
	sqlite3 "$S/keys.db" "PRAGMA busy_timeout=10000; UPDATE keys SET \
	    delete_at = 1 WHERE delete_at > 1; \
	    UPDATE meta SET v = v + 1 WHERE k = 'epoch'" >/dev/null
}
counted() { grep -c GetKeyUsage "$S/keys.db-audit.log"; }
state() { "$SSEFS" key describe "$1" --json 2>/dev/null | jq -r .state; }

new_store
bucket docs
used=$(new_key)
"$SSEFS" bucket encryption set docs "KMS:$used" >/dev/null
mkdir "$M"

# ---- A second tenant --------------------------------------------------------

py "$SSEFS" "$M" <<'END2'
import json, subprocess, sys, time
from kmsapi import Api, Server, user, run
from lib import eq, ok
ssefs, m = sys.argv[1:]
srv = Server()
api = Api(srv, user("bob", "--admin", "--tenant", "222222222222"))
def fresh():
    return api("CreateKey")["KeyMetadata"]
def scheduled(desc):
    key = fresh()
    got = api("ScheduleKeyDeletion", KeyId=key["KeyId"])
    eq(got["KeyState"], "PendingDeletion", desc)
scheduled("another tenant's key: the server counts")
subprocess.run([ssefs, "mount", "docs", m], check=True)
scheduled("another tenant's key: the mount counts")
subprocess.run([ssefs, "umount", m], check=True)
srv.stop()
END2
is "nobody asked how much a key is used" "$(counted)" 0

# ---- A key that is due ------------------------------------------------------

# Its use came after the deletion was asked for.
late=$(new_key)
other=$(new_key)
"$SSEFS" key delete "$late" >/dev/null
sqlite3 "$S/meta.db" "UPDATE dflt SET text = replace(text, '$used', '$late')"
ok "serve" "$SSEFS" serve --listen 127.0.0.1:0
server=$(daemon_pid)
due
await grep 'is due to be deleted' "$S/serve.log"
sleep 2.5
like "in use: not deleted" "$(cat "$S/serve.log")" 'due.*is in use by'
is "nobody is said to have asked" "$(counted)" 0
kill "$server"
wait_gone "$server"
is "the service's try is recorded by each keystore of the server once" \
    "$(grep '"DeleteKey"' "$S/keys.db-audit.log" | grep -c "$late" |
	sed 's/^[12]$/few/')" few

sqlite3 "$S/meta.db" "UPDATE dflt SET text = replace(text, '$late', '$used')"
gone=$late

# ---- Nobody waits -----------------------------------------------------------

# The store is owned by one who does not answer, or at first does not listen.
cat >"$T/hold.py" <<'END2'
import fcntl, os, socket, sys, time
s, t = sys.argv[1:]
f = open(s + "/lock", "r+")
fcntl.lockf(f, fcntl.LOCK_EX)
open(t + "/held", "w")
while not os.path.exists(t + "/listen"):
    time.sleep(0.05)
os.chdir(s)
l = socket.socket(socket.AF_UNIX)
l.bind("control")
l.listen(8)
open(t + "/listens", "w")
time.sleep(600)
END2
$PY "$T/hold.py" "$S" "$T" &
holder=$!
await test -e "$T/held"
"$SSEFS" serve --json --listen 127.0.0.1:0 >"$T/serve.json"
server=$(jq -r .pid "$T/serve.json")
due
"$SSEFS" key enable "$other" >/dev/null # the server reads it
# Who waits for a watcher does so for 5 seconds, and is warned.
quickly() {
	began=$(date +%s%N)
	for i in 1 2; do
		"$SSEFS" key disable "$other" >>"$T/out" 2>&1
		sleep 0.7
		"$SSEFS" key enable "$other" >>"$T/out" 2>&1
		sleep 0.7
	done
	ms=$((($(date +%s%N) - began) / 1000000))
	[ $ms -lt 12000 ] || note "it took $ms ms"
	ok "$1" test $ms -lt 12000
}
: >"$T/out"
quickly "no owner to ask: changes of keys do not wait"
: >"$T/listen"
await test -e "$T/listens"
quickly "nor for one who does not answer"
unlike "no warning" "$(cat "$T/out")" 'may go on'
is "the key is there still" "$(state "$gone")" PendingDeletion
kill $holder
rm -f "$S/control"
gone() { [ "$(state "$gone")" != PendingDeletion ]; }
ok "it goes once that is known" await gone
kill "$server"
wait_gone "$server"
done_testing
