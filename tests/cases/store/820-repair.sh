#!/bin/sh
# fsck --repair: each kind of damage to the metadata is told, what follows from
# the rest is rebuilt, what has no name goes to lost+found, what cannot be
# rebuilt is named and stays; then fsck is clean and all else is byte-identical.
# Serves: R29
. "$(dirname "$0")/../../lib.sh"
require_fuse
new_store
bucket docs
bucket more --sse None
start_mount /
py <<'PY'
from lib import *
os.mkdir(p("docs/sub"))
os.mkdir(p("docs/sub/deep"))
put(p("docs/inline"), b"few bytes")
put(p("docs/four"), pattern(9000, 1))
put(p("docs/sub/big"), pattern(3 << 20, 2))
put(p("docs/sub/deep/file"), pattern(70000, 3))
put(p("more/plain"), pattern(40000, 4))
os.link(p("docs/sub/big"), p("docs/hard"))
os.symlink("sub/big", p("docs/link"))
os.setxattr(p("docs/four"), "user.x", b"value")
with open(p("docs/sub/big"), "rb") as a, open(p("docs/copy"), "wb") as b:
    os.copy_file_range(a.fileno(), b.fileno(), 2 << 20)
os.setxattr(p("docs/sub"), "user.sse.default", b"AES256")
put(p("docs/sub/aes"), pattern(20000, 5))
PY
stop_mount
cp -a "$S" "$T/good"

py <<'PY'
from lib import *
import hashlib, json, shutil, sqlite3

def fsck(*args):
    r = run(SSEFS, "fsck", "--json", *args)
    try:
        return r.returncode, json.loads(r.stdout)
    except ValueError:
        return r.returncode, {"list": [], "text": r.stdout.decode()}

def damage(*sql):
    shutil.rmtree(S)
    shutil.copytree(T + "/good", S)
    db = sqlite3.connect(S + "/meta.db")
    for q in sql:
        db.execute(q)
    db.commit()
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()

def tree():
    """All that the mount shows, by path; times of directories aside."""
    if run(SSEFS, "mount", "/", M).returncode:
        return None
    out = {}
    for top, dirs, files in os.walk(M):
        for n in dirs + files:
            at = os.path.join(top, n)
            s = os.lstat(at)
            v = [s.st_ino, stat.S_IFMT(s.st_mode), s.st_size]
            try:
                if stat.S_ISREG(s.st_mode):
                    v.append(hashlib.sha256(get(at)).hexdigest())
                    v.append(os.getxattr(at, "user.sse.status"))
                if stat.S_ISLNK(s.st_mode):
                    v.append(os.readlink(at))
                else:
                    v.append({x: os.getxattr(at, x) for x in os.listxattr(at)
                              if x != "user.sse.key-id"})
            except OSError as e:
                v.append(name(e.errno))
            out[at[len(M) + 1:]] = v
    run(SSEFS, "umount", M)
    return out

import subprocess
damage()
good = tree()
ino = {n: v[0] for n, v in good.items()}
ok(len(good) == 13, "the tree before: %d" % len(good))
I = lambda n: str(ino[n])

def moved(was, now):
    """The good tree with names replaced."""
    out = {}
    for n, v in good.items():
        for a, b in zip(was, now):
            if n == a or n.startswith(a + "/"):
                n = b + n[len(a):]
        out[n] = v
    return out

def case(what, sql, want=None, codes=(4, 1, 0), gone=(), free=()):
    """Damage, look, repair, look again; ${want} is the tree after it, ${gone}
    what could not be kept, ${free} what need not be compared."""
    want = dict(good if want is None else want)
    damage(*sql)
    a, _ = fsck()
    b, told = fsck("--repair")
    c, left = fsck()
    eq((a, b, c), codes, "%s: exit codes" % what)
    if codes[1] == 1:
        ok(told.get("list") and all(x["repaired"] for x in told["list"]),
           "%s: told" % what)
    if codes[2] == 4:
        ok(left.get("list") and not any(x["repaired"] for x in left["list"]),
           "%s: still named" % what)
    now = tree()
    if now is None:
        return ok(False, "%s: it mounts" % what)
    for n in gone:
        want.pop(n, None)
    now = {n: v for n, v in now.items() if n not in free and n not in gone}
    want = {n: v for n, v in want.items() if n not in free}
    if not eq(now, want, "%s: all else is as it was" % what):
        for n in sorted(set(now) | set(want)):
            if now.get(n) != want.get(n):
                print("#   %s: %r, want %r" % (n, now.get(n), want.get(n)))
    eq(fsck()[0], codes[2], "%s: also after a mount" % what)

