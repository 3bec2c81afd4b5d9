#!/bin/sh
# ssefs serve: in the background, beside a mount, with one; the socket in the
# store; every command while it owns the store.
# Serves: R7 R24 R25
. "$(dirname "$0")/../../lib.sh"
require_fuse
require jq curl

sock() { stat -c '%F %a %u' "$S/kms.sock" 2>/dev/null || echo none; }
ours="socket 600 $(id -u)"
ask() {
	(cd "${2:-$S}" && curl -s --max-time 60 --unix-socket kms.sock \
	    -H "X-Amz-Target: TrentService.$1" --data-binary @- http://kms/)
}
serve() {
	"$SSEFS" serve --store "$S" --json --listen 127.0.0.1:0 "$@" >"$T/serve.json" \
	    2>"$T/serve.err"
}
pid() { jq -r .pid "$T/serve.json"; }
end() {
	end_pid=$(pid)
	kill "$end_pid"
	ok "SIGTERM ends it" wait_gone "$end_pid"
}

new_store
bucket docs
like "init says where the CA is" "$(cat "$T/init.out")" "^CA file +$S/tls/ca.pem"
like "and its fingerprint" "$(cat "$T/init.out")" \
    '^server +SHA-256 ([0-9A-F]{2}:){31}[0-9A-F]{2}$'
is "tls is for its owner" "$(stat -c %a "$S/tls" "$S/tls/key.pem" | tr '\n' ' ')" \
    "700 600 "

# ---- Alone ------------------------------------------------------------------

ok "serve comes back" serve
is "no words on stderr" "$(cat "$T/serve.err")" ""
is "the socket is for its owner alone" "$(sock)" "$ours"
like "where it listens" "$(jq -r .address "$T/serve.json")" \
    '^127\.0\.0\.1:[1-9][0-9]+$'
like "it logs its start" "$(cat "$S/serve.log")" 'serve: the keys of .* at 127'
key=$(echo '{}' | ask CreateKey | jq -r .KeyMetadata.KeyId)
like "CreateKey by the socket" "$key" '^[0-9a-f-]{36}$'
like "the commands see it" "$("$SSEFS" key ls)" "$key"
ok "bucket create through it" "$SSEFS" bucket create more
is "bucket ls" "$("$SSEFS" bucket ls | awk '{ printf "%s ", $1 }')" "docs more "
ok "bucket rm" "$SSEFS" bucket rm more
ok "bucket encryption set" "$SSEFS" bucket encryption set docs "KMS:$key"
is "and get" "$("$SSEFS" bucket encryption get docs)" \
    "KMS:arn:aws:kms:us-east-1:000000000000:key/$key"
ok "scrub" "$SSEFS" scrub
ok "backup" "$SSEFS" backup "$T/b"
ok "rekey" "$SSEFS" rekey
ok "key usage" "$SSEFS" key usage "$key"
fails "a key in use is not deleted, by command" "$SSEFS" key delete "$key"
like "nor by the API" "$(printf '{"KeyId":"%s"}' "$key" |
    ask ScheduleKeyDeletion)" 'KMSInvalidStateException.*in use'
fails "a second server of the address" "$SSEFS" serve --listen \
    "$(jq -r .address "$T/serve.json")"
is "says so by its exit code" "$fails_rc" 9
end
is "the socket is gone" "$(sock)" none
like "it logs its end" "$(cat "$S/serve.log")" 'serve: stopped'

# ---- Exit codes -------------------------------------------------------------

code() {
	code_want=$1
	shift
	"$SSEFS" serve "$@" >"$T/out" 2>&1
	is "exit $code_want: serve $*" $? "$code_want"
}
code 2 --nonsense
code 2 --tls-cert x
code 2 --insecure-http --tls-cert x --tls-key y
code 2 -o ro
code 2 --mount docs
code 2 --mount "docs:$M" --mount "docs:$T"
like "says what mounts several buckets" "$(cat "$T/out")" '/ is all buckets'
code 3 --store "$T/none"
code 9 --listen nonsense
code 9 --listen 127.0.0.1:99999
code 9 --tls-cert "$T/none" --tls-key "$T/none"
cp "$S/tls/key.pem" "$T/key.pem"
chmod 644 "$T/key.pem"
code 9 --listen 127.0.0.1:0 --tls-cert "$S/tls/cert.pem" --tls-key "$T/key.pem"
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$T/k2.pem" -out \
    "$T/c2.pem" -subj /CN=x -days 99 >/dev/null 2>&1
