#!/bin/sh
# The token is taken away under load and comes back: opens under its keys time
# out, all else goes on, and it recovers by itself; no byte is wrong.
# Serves: R12
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/hsm.sh"
require_fuse
require jq
new_token
new_store
ok "add" "$SSEFS" kms provider add hsm "$HSM"
a=$(new_key --provider hsm)
b=$(new_key)
bucket docs --sse "KMS:$a"
start_mount docs
mkdir "$M/here"
setfattr -n user.sse.default -v "KMS:$b" "$M/here"
echo here >"$M/here/f"
for i in $(seq 40); do echo "file $i" >"$M/f$i"; done
exec 8<"$M/f1"

py "$M" "$T" <<'PY'
import errno, os, sys, threading
from lib import *
m, t = sys.argv[1], sys.argv[2]
stop = threading.Event()
wrong, other, timed, good, after = [], [], [0], [0], [0]
back = threading.Event()
def work(n):
    i = 0
    while not stop.is_set():
        i += 1
        name = "%s/f%d" % (m, 1 + (7 * i + n) % 40)
        try:
            if i % 5 == 0:
                p = "%s/new-%d-%d" % (m, n, i)
                with open(p, "w") as f:
                    f.write(p)
                with open(p) as f:
                    if f.read() != p:
                        wrong.append(p)
                os.unlink(p)
            else:
                with open(name) as f:
                    if f.read() != "file %s\n" % name.rsplit("/f", 1)[1]:
                        wrong.append(name)
            good[0] += 1
            if back.is_set():
                after[0] += 1
        except OSError as e:
            if e.errno == errno.ETIMEDOUT:
                timed[0] += 1
            else:
                other.append(str(e))
def fresh(p):
    """A file no kernel or store has open: made by a rename of nothing new."""
    try:
        with open(p, "w") as f:
            f.write("x")
        os.unlink(p)
        return 0
    except OSError as e:
        return e.errno
threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
for x in threads: x.start()
ok(until(lambda: good[0] > 0), "eight threads work")
for turn in range(3):
    told = timed[0]
    os.rename(t + "/tokens", t + "/tokens.gone")
    ok(until(lambda: fresh(m + "/probe") == errno.ETIMEDOUT),
       "gone: making a file times out")
    eq(open(m + "/here/f").read(), "here\n", "a key that is here goes on")
    with open(m + "/here/g", "w") as f:
        f.write("g")
    os.unlink(m + "/here/g")
    ok(until(lambda: timed[0] > told),
       "who opens one meanwhile is told ETIMEDOUT")
    os.rename(t + "/tokens.gone", t + "/tokens")
    ok(until(lambda: fresh(m + "/probe") == 0),
       "back: it works without a remount")
back.set()
ok(until(lambda: after[0] > 0), "the threads work again")
stop.set()
for x in threads: x.join()
eq(wrong, [], "no wrong byte")
eq(other[:3], [], "no other error")
PY
token_gone
sleep 1
is "shown as unavailable" "$("$SSEFS" --json key describe "$a" |
    jq -r .state)" Unavailable
is "the other is not" "$("$SSEFS" --json key describe "$b" | jq -r .state)" \
    Enabled
fails "test" "$SSEFS" kms provider test hsm
fails "no key can be made there" "$SSEFS" key create --provider hsm
is "an open file reads" "$(cat <&8)" "file 1"
exec 8<&-
token_back
is "enabled again" "$("$SSEFS" --json key describe "$a" | jq -r .state)" Enabled
remount
bad=0
for i in $(seq 40); do [ "$(cat "$M/f$i")" = "file $i" ] || bad=1; done
is "all files" $bad 0
stop_mount
ok "the log is whole" "$SSEFS" audit verify
done_testing
