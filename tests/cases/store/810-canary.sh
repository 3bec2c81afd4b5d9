#!/bin/sh
# Nothing of the plaintext of an encrypted file occurs in the store's
# directory, its journals, the audit log or temporary files; nor does the root
# key.  The same search finds it where nothing is encrypted.
# Serves: R8 R12
. "$(dirname "$0")/../../lib.sh"
require_fuse
new_store
bucket secret --sse KMS
bucket aes --sse AES256
bucket plain --sse None
mkdir "$T/tmp"
export TMPDIR="$T/tmp"
start_mount /

cat >"$T/canary.py" <<'PY'
import mmap
from lib import *

# Parts of the canary count too: what is hidden must be hidden from its first
# 16 bytes on.
def fill(bucket, canary):
    b = p(bucket)
    sizes = [32, 33, 100, 900, 1024, 1025, 4096, 4097, 12000, 65536, 300000,
             2000001]
    for n in sizes:
        data = (canary * (n // 32 + 1))[:n]
        put(os.path.join(b, "rep%d" % n), data)
        put(os.path.join(b, "tail%d" % n), b"\xaa" * n + canary)
        fd = os.open(os.path.join(b, "sync%d" % n),
                     os.O_CREAT | os.O_RDWR | os.O_SYNC)
        os.write(fd, data)
        os.close(fd)
    fd = os.open(os.path.join(b, "sparse"), os.O_CREAT | os.O_RDWR)
    for off in (5, 4090, 1 << 20, (1 << 24) + 4080):
        os.pwrite(fd, canary, off)
    os.fsync(fd)
    os.close(fd)
    put(os.path.join(b, "over"), canary * 1000)
    os.sync()
    put(os.path.join(b, "over"), b"x" * 500 + canary)
    put(os.path.join(b, "shrunk"), canary * 1000)
    os.truncate(os.path.join(b, "shrunk"), 40)
    put(os.path.join(b, "removed"), canary * 3000)
    os.sync()
    os.unlink(os.path.join(b, "removed"))
    a = os.open(os.path.join(b, "rep300000"), os.O_RDONLY)
    c = os.open(os.path.join(b, "copy"), os.O_CREAT | os.O_WRONLY)
    os.copy_file_range(a, c, 300000)
    os.close(a)
    os.close(c)
    fd = os.open(os.path.join(b, "append"), os.O_CREAT | os.O_WRONLY |
                 os.O_APPEND)
    for i in range(200): os.write(fd, canary)
    os.close(fd)
    fd = os.open(os.path.join(b, "mapped"), os.O_CREAT | os.O_RDWR)
    os.ftruncate(fd, 65536)
    m = mmap.mmap(fd, 65536)
    m[1000:1032] = canary
    m[40000:40032] = canary
    m.flush()
    m.close()
    os.close(fd)

def search(needle, roots):
    hits = []
    for root in roots:
        for d, _, files in os.walk(root):
            for n in files:
                q = os.path.join(d, n)
                if not os.path.isfile(q): continue
                with open(q, "rb") as f:
                    tail = b""
                    while True:
                        b = f.read(1 << 22)
                        if not b: break
                        if needle in tail + b:
                            hits.append(q)
                            break
                        tail = b[-64:]
    return hits
PY
export PYTHONPATH="$PYTHONPATH:$T"
py <<'PY'
from canary import *
import random
c = random.SystemRandom().randbytes(32)
open(T + "/canary.bin", "wb").write(c)
for i, b in enumerate(("secret", "aes")): fill(b, c)
c2 = random.SystemRandom().randbytes(32)
open(T + "/control.bin", "wb").write(c2)
fill("plain", c2)
eq(get(p("secret", "rep2000001"))[:32], c, "the canary is in its files")
where = [S, T + "/tmp"]
eq(search(c[:16], where), [], "not in the store while mounted")
os.sync()
eq(search(c[:16], where), [], "not after a sync")
ok(len(search(c2[:16], where)) > 0, "the control is found: the search works")
key = get(S + ".key")
eq(search(key[:16], where), [], "the root key is nowhere")
PY
kill_mount
py <<'PY'
from canary import *
c = get(T + "/canary.bin")
eq(search(c[:16], [S, T + "/tmp"]), [], "not after a kill -9")
PY
start_mount /
stop_mount
py <<'PY'
from canary import *
c, c2 = get(T + "/canary.bin"), get(T + "/control.bin")
eq(search(c[:16], [S, T + "/tmp"]), [], "not after recovery and unmount")
hits = search(c2[:16], [S])
ok(any("arena" in h for h in hits), "the control is in the arenas")
ok(any("meta.db" in h for h in hits), "and, inline, in the database")
eq(search(get(S + ".key")[:16], [S]), [], "the root key is nowhere")
PY
start_mount /
py <<'PY'
from canary import *
c = get(T + "/canary.bin")
eq(get(p("secret", "append")), c * 200, "and it can be read back")
eq(get(p("aes", "tail300000"))[-32:], c, "also from AES256")
PY
done_testing
