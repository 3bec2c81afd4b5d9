#!/bin/sh
# Altered ciphertext and metadata give an error, never wrong bytes.
# Serves: R8 R13
. "$(dirname "$0")/../../lib.sh"
require_fuse
new_store
bucket docs
start_mount docs
py <<'PY'
from lib import *
put(p("a"), pattern(1 << 20, 1))
put(p("b"), pattern(1 << 20, 2))
put(p("small"), b"inline content " * 20)
PY
stop_mount
cp -a "$S" "$T/good"

# Ciphertext: every arena byte pattern of a file is hit by flipping one bit in
# each 4 KiB page of the arenas.
py <<'PY'
from lib import *
import glob
n = 0
for a in sorted(glob.glob(S + "/arena-*")):
    with open(a, "r+b") as f:
        size = os.fstat(f.fileno()).st_size
        for off in range(0, size, 4096):
            f.seek(off)
            page = f.read(4096)
            if page.strip(b"\0"):
                f.seek(off + 100)
                f.write(bytes([page[100] ^ 1]))
                n += 1
ok(n >= 512, "flipped a bit in %d pages" % n)
PY
tampered
out=$("$SSEFS" scrub 2>&1)
isnt "scrub finds it without keys" $? 0
like "and says how much" "$out" 'damaged'
start_mount docs
py <<'PY'
from lib import *
for n in ("a", "b"):
    try:
        got = get(p(n))
        ok(False, "%s was read, %d bytes" % (n, len(got)))
    except OSError as e:
        ok(e.errno in (errno.EBADMSG, errno.EUCLEAN),
           "altered ciphertext: %s" % name(e.errno))
eq(get(p("small")), b"inline content " * 20, "others can still be read")
put(p("new"), b"new")
eq(get(p("new")), b"new", "and written")
PY
stop_mount
rm -rf "$S"
cp -a "$T/good" "$S"

# Two blocks exchanged: each is genuine, but in the wrong place.
py <<'PY'
from lib import *
import glob
a = sorted(glob.glob(S + "/arena-*"))[0]
with open(a, "r+b") as f:
    data = f.read()
    pages = [i for i in range(0, len(data), 4096)
             if data[i:i + 4096].strip(b"\0")]
    for x, y in zip(pages[0::2], pages[1::2]):
        f.seek(x); f.write(data[y:y + 4096])
        f.seek(y); f.write(data[x:x + 4096])
ok(True, "exchanged neighbouring blocks")
PY
start_mount docs
errno "exchanged blocks" EBADMSG cat "$M/a"
stop_mount
rm -rf "$S"
cp -a "$T/good" "$S"

# Metadata: rows altered by an editor of the database.  (Which name leads to
# which object is not sealed: exchanged names are exchanged files.)
if command -v sqlite3 >/dev/null; then
	alter() {
		rm -rf "$S"
		cp -a "$T/good" "$S"
		sqlite3 "$S/meta.db" "$1" >/dev/null
	}
	py_check() {
		py <<'PY'
from lib import *
want = {"a": pattern(1 << 20, 1), "b": pattern(1 << 20, 2),
        "small": b"inline content " * 20}
wrong, errs = [], []
for n, w in want.items():
    try:
        if get(p(n)) != w: wrong.append(n)
    except OSError as e:
        errs.append((n, name(e.errno)))
eq(wrong, [], "no wrong bytes; errors: %s" % errs)
ok(all(e in ("EBADMSG", "EUCLEAN", "EIO", "EKEYREVOKED") for _, e in errs),
   "and sane errors")
PY
	}
	for sql in \
	    "UPDATE inode SET size = size - 1 WHERE size > 1000000" \
	    "UPDATE inode SET size = size + 4096 WHERE size > 1000000" \
	    "UPDATE node SET row = (SELECT row FROM node n WHERE
		n.level = node.level AND n.idx = node.idx AND
		n.seg != node.seg LIMIT 1)" \
	    "UPDATE node SET row = zeroblob(length(row))" \
	    "DELETE FROM node WHERE level = 0 AND idx = 1" \
	    "UPDATE inode SET obj = CAST(substr(obj, 1, 30) AS BLOB)
		WHERE obj IS NOT NULL"; do
		alter "$sql"
		note "$(echo "$sql" | tr -s ' \t\n' ' ')"
		isnt "fsck reports it" "$("$SSEFS" fsck >"$T/out" 2>&1; echo $?)" 0
		if "$SSEFS" mount docs "$M" >"$T/out" 2>&1; then
			py_check
			stop_mount
		fi
	done
fi
rm -rf "$S"
cp -a "$T/good" "$S"
like "the untouched copy is clean" "$("$SSEFS" fsck)" clean
done_testing