LF = "docs/lost+found"
lf = {LF: None}

# Counts, bitmap, notes.
case("link count of a file", ["UPDATE inode SET nlink=7 WHERE ino=" +
     I("docs/four")])
case("link counts of all", ["UPDATE inode SET nlink=9"])
case("the bitmap says free", ["UPDATE alloc SET bits=zeroblob(4096)"])
case("the bitmap says used", ["UPDATE alloc SET bits=CAST(substr(bits,1,4000)"
     " || randomblob(96) AS BLOB)"])
case("a row of the bitmap is short", ["UPDATE alloc SET bits=x'ff'"])
case("the bitmap is gone", ["DELETE FROM alloc"])
case("an impossible row", ["INSERT INTO alloc VALUES(99999999, x'')"])
case("reference counts", ["UPDATE segment SET refs=refs+3"])
case("references at zero", ["UPDATE segment SET refs=0"])
case("users of keys", ["UPDATE keyref SET uses=0"])
case("numbers of keys", ["UPDATE inode SET keyref=keyref+5 WHERE obj NOTNULL"
     " AND keyref<>0"])
case("keys gone", ["DELETE FROM keyref"])
case("counters", ["UPDATE super SET next_ino=3, next_seg=1"])
case("number of xattrs", ["UPDATE inode SET xattrs=4"])
case("a size", ["UPDATE inode SET size=5 WHERE ino=" + I("docs/sub/big")])
case("a link's size", ["UPDATE inode SET size=5 WHERE ino=" + I("docs/link")])
case("an orphan that has a name", ["INSERT INTO orphan VALUES(%s)" %
     I("docs/four")])
case("a live segment to be freed", ["INSERT INTO dead SELECT DISTINCT seg, 0"
     " FROM node"])
case("parents and buckets", ["UPDATE inode SET parent=1, bucket=77 WHERE"
     " ino>1"])
case("xattrs of nobody", ["INSERT INTO xattr VALUES(999, x'61', x'62')",
     "INSERT INTO dflt VALUES(999, 'None')",
     "INSERT INTO symlink VALUES(999, x'61')",
     "INSERT INTO orphan VALUES(999)"])

# Names.
put_in = lambda *names: dict(moved(names,
    [LF + "/#" + I(n) for n in names]))
case("a file's name is lost", ["DELETE FROM dentry WHERE ino=" +
     I("docs/four")], put_in("docs/four"), free=[LF])
case("a directory's name is lost", ["DELETE FROM dentry WHERE ino=" +
     I("docs/sub")], put_in("docs/sub"), free=[LF])
case("many names are lost", ["DELETE FROM dentry WHERE ino IN (%s, %s, %s)" %
     (I("docs/inline"), I("docs/sub/deep"), I("docs/link"))],
     put_in("docs/inline", "docs/sub/deep", "docs/link"), free=[LF])
case("a name lost, and noted for removal", ["DELETE FROM dentry WHERE ino=" +
     I("docs/four"), "INSERT INTO orphan VALUES(%s)" % I("docs/four")],
     put_in("docs/four"), free=[LF])
case("a bucket's name is lost", ["DELETE FROM dentry WHERE ino=" + I("docs")],
     moved(["docs"], ["lost-" + I("docs")]))
case("a name and the bucket's number are lost",
     ["UPDATE inode SET bucket=77 WHERE ino=" + I("docs/four"),
      "DELETE FROM dentry WHERE ino=" + I("docs/four")],
     moved(["docs/four"], ["lost-found/lost+found/#" + I("docs/four")]),
     free=["lost-found", "lost-found/lost+found"])
case("lost+found is taken", ["DELETE FROM dentry WHERE ino=" + I("docs/four"),
     "UPDATE dentry SET name=CAST('lost+found' AS BLOB) WHERE ino=" +
     I("docs/inline")],
     moved(["docs/four", "docs/inline"],
           ["docs/lost+found.1/#" + I("docs/four"), "docs/lost+found"]),
     free=["docs/lost+found.1"])
case("a name of another kind", ["UPDATE dentry SET name=CAST('four/' AS BLOB)"
     " WHERE ino=" + I("docs/four"), "UPDATE dentry SET name=CAST('sub' AS"
     " BLOB) WHERE ino=" + I("docs/sub")])
