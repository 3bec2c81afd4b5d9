#!/bin/sh
# Sealed metadata: no name, attribute, size or time stands in the store's
# directory, also while it is in use and after a crash; what was altered is an
# error; a store without it is as it was.
# Serves: R8 R13
. "$(dirname "$0")/../../lib.sh"
require_fuse
require sqlite3

cat >"$T/canary.py" <<'PY'
from lib import *

NAMES = [b"canary-file-7d1", b"canary-dir-7d1", b"canary-link-7d1",
         b"canary-gone-7d1", b"canary-bucket-7d1", b"canary-target-7d1",
         b"user.canary-7d1", b"canary-value-7d1", b"canary-default-7d1"]
SIZE = 0x1b2c3d4e5f60
TIME = 0x4a5b6c7d
# As they stand in a row and in a record.  Fewer bytes would be found in megabytes
# of ciphertext by chance.
NUMBERS = [SIZE.to_bytes(6, "big"), TIME.to_bytes(8, "big")]

def s(i): return NAMES[i].decode()

def fill():
    d = p(s(4), s(1))
    os.mkdir(d)
    f = os.path.join(d, s(0))
    put(f, b"x" * 5000)
    os.truncate(f, SIZE)
    os.setxattr(f, s(6), NAMES[7] * 3)
    os.utime(f, (TIME, TIME))
    os.symlink(s(5), os.path.join(d, s(2)))
    for i in range(300):
        put(os.path.join(d, "%s-%d" % (s(3), i)), b"y" * 2000)
    for i in range(0, 300, 2):
        os.unlink(os.path.join(d, "%s-%d" % (s(3), i)))

def sync():
    fd = os.open(p(s(4)), os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)

def same():
    f = p(s(4), s(1), s(0))
    st = os.stat(f)
    return (st.st_size == SIZE and int(st.st_mtime) == TIME and
            os.getxattr(f, s(6)) == NAMES[7] * 3 and
            os.readlink(p(s(4), s(1), s(2))) == s(5) and
            len(os.listdir(p(s(4), s(1)))) == 152)

def search(root):
    hits = set()
    for d, _, files in os.walk(root):
        for n in files:
            q = os.path.join(d, n)
            if not os.path.isfile(q): continue
            with open(q, "rb") as f: data = f.read()
            for c in NAMES + NUMBERS:
                if c in data: hits.add((n, c))
    return sorted(hits)
PY
export PYTHONPATH="$PYTHONPATH:$T"

# The search finds all of it where nothing is sealed.
new_store
is "a store is plain unless it is asked for" \
    "$(sqlite3 "$S/meta.db" "SELECT format FROM super")" 1
bucket canary-bucket-7d1 --sse AES256
start_mount /
py <<'PY'
from canary import *
fill()
sync()
found = set(c for _, c in search(S))
want = set(NAMES[:8] + NUMBERS)
eq(want - found, set(), "in clear: all that is searched for below")
PY
stop_mount
ok "and it has no other files" test ! -e "$S/meta.db-log"
mv "$S" "$T/plain"

new_store --seal-metadata
bucket canary-bucket-7d1 --sse AES256
start_mount /
py <<'PY'
from canary import *
eq(search(S), [], "sealed: nothing of a new bucket")
fill()
eq(search(S), [], "nothing while it is in use")
sync()
eq(search(S), [], "nothing after a sync")
ok(same(), "all of it is there")
for i in range(50):
    put(p(s(4), "%s-more-%d" % (s(3), i)), b"z")
PY
kill_mount
py <<'PY'
from canary import *
eq(search(S), [], "nothing after kill -9")
PY
start_mount /
py <<'PY'
from canary import *
ok(same(), "what was synced is there after kill -9")
eq(search(S), [], "nothing after recovery")
PY
stop_mount
py <<'PY'
from canary import *
eq(search(S), [], "nothing after the unmount")
PY
like "it is sound" "$("$SSEFS" fsck)" clean
like "its blocks are" "$("$SSEFS" scrub)" clean
like "with keys too" "$("$SSEFS" scrub --keys)" clean

# What programs see that do not know of sealing.
is "the front has a format of its own" \
    "$(sqlite3 "$S/meta.db" "SELECT format FROM super")" 2
