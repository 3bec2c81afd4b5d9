#!/bin/sh
# Who owns a store, of a server and a mount: in either order, at the end of
# either, and when either is killed.
# Serves: R7 R24 R25
. "$(dirname "$0")/../../lib.sh"
require_fuse
require jq curl

serve() {
	"$SSEFS" serve --store "$S" --json --listen 127.0.0.1:0 "$@" \
	    >"$T/serve.json" 2>"$T/serve.err"
}
pid() { jq -r .pid "$T/serve.json"; }
end() {
	kill "$1"
	ok "SIGTERM ends it" wait_gone "$1"
}
sock() {
	(cd "$S" && echo '{}' | curl -s --max-time 60 --unix-socket kms.sock \
	    -H "X-Amz-Target: TrentService.ListKeys" --data-binary @- \
	    http://kms/)
}
# One that was killed leaves its socket there.
owns() { [ "$(daemon_pid)" = "$1" ] && sock; }
# The owner, once it is that.
owner_is() {
	if await owns "$2"; then
		pass "$1"
	else
		fail "$1"
		note "owner $(cat "$S/lock"), want $2"
	fi
}
# The network's answers, all the while: in the background.
watch_net() {
	: >"$T/net"
	rm -f "$T/stop"
	while [ ! -e "$T/stop" ]; do
		curl -s --max-time 60 --cacert "$S/tls/ca.pem" -o /dev/null \
		    -w '%{http_code}\n' -X POST \
		    "https://$(jq -r .address "$T/serve.json")/" >>"$T/net"
	done &
	watcher=$!
}
watched() {
	touch "$T/stop"
	wait $watcher
	is "the network was answered all the while" "$(sort -u "$T/net")" 400
}

new_store
bucket docs
key=$(new_key --alias mine)
"$SSEFS" bucket encryption set docs "KMS:$key" >/dev/null

# ---- The server first -------------------------------------------------------

ok "serve" serve
server=$(pid)
owner_is "it owns the store" "$server"
watch_net
start_mount docs
isnt "a mount gets the store" "$(daemon_pid)" "$server"
echo x >"$M/f"
like "the socket is the mount's" "$(sock)" "$key"
like "the server says so" "$(cat "$S/serve.log")" 'given up'
ok "a second mount is refused" sh -c '! "$1" mount docs "$2" 2>"$3"' x \
    "$SSEFS" "$M" "$T/err"
like "and told why" "$(cat "$T/err")" "in use by process $(daemon_pid)"
stop_mount
owner_is "unmounted: it is the server's again" "$server"
like "the socket is the server's" "$(sock)" "$key"
ok "which says so" await grep 'taken over' "$S/serve.log"
ok "the tools work through it" "$SSEFS" bucket create more
ok "fsck gets the store" "$SSEFS" fsck
ok "serve --mount gets it, too" "$SSEFS" serve --store "$S" \
    --listen 127.0.0.1:0 --mount "docs:$M"
is "with its files" "$(cat "$M/f")" x
stop_mount
owner_is "and the server again" "$server"

# A mount that dies.
start_mount docs
echo synced >"$M/g"
sync "$M/g"
kill_mount
owner_is "killed: it is the server's" "$server"
ok "what it had synced is there" "$SSEFS" bucket ls
start_mount docs
is "also for the next mount" "$(cat "$M/f" "$M/g")" "x
synced"
watched

# A server that dies.
kill -9 "$server"
wait_gone "$server"
is "the mount goes on" "$(cat "$M/g")" synced
stop_mount

# ---- The mount first --------------------------------------------------------

start_mount docs
mounted=$(daemon_pid)
ok "serve beside a mount" serve
is "the mount owns" "$(daemon_pid)" "$mounted"
stop_mount
owner_is "then the server" "$(pid)"

# Two servers; the owner is killed.
first=$(pid)
ok "another server" serve
second=$(pid)
is "the first owns" "$(daemon_pid)" "$first"
kill -9 "$first"
owner_is "then the second" "$second"
like "its socket answers" "$(sock)" "$key"

# ---- Work that is not cut off -----------------------------------------------

start_mount docs
head -c 60000000 /dev/urandom >"$M/big"
stop_mount
owner_is "the server again" "$second"
"$SSEFS" backup --rate 10M "$T/b" >"$T/backup.out" 2>&1 &
backup=$!
await test -d "$T/b/new"
fails "no mount while a backup runs" "$SSEFS" mount docs "$M"
ok "the backup comes to its end" wait $backup
start_mount docs
ok "then" cmp -n 100 "$M/big" "$M/big"

# A key in use cannot go, whoever owns the store.
py "$(jq -r .address "$T/serve.json")" "$S/tls/ca.pem" "$key" "$SSEFS" "$M" <<'END'
import subprocess, sys, time
from kmsapi import Api, user
import kmsapi
class Srv:
    pass
srv = Srv()
address, srv.ca, key, ssefs, m = sys.argv[1:]
srv.host, _, port = address.rpartition(":")
srv.port, srv.tls = int(port), True
srv.http = lambda **kw: kmsapi.Server.http(srv, **kw)
api = Api(srv, user("alice", "--admin"))
api.fails("KMSInvalidStateException", "the mount counts the key's uses",
          "ScheduleKeyDeletion", like="in use", KeyId=key)
subprocess.run([ssefs, "umount", m], check=True)
api.fails("KMSInvalidStateException", "whoever it is then counts them",
          "ScheduleKeyDeletion", like="in use", KeyId=key)
time.sleep(3)
api.fails("KMSInvalidStateException", "and so does the server",
          "ScheduleKeyDeletion", like="in use", KeyId=key)
END
end "$second"

# A passphrase opens it again as well.
(umask 077 && echo secret >"$T/pass")
ok "a passphrase" "$SSEFS" key slot add --new-passphrase-file "$T/pass"
ok "no key file" "$SSEFS" key slot rm 0
SSEFS_PASSPHRASE_FILE=$T/pass
export SSEFS_PASSPHRASE_FILE
ok "serve with it" serve
start_mount docs
stop_mount
owner_is "taken back" "$(pid)"
end "$(pid)"
ok "nobody owns it" sh -c '! test -e "$1"' x "$S/kms.sock"
done_testing