case("a name that is text", ["UPDATE dentry SET name=CAST(name AS TEXT)"])
case("a name that is none", ["UPDATE dentry SET name=CAST('../x' AS BLOB)"
     " WHERE ino=" + I("docs/four")], put_in("docs/four"), free=[LF])
case("a name in a file", ["UPDATE dentry SET parent=%s WHERE ino=%s" %
     (I("docs/inline"), I("docs/four"))], put_in("docs/four"), free=[LF])
case("a second name of a directory", ["INSERT INTO dentry VALUES(%s,"
     " CAST('again/' AS BLOB), %s)" % (I("docs"), I("docs/sub/deep"))])
case("directories within each other", ["UPDATE dentry SET parent=%s WHERE"
     " ino=%s" % (I("docs/sub/deep"), I("docs/sub"))],
     put_in("docs/sub"), free=[LF])

# Directories whose rows are lost: mode and owner are gone, names are not.
for n in "docs/sub", "docs", "docs/sub/deep":
    damage("DELETE FROM inode WHERE ino=" + I(n))
    eq((fsck()[0], fsck("--repair")[0], fsck()[0]), (4, 1, 0),
       "row of %s: exit codes" % n)
    now = tree()
    eq(now, good, "row of %s: all is there" % n)
damage("DELETE FROM inode WHERE ino=" + I("docs/sub"))
fsck("--repair")
run(SSEFS, "mount", "/", M)
eq(oct(os.stat(p("docs/sub")).st_mode), "0o40700", "its mode is the strictest")
eq(os.getxattr(p("docs/sub"), "user.sse.default"), b"AES256",
   "its default is kept")
run(SSEFS, "umount", M)
case("row of the directory of buckets", ["DELETE FROM inode WHERE ino=1"])
case("row and name of a directory", ["DELETE FROM inode WHERE ino=" +
     I("docs/sub"), "DELETE FROM dentry WHERE ino=" + I("docs/sub")],
     put_in("docs/sub"), free=[LF])

# What cannot be rebuilt is named and left; the rest is mended beside it.
case("a file's row is lost", ["DELETE FROM inode WHERE ino=" +
     I("docs/sub/deep/file"), "UPDATE inode SET nlink=9 WHERE ino=" +
     I("docs/four")], codes=(4, 4, 4), gone=["docs/sub/deep/file"])
case("a record is damaged", ["UPDATE inode SET obj=x'00' WHERE ino=" +
     I("docs/four")], codes=(4, 4, 4), gone=["docs/four"])
case("a map node is lost", ["DELETE FROM node WHERE level=0 AND seg=(SELECT"
     " max(seg) FROM node WHERE level=0 AND seg NOT IN (SELECT seg FROM"
     " segment))"], codes=(4, 4, 4), free=["docs/sub/aes", "more/plain",
     "docs/sub/deep/file"])
case("a link's target is lost", ["DELETE FROM symlink"], codes=(4, 4, 4),
     gone=["docs/link"])
case("times are lost", ["UPDATE inode SET times=x'00' WHERE ino=" +
     I("docs/four")], codes=(4, 4, 4), gone=["docs/four"])

# A row put back from elsewhere fits again: nothing was freed meanwhile.
damage("DELETE FROM inode WHERE ino=" + I("docs/sub/big"))
fsck("--repair")
db = sqlite3.connect(S + "/meta.db")
db.execute("ATTACH ? AS old", (T + "/good/meta.db",))
db.execute("INSERT INTO main.inode SELECT * FROM old.inode WHERE ino=" +
           I("docs/sub/big"))
db.commit()
db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
db.close()
fsck("--repair")
eq(fsck()[0], 0, "a row put back: clean")
eq(tree(), good, "a row put back: all is there")

# Pages of the database itself: nothing is changed.
damage()
at = os.path.getsize(S + "/meta.db") // 8192 // 2 * 8192
with open(S + "/meta.db", "r+b") as f:
    f.seek(at)
    f.write(b"\xff" * 8192)
was = hashlib.sha256(get(S + "/meta.db")).digest()
r = run(SSEFS, "fsck", "--repair")
ok(r.returncode in (4, 8), "a page of the database: %d" % r.returncode)
eq(hashlib.sha256(get(S + "/meta.db")).digest(), was,
   "a damaged database is not written to")
shutil.rmtree(S)
shutil.copytree(T + "/good", S)
PY
done_testing