is "and nothing else" "$(sqlite3 "$S/meta.db" .tables)" super
like "to look at it does no harm" "$("$SSEFS" fsck)" clean
like "init says it" "$("$SSEFS" init --store "$T/j" --seal-metadata --json)" \
    '"sealedMetadata": ?true'
fails "not without a keystore" "$SSEFS" init --store "$T/n" --no-kms \
    --seal-metadata

# Only the root key opens it.
mv "$S.key" "$T/key"
for c in fsck scrub "bucket ls"; do
	# shellcheck disable=SC2086
	out=$("$SSEFS" $c 2>&1)
	isnt "$c needs the root key" $? 0
	like "and says so" "$out" 'key file'
done
mv "$T/key" "$S.key"

# A plain database in its place, one of another store, no log, an older log.
cp -a "$S" "$T/good"
again() {
	rm -rf "$S"
	cp -a "$T/good" "$S"
}
refused() {
	out=$("$SSEFS" fsck 2>&1)
	isnt "$1" $? 0
	like "and says why" "$out" "$2"
	again
}
rm "$S/meta.db-log"
cp "$T/plain/meta.db" "$T/plain/meta.db-wal" "$S"
refused "a plain database in its place is refused" 'must be'
cp "$T/j/meta.db" "$T/j/meta.db-log" "$S"
refused "that of another store is" 'damaged, altered'
rm "$S/meta.db-log"
refused "one without its log is" 'damaged or altered'
bucket other
cp "$T/good/meta.db-log" "$S"
"$SSEFS" bucket rm other >/dev/null 2>&1
refused "one with an older log is" 'damaged or altered'
sqlite3 "$S/keys.db" "UPDATE meta SET v = 1 WHERE k = 'format'"
refused "a keystore that says otherwise does not open" 'key file'

# One bit in each page and each frame: an error, or it was of no account, and
# then all is as it was.
bucket last
cp -a "$S/." "$T/good"
py <<'PY'
from canary import *
import random, shutil
rnd = random.Random(830)

def fsck():
    r = subprocess.run([SSEFS, "fsck"], stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True)
    return r.returncode, r.stdout

code, clean = fsck()
eq(code, 0, "sound before: " + clean.strip())
for name_, first, step in ("meta.db", 65536, 8192), ("meta.db-log", 8192, 8216):
    f = os.path.join(S, name_)
    with open(os.path.join(T, "good", name_), "rb") as g: good = g.read()
    tried = seen = 0
    wrong = []
    for off in range(first, len(good) - step + 1, step):
        if name_ != "meta.db" and off > first + 20 * step: break
        at = off + rnd.randrange(step)
        with open(f, "r+b") as h:
            h.seek(at)
            h.write(bytes([good[at] ^ (1 << rnd.randrange(8))]))
        code, out = fsck()
        tried += 1
        seen += code != 0
        if code == 0 and out != clean: wrong.append(out)
        # fsck brings the log home, so both files are put back.
        for n in ("meta.db", "meta.db-log"):
            shutil.copyfile(os.path.join(T, "good", n), os.path.join(S, n))
    ok(tried > 10 and not wrong, "%s: %d of %d flipped bits were errors, the "
       "others of no account" % (name_, seen, tried))
    # Pages that the log holds, or that are free, are not read; of the log,
    # what is after its end.
    ok(seen >= (tried * 3 // 4 if name_ == "meta.db" else 1), "and they matter")
PY
again

# A page that is needed later: whoever needs it gets EUCLEAN.
py <<'PY'
from canary import *
f = os.path.join(S, "meta.db")
with open(f, "r+b") as h:
    size = os.fstat(h.fileno()).st_size
    for off in range(65536 + 2 * 8192, size - 8191, 8192):
        h.seek(off + 4000)
        b = h.read(1)
        h.seek(off + 4000)
        h.write(bytes([b[0] ^ 1]))
PY
tampered
if "$SSEFS" mount / "$M" >"$T/out" 2>&1; then
	errno "an altered page is EUCLEAN" EUCLEAN ls -lR "$M"
	stop_mount
else
	like "an altered page is an error" "$(cat "$T/out")" 'altered'
fi
done_testing
