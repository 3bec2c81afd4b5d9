#!/bin/sh
# O_APPEND from 8 processes: no record is lost, torn or written twice.
# Serves: R30
. "$(dirname "$0")/../../lib.sh"
require_fuse
new_store
bucket docs
start_mount docs

py <<'PY'
from lib import *

P, N = 8, 400
pids = []
for k in range(P):
    pid = os.fork()
    if pid == 0:
        fd = os.open(p("log"), os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        for i in range(N):
            os.write(fd, b"<%d:%05d:%s>\n" % (k, i, b"abcdefgh"[k:k + 1] * 60))
        os.close(fd)
        os._exit(0)
    pids.append(pid)
for pid in pids: os.waitpid(pid, 0)
want = {b"<%d:%05d:%s>" % (k, i, b"abcdefgh"[k:k + 1] * 60)
        for k in range(P) for i in range(N)}
lines = get(p("log")).splitlines()
eq(len(lines), P * N, "as many records as were written")
eq(set(lines) == want, True, "and each of them whole")
seen = {}
order = True
for l in lines:
    k, i = int(l[1:2]), int(l[3:8])
    order = order and seen.get(k, -1) < i
    seen[k] = i
ok(order, "each writer's records in its order")

# Appending while another truncates: the end is where the file ends.
fd = os.open(p("a"), os.O_CREAT | os.O_RDWR | os.O_APPEND)
os.write(fd, b"12345")
os.truncate(p("a"), 2)
os.write(fd, b"67")
eq(get(p("a")), b"1267", "append goes to the new end")
os.lseek(fd, 0, os.SEEK_SET)
os.write(fd, b"8")
eq(get(p("a")), b"12678", "whatever the position")
os.close(fd)
PY
remount
is "records after a remount" "$(sort -u "$M/log" | wc -l)" 3200
done_testing
