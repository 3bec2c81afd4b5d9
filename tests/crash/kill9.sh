#!/bin/sh
# kill -9 of a mount under load, again and again: each time fsck finds the
# store clean and everything whose fsync was acknowledged is there, whole.
# Serves: R30
# Environment: LOOPS (default 20), SEED (default 1).
. "$(dirname "$0")/../lib.sh"
require_fuse
new_store
bucket docs

cat >"$T/load.py" <<'PY'
"""load.py K LOOP SEED ACKS: write until the mount dies.

A line is appended to ACKS after each fsync that returned:
    new NAME SEED SIZE      the file has exactly this content
    ver NAME N              the file is version N or a later one, whole
    app NAME N              the log holds N records or more
    del NAME                the name is gone
"""
import random
from lib import *

k, loop, seed, acks = (int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]),
                       sys.argv[4])
rnd = random.Random(seed * 1000 + loop * 10 + k)
out = os.open(acks, os.O_CREAT | os.O_WRONLY | os.O_APPEND)

def ack(*words):
    os.write(out, (" ".join(str(w) for w in words) + "\n").encode())

def sync_dir(d):
    fd = os.open(d, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)

base = p("w%d" % k)
i = 0
mine = []
try:
    # On a busy machine the kill may come even before this.
    os.makedirs(base, exist_ok=True)
    while True:
        i += 1
        n = "%d-%d" % (loop, i)
        what = rnd.random()
        if what < 0.45:
            size = rnd.choice((10, 1000, 5000, 70000, 600000))
            s = rnd.randrange(1 << 30)
            fd = os.open(base + "/" + n, os.O_CREAT | os.O_WRONLY)
            view = memoryview(pattern(size, s))
            while view: view = view[os.write(fd, view[:65536]):]
            os.fsync(fd)
            os.close(fd)
            ack("new", n, s, size)
            mine.append(n)
        elif what < 0.65:
            fd = os.open(base + "/v.tmp", os.O_CREAT | os.O_WRONLY |
                         os.O_TRUNC)
            v = loop * 100000 + i
            os.write(fd, b"%012d" % v + pattern(20000, v))
            os.fsync(fd)
            os.close(fd)
            os.rename(base + "/v.tmp", base + "/v")
            sync_dir(base)
            ack("ver", "v", v)
        elif what < 0.85:
            fd = os.open(base + "/log", os.O_CREAT | os.O_RDWR | os.O_APPEND)
            at = os.fstat(fd).st_size // 100
            os.write(fd, b"%099d\n" % at)
            os.fsync(fd)
            os.close(fd)
            ack("app", "log", at + 1)
        elif what < 0.92 and mine:
            gone = mine.pop(rnd.randrange(len(mine)))
            ack("maybe", gone)
            os.unlink(base + "/" + gone)
            sync_dir(base)
            ack("del", gone)
        else:
            # Work that is not synced, so that a kill finds some.
            d = base + "/loose%d" % (i % 7)
            os.makedirs(d, exist_ok=True)
            for j in range(20): put(d + "/x%d" % j, pattern(3000, j))
            os.rename(d + "/x1", d + "/x2")
except OSError:
    pass
PY

cat >"$T/verify.py" <<'PY'
from lib import *

bad, count = [], 0
for k in range(3):
    base = p("w%d" % k)
    want, maybe, ver, app = {}, set(), 0, 0
    path = T + "/acks%d" % k
    if not os.path.exists(path): continue
    for line in open(path):
        w = line.split()
        count += 1
        if w[0] == "new": want[w[1]] = (int(w[2]), int(w[3]))
        elif w[0] == "ver": ver = int(w[2])
        elif w[0] == "app": app = int(w[2])
        elif w[0] == "maybe": maybe.add(w[1])
        elif w[0] == "del": want[w[1]] = None
    for n, v in want.items():
        q = base + "/" + n
        if v is None:
            if os.path.lexists(q): bad.append("%s is back" % q)
        elif not os.path.lexists(q):
            if n not in maybe: bad.append("%s is missing" % q)
        elif get(q) != pattern(v[1], v[0]):
            bad.append("%s is not what was written" % q)
    if ver:
        b = get(base + "/v")
        got = int(b[:12])
        if got < ver: bad.append("w%d/v: version %d, acknowledged %d" % (
            k, got, ver))
        if b[12:] != pattern(20000, got):
            bad.append("w%d/v: version %d is torn" % (k, got))
    if app:
        b = get(base + "/log")
        if len(b) // 100 < app:
            bad.append("w%d/log: %d records, acknowledged %d" % (
                k, len(b) // 100, app))
        if b != b"".join(b"%099d\n" % i for i in range(len(b) // 100)):
            bad.append("w%d/log: a record is torn" % k)
    # What was not synced may be missing, but must be readable.
    for d, _, files in os.walk(base):
        for n in files: get(os.path.join(d, n))
for b in bad[:10]: print("#  ", b)
ok(not bad, "loop %s: all of %d acknowledged operations" % (sys.argv[1],
                                                           count))
PY

i=1
while [ $i -le "${LOOPS:-20}" ]; do
	start_mount docs
	for k in 0 1 2; do
		$PY "$T/load.py" $k $i "${SEED:-1}" "$T/acks$k" \
		    2>"$T/load$k.err" &
	done
	# From a tenth of a second to a second, the same for each seed.
	sleep "$(awk -v i=$i -v s="${SEED:-1}" 'BEGIN { srand(s * 100 + i)
		printf "%.2f", 0.2 + rand() * 0.8 }')"
	kill_mount
	wait
	if [ $((i % 2)) = 0 ]; then
		out=$("$SSEFS" fsck 2>&1)
		is "loop $i: fsck after the kill" $? 0
		unlike "loop $i: clean" "$out" 'problem'
	fi
	start_mount docs
	py $i <"$T/verify.py"
	stop_mount
	out=$("$SSEFS" fsck 2>&1)
	is "loop $i: fsck" $? 0 || note "$out"
	i=$((i + 1))
done
is "the loads saw no error but the end" "$(cat "$T"/load?.err)" ""
done_testing