code 9 --listen 127.0.0.1:0 --tls-cert "$S/tls/cert.pem" --tls-key "$T/k2.pem"
chmod 600 "$T/k2.pem"
ok "a certificate of one's own" serve --tls-cert "$T/c2.pem" --tls-key \
    "$T/k2.pem"
is "its fingerprint" "$(jq -r .fingerprint "$T/serve.json")" \
    "$(openssl x509 -in "$T/c2.pem" -noout -fingerprint -sha256 | cut -d= -f2)"
end
rm -r "$S/tls"
ok "an older store gets its pair" serve
ok "there it is" test -s "$S/tls/ca.pem"
end

# ---- Beside a mount ---------------------------------------------------------

start_mount docs
is "a mount has the socket too" "$(sock)" "$ours"
key2=$(echo '{}' | ask CreateKey | jq -r .KeyMetadata.KeyId)
ok "serve beside it" serve
like "the mount's socket stays" "$(printf '{"KeyId":"%s"}' "$key2" |
    ask DescribeKey)" "$key2"
ok "a file under the first key" sh -c "echo x >'$M/f'"
py "$(jq -r .address "$T/serve.json")" "$S/tls/ca.pem" "$key" "$key2" <<'END'
import sys
from kmsapi import Api, user
from lib import eq, ok
class Srv:
    pass
srv = Srv()
address, srv.ca, key, key2 = sys.argv[1:]
srv.host, _, port = address.rpartition(":")
srv.port, srv.tls = int(port), True
import kmsapi
srv.http = lambda **kw: kmsapi.Server.http(srv, **kw)
api = Api(srv, user("alice", "--admin"))
api.fails("KMSInvalidStateException", "the mount counts the key's uses",
          "ScheduleKeyDeletion", like="in use", KeyId=key)
eq(api("ScheduleKeyDeletion", KeyId=key2)["KeyState"], "PendingDeletion",
   "a key without uses goes")
api("DisableKey", KeyId=key)
END
fails "disabled by the API, shut on the mount" cat "$M/f"
"$SSEFS" key enable "$key" >/dev/null
is "enabled again" "$(cat "$M/f")" x
end
is "the mount goes on" "$(cat "$M/f")" x
stop_mount
is "its socket goes with it" "$(sock)" none

# ---- With a mount -----------------------------------------------------------

mkdir -p "$M"
ok "serve --mount" serve --mount "docs:$M"
is "the file is there" "$(cat "$M/f")" x
is "one process has both" "$(pid)" "$(daemon_pid)"
like "and the socket" "$(echo '{}' | ask ListKeys)" "$key"
fails "there is no such bucket" "$SSEFS" serve --listen 127.0.0.1:0 \
    --mount "nope:$M"
ok "umount ends it" "$SSEFS" umount "$M"
ok "all of it" wait_gone "$(pid)"
ok "again, all buckets" serve --mount "/:$M" -o ro
is "with mount options" "$(cat "$M/docs/f"; touch "$M/docs/g" 2>&1 |
    grep -o Read-only)" "x
Read-only"
end
fails "SIGTERM unmounts" mountpoint -q "$M"

# ---- Others -----------------------------------------------------------------

if [ "$(id -u)" = 0 ]; then
	serve
	chmod 711 "$S"
	chmod 666 "$S/kms.sock"
	py <<'END'
import os, socket
from lib import ok
up, down = os.pipe()
if os.fork() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    s = socket.socket(socket.AF_UNIX)
    s.connect(os.environ["S"] + "/kms.sock")
    s.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
              b"X-Amz-Target: TrentService.ListKeys\r\n\r\n{}")
    os.write(down, s.recv(4096))
    os._exit(0)
os.close(down)
a = os.read(up, 4096)
os.wait()
ok(b"AccessDeniedException" in a, "another user is refused: %r" % a[:200])
END
	chmod 700 "$S"
	end
fi
"$SSEFS" serve --store "$S" -f --listen 127.0.0.1:0 >"$T/fg.out" 2>"$T/fg.err" &
fg=$!
await grep -q '^KMS API' "$T/fg.out"
like "in the foreground" "$(cat "$T/fg.out")" '^KMS API +https://127.0.0.1:'
like "it names the CA" "$(cat "$T/fg.out")" "^CA file +$S/tls/ca.pem"
kill $fg
wait $fg
is "and ends well" $? 0
kill_store=$T/nokms
"$SSEFS" init --store "$kill_store" --no-kms >/dev/null
"$SSEFS" serve --store "$kill_store" --listen 127.0.0.1:0 >"$T/out" 2>&1
is "a store without keys: exit 4" $? 4
fails "and no certificate" test -e "$kill_store/tls"
done_testing
