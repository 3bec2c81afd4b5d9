#!/bin/sh
# The default key is made at its first use, once, also under 50 writers at once.
# Serves: R2 R3 R9
. "$(dirname "$0")/../../lib.sh"
require_fuse
new_store
bucket docs
keys() { "$SSEFS" --json key ls | jq "[.[] | select(.kind == \"$1\")] | length"; }
require jq
is "no default key before its first use" "$(keys default)" 0
start_mount docs
is "nor by mounting" "$(keys default)" 0
py <<'PY'
from lib import *
r, w = os.pipe()
pids = []
for i in range(50):
    pid = os.fork()
    if pid == 0:
        os.close(w)
        os.read(r, 1)
        code = 0
        try: put(p("f%d" % i), b"%d" % i * 100)
        except OSError as e: code = e.errno
        os._exit(code)
    pids.append(pid)
os.close(w)     # all start now
eq([os.waitstatus_to_exitcode(os.waitpid(x, 0)[1]) for x in pids], [0] * 50,
   "50 first writes at once succeed")
ids = {os.getxattr(p("f%d" % i), "user.sse.key-id") for i in range(50)}
eq(len(ids), 1, "all under one key")
eq([i for i in range(50) if get(p("f%d" % i)) != b"%d" % i * 100], [],
   "each with its own content")
PY
is "one default key" "$(keys default)" 1
arn=$(xa user.sse.key-id "$M/f0")
for n in alias/ssefs/default obs/default alias/acs/oss alias/aws/s3; do
	is "it answers to $n" \
	    "$("$SSEFS" --json key describe "$n" | jq -r .arn)" "$arn"
done
: >"$M/asked"
ok "and can be asked for by such a name" \
    setfattr -n user.sse.key-id -v obs/default "$M/asked"
is "it is the same" "$(xa user.sse.key-id "$M/asked")" "$arn"
remount
echo x >"$M/later"
is "the same after a remount" "$(xa user.sse.key-id "$M/later")" "$arn"

# Also once when separate processes ask first, each with its own keystore.
stop_mount
S=$T/s2
export S SSEFS_STORE="$S"
new_store
i=0
while [ $i -lt 20 ]; do
	"$SSEFS" key describe alias/ssefs/default >/dev/null 2>&1 &
	i=$((i + 1))
done
wait
like "at most one by 20 commands" "$(keys default)" '^[01]$'
done_testing
