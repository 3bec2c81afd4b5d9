"""Attacks on the other rows: names, attributes, counters, lists; rows that no
store writes; and the database as a file."""
import errno
import os
import random
import shutil
import signal
import time

from lib import M, S, T, name, pattern, put
from attack.fmt import BLOCK
from attack.scene import (DAMAGE, Scene, alive, call, copy_store, daemon,
                          must)

BIG = 300 * BLOCK


def prepare(scene, state):
    scene.put("docs/sub/deep/file", pattern(5000, state))
    scene.put("docs/twin/other", pattern(700, state + " other"))
    scene.put("plain/none", pattern(5000, state + " none"))
    scene.put("docs/big", pattern(BIG, state + " big"))
    if state == "old":
        os.symlink("to/there", os.path.join(M, "docs/link"))
        os.mkfifo(os.path.join(M, "docs/fifo"))
        os.setxattr(os.path.join(M, "docs/big"), "user.note", b"value")
        os.link(os.path.join(M, "docs/big"), os.path.join(M, "docs/hard"))
        os.mkdir(os.path.join(M, "docs/empty"))
    scene.files["docs/hard"] = scene.files["docs/big"]


def p(path):
    return os.path.join(M, path)


def gives(a, wants, fn, *args):
    """fn fails with one of these errors (0: it succeeds)."""
    try:
        fn(*args)
        got = 0
    except OSError as e:
        got = e.errno
    a.expect(got in wants, "%s%r: %s, not one of %s" % (
        fn.__name__, args, got and name(got), [w and name(w) for w in wants]))
    if got in DAMAGE and args:
        path = os.path.relpath(args[0], M)
        a.expect(a.named(path), "%s of %s: %s, scrub --keys does not name it "
                 "but %r" % (fn.__name__, path, name(got), a.scrubbed))
    elif got in DAMAGE:
        a.expect(a.scrubbed, "%s: scrub --keys finds nothing" % name(got))


def damage(fn, *args):
    return lambda a: gives(a, DAMAGE, fn, *args)


def works(fn, *args):
    return lambda a: gives(a, (0,), fn, *args)


def lists(path, *names):
    """The directory shows these names (and others)."""
    def check(a):
        got = os.listdir(p(path))
        for n in names:
            a.expect(n in got, "%s is not listed among %r" % (n, got))
        a.expect(len(got) == len(set(got)), "names twice: %r" % got)
    return check


def hides(path, *names):
    def check(a):
        got = os.listdir(p(path))
        for n in names:
            a.expect(n not in got, "%s is listed" % n)
    return check


# Files with blocks in an arena.
BLOCKS = ("docs/big", "docs/hard", "docs/sub/deep/file", "docs/emb-00",
          "plain/none")
NEW_WORKS = works(lambda: put(p("docs/made"), b"x" * 9000))

# Said to be damaged, and whole.
BIG_SAME = {"docs/big": "same", "docs/hard": "same"}

# What is done; the SQL; what the files show then (None: the store may be shut;
# "keys": nothing under a key can be read); checks on the mount; must
# scrub or fsck tell of it, or scrub --keys alone ("scrub")?
ROWS = [
    ("a name leads nowhere",
     "UPDATE dentry SET ino=999 WHERE name=CAST('inl-00' AS BLOB)",
     {"docs/inl-00": "error"}, [damage(os.stat, p("docs/inl-00")),
                                damage(os.unlink, p("docs/inl-00")),
                                lists("docs", "big")], True),
    ("a name leads to inode 0, 1, a negative one",
     "UPDATE dentry SET ino=CASE name WHEN CAST('inl-00' AS BLOB) THEN 0"
     " WHEN CAST('inl-01' AS BLOB) THEN 1 ELSE -5 END"
     " WHERE CAST(name AS TEXT) LIKE 'inl-0_'",
     {"docs/inl-0%d" % i: "error" for i in range(4)},
     [lists("docs", "big")], True),
    ("a file's name leads to a directory",
     "UPDATE dentry SET ino=(SELECT parent FROM dentry WHERE name="
     "CAST('other' AS BLOB)) WHERE name=CAST('inl-00' AS BLOB)",
     {"docs/inl-00": "error"}, [damage(os.unlink, p("docs/inl-00")),
                                damage(os.rename, p("docs/inl-00"),
                                       p("docs/moved")),
                                lists("docs/twin", "other")], True),
    ("a directory's name leads to a file",
     "UPDATE dentry SET ino=(SELECT ino FROM dentry WHERE name="
     "CAST('inl-00' AS BLOB)) WHERE name=CAST('empty/' AS BLOB)",
     {}, [damage(os.rmdir, p("docs/empty")),
          damage(os.listdir, p("docs/empty"))], "scrub"),
    ("a directory below itself",
     "INSERT INTO dentry SELECT (SELECT parent FROM dentry WHERE name="
     "CAST('file' AS BLOB)), CAST('loop/' AS BLOB), (SELECT ino FROM dentry"
     " WHERE name=CAST('sub/' AS BLOB))",
     {}, [damage(os.listdir, p("docs/sub/deep/loop")),
          works(os.listdir, p("docs/sub/deep"))], "scrub"),
    ("two directories exchanged by their names",
     "UPDATE dentry SET parent=CASE name WHEN CAST('deep/' AS BLOB) THEN"
     " (SELECT ino FROM dentry WHERE name=CAST('twin/' AS BLOB)) ELSE parent"
     " END", {"docs/sub/deep/file": (name(errno.ENOENT),)},
     [damage(os.listdir, p("docs/twin/deep"))], "scrub"),
    ("parents form a circle, the counter of inodes is high",
     "UPDATE inode SET parent=(SELECT ino FROM dentry WHERE name="
     "CAST('deep/' AS BLOB)) WHERE ino=(SELECT ino FROM dentry WHERE name="
     "CAST('sub/' AS BLOB)); UPDATE super SET next_ino=1 << 47",
     {"docs/sub/deep/file": ("error", "same")},
     [lists("docs", "big")], "scrub"),
    ("names with a slash, a NUL, dots, nothing, 300 bytes",
     "INSERT INTO dentry SELECT parent, n.column1, ino FROM dentry,"
     " (VALUES (x'612f62'), (x'610062'), (x'2e'), (x'2e2e'), (x'2f'), (x''),"
     " (x'2e2e2f'), (zeroblob(300)), (7), ('text')) n WHERE name="
     "CAST('inl-00' AS BLOB)",
     {}, [lists("docs", "big", "inl-00"), NEW_WORKS], "scrub"),
    ("link counts of 0", "UPDATE inode SET nlink=0 WHERE ino=(SELECT ino FROM"
     " dentry WHERE name=CAST('big' AS BLOB))",
     BIG_SAME, [damage(os.unlink, p("docs/hard"))], True),
    ("a directory's link count of 0", "UPDATE inode SET nlink=0 WHERE ino="
     "(SELECT ino FROM dentry WHERE name=CAST('sub/' AS BLOB))",
     {}, [lambda a: gives(a, (0, errno.ENOENT) + DAMAGE, os.mkdir,
                          p("docs/sub/new")),
          works(lambda: os.rename(p("docs/sub/deep"), p("docs/deep2"))),
          works(lambda: os.rename(p("docs/deep2"), p("docs/deep3")))], "scrub"),
    ("modes, owners, times (THREATS.md)",
     "UPDATE inode SET mode=mode & 61440 | 2541, uid=77, gid=78, "
     "times=zeroblob(48) WHERE ino > 2 AND mode & 61440 = 32768",
     {}, [lambda a: a.expect(os.stat(p("docs/big")).st_uid == 77, "uid")],
     False),
    ("impossible times", "UPDATE inode SET times=CAST(replace(times, "
     "substr(times, 9, 4), x'ffffffff') AS BLOB) WHERE ino=(SELECT ino FROM"
     " dentry WHERE name=CAST('inl-00' AS BLOB))",
     {"docs/inl-00": ("error", "same")}, [lists("docs", "big")], "scrub"),
    ("times of another length", "UPDATE inode SET times=x'00' WHERE ino="
     "(SELECT ino FROM dentry WHERE name=CAST('inl-00' AS BLOB))",
     {"docs/inl-00": "error"}, [damage(os.stat, p("docs/inl-00")),
                                lists("docs", "big")], True),
    ("modes of no kind", "UPDATE inode SET mode=511 WHERE ino=(SELECT ino FROM"
     " dentry WHERE name=CAST('inl-00' AS BLOB))",
     {"docs/inl-00": "error"}, [lists("docs", "big")], True),
    ("modes over 32 bits", "UPDATE inode SET mode=mode | 1 << 40 WHERE ino="
     "(SELECT ino FROM dentry WHERE name=CAST('inl-00' AS BLOB))",
     {"docs/inl-00": "error"}, [lists("docs", "big")], True),
    ("a file called a directory", "UPDATE inode SET mode=16877 WHERE ino="
     "(SELECT ino FROM dentry WHERE name=CAST('inl-00' AS BLOB))",
     {"docs/inl-00": "error"}, [lists("docs", "big")], True),
    ("a directory called a file", "UPDATE inode SET mode=33188 WHERE ino="
     "(SELECT ino FROM dentry WHERE name=CAST('sub/' AS BLOB))",
     {"docs/sub/deep/file": "error"}, [lists("docs", "big")], True),
    ("a file called a symbolic link", "UPDATE inode SET mode=41471 WHERE ino="
     "(SELECT ino FROM dentry WHERE name=CAST('inl-00' AS BLOB))",
     {"docs/inl-00": "error"}, [damage(os.readlink, p("docs/inl-00"))], True),
    ("counts of blocks that cannot be", "UPDATE inode SET blocks=-7 WHERE ino="
     "(SELECT ino FROM dentry WHERE name=CAST('inl-00' AS BLOB))",
     {"docs/inl-00": "error"}, [], "scrub"),
    ("a directory of buckets that is a file",
     "UPDATE inode SET mode=33188 WHERE ino=1", None, [], True),
    ("no directory of buckets", "DELETE FROM inode WHERE ino=1", None, [],
     True),
    ("all inodes removed", "DELETE FROM inode", None, [], True),
    ("the counter of inodes set back", "UPDATE super SET next_ino=4",
     {}, [NEW_WORKS, works(lambda: put(p("docs/made2"), b"y" * 300))], True),
    ("the counter of segments set back", "UPDATE super SET next_seg=1",
     {}, [NEW_WORKS], True),
    ("counters beyond all bounds",
     "UPDATE super SET next_ino=(1 << 62) * 2 - 1",
     None, [], True),
    ("an epoch beyond all bounds", "UPDATE super SET epoch=(1 << 62) * 2 - 1",
     None, [], True),
    ("a newer format", "UPDATE super SET format=2", None, [], False),
    ("another store's uuid", "UPDATE super SET uuid=x'%s'" % ("ab" * 16),
     "keys", [], True),
    ("super removed", "DELETE FROM super", None, [], True),
    ("bitmap: all free (THREATS.md: a mount destroys, and it shows)",
     "UPDATE alloc SET bits=zeroblob(4096)",
     dict.fromkeys(BLOCKS, ("error", "same")), [], True),
    ("bitmap: all used", "UPDATE alloc SET bits=CAST(replace(hex(zeroblob("
     "2048)), '0', x'ff') AS BLOB)", {}, [NEW_WORKS], True),
    ("bitmap: no row", "DELETE FROM alloc",
     dict.fromkeys(BLOCKS, "error"), [], True),
    ("bitmap: a row with a high number",
     "INSERT INTO alloc VALUES(500000, zeroblob(4096))", {}, [NEW_WORKS],
     False),
    ("bitmap: a row with an impossible number",
     "INSERT INTO alloc VALUES(1 << 40, zeroblob(4096))", None, [], True),
    ("bitmap: a short row", "UPDATE alloc SET bits=x'ff'", None, [], True),
    ("files and directories noted as orphans",
     "INSERT INTO orphan SELECT ino FROM inode", {}, [], True),
    ("inodes that are not there noted as orphans",
     "INSERT INTO orphan VALUES(0), (-1), (7777), (1 << 62)", {}, [], True),
    ("a live segment noted as dead (THREATS.md: lost, and it shows)",
     "INSERT INTO dead SELECT seg, 0 FROM node GROUP BY seg",
     dict.fromkeys(("docs/big", "docs/hard"), ("error", "same")), [], True),
    ("ranges of no segment noted as dead",
     "INSERT INTO dead VALUES(-1, -1), (0, 0), (1 << 62, 1 << 62), (9999, 3)",
     {}, [NEW_WORKS], False),
    ("the end of a live segment noted as dead",
     "INSERT INTO dead SELECT seg, -1 FROM node GROUP BY seg",
     dict.fromkeys(("docs/big", "docs/hard"), ("error", "same")), [], True),
    ("a key's number changed", "UPDATE inode SET keyref=keyref + 1"
     " WHERE ino=(SELECT ino FROM dentry WHERE name=CAST('big' AS BLOB))",
     {"docs/big": "error", "docs/hard": "error"}, [], True),
    ("a key's number taken away", "UPDATE inode SET keyref=0"
     " WHERE ino=(SELECT ino FROM dentry WHERE name=CAST('big' AS BLOB))",
     {"docs/big": "error", "docs/hard": "error"}, [], True),
    ("a key's ARN changed", "UPDATE keyref SET arn=arn || 'x'", "keys",
     [], True),
    ("a key's ARN that is none", "UPDATE keyref SET arn=zeroblob(9000)",
     "keys", [], True),
    ("counts of uses changed", "UPDATE keyref SET uses=-5", {}, [NEW_WORKS],
     True),
    ("an attribute's value changed (THREATS.md)",
     "UPDATE xattr SET value=CAST('other' AS BLOB)",
     {}, [lambda a: a.expect(os.getxattr(p("docs/big"), "user.note") ==
                             b"other", "value")], False),
    ("attributes of impossible names",
     "INSERT INTO xattr SELECT ino, n.column1, x'00' FROM xattr,"
     " (VALUES (x'757365722e00'), (zeroblob(999)), (x'')) n",
     BIG_SAME, [damage(os.listxattr, p("docs/big"))], "scrub"),
    ("an attribute of 3 MiB", "UPDATE xattr SET value=zeroblob(3 << 20)",
     BIG_SAME, [lambda a: gives(a, (errno.E2BIG, errno.ERANGE, 0) + DAMAGE,
                          os.getxattr, p("docs/big"), "user.note")], "scrub"),
    ("an attribute called user.sse.status",
     "INSERT INTO xattr SELECT ino, CAST('user.sse.status' AS BLOB),"
     " CAST('No' AS BLOB) FROM xattr",
     BIG_SAME, [lambda a: a.expect(os.getxattr(p("docs/big"), "user.sse.status") ==
                             b"Yes", "the stored status shows")], True),
    ("a count of attributes of 0", "UPDATE inode SET xattrs=0", BIG_SAME, [], "scrub"),
    ("a default changed to None (THREATS.md)",
     "UPDATE dflt SET text='None'", {},
     [NEW_WORKS, lambda a: a.expect(os.getxattr(
         p("docs/made"), "user.sse.status") == b"No", "status")], False),
    ("a default that is none", "UPDATE dflt SET text='AES-512'", {},
     [damage(lambda: put(p("docs/made"), b"x")),
      damage(os.getxattr, p("docs"), "user.sse.default")], "scrub"),
    ("a default of a megabyte", "UPDATE dflt SET text=hex(zeroblob(1 << 19))",
     {}, [damage(lambda: put(p("docs/made"), b"x"))], "scrub"),
    ("a target changed (THREATS.md)",
     "UPDATE symlink SET target=CAST('to/hell_' AS BLOB)", {},
     [lambda a: a.expect(os.readlink(p("docs/link")) == "to/hell_", "target")],
     False),
    ("a target with a NUL", "UPDATE symlink SET target=x'6100620063006400'",
     {}, [damage(os.readlink, p("docs/link"))], "scrub"),
    ("a target removed", "DELETE FROM symlink", {},
     [damage(os.readlink, p("docs/link"))], "scrub"),
    ("a bucket with an impossible name",
     "UPDATE dentry SET name=CAST('A B/' AS BLOB) WHERE name="
     "CAST('plain/' AS BLOB)",
     {"plain/none": (name(errno.ENOENT),)}, [lists("", "docs")], False),
    ("views and triggers",
     "CREATE TRIGGER t AFTER UPDATE ON inode BEGIN DELETE FROM dentry; END;"
     "ALTER TABLE symlink RENAME TO s2; CREATE VIEW symlink AS SELECT * FROM"
     " s2", None, [], True),
    ("a trigger that removes all",
     "CREATE TRIGGER t AFTER INSERT ON dentry BEGIN DELETE FROM inode; END",
     {}, [NEW_WORKS], False),
    ("columns that are computed",
     "ALTER TABLE dflt RENAME TO d2; CREATE TABLE dflt(ino INTEGER PRIMARY KEY,"
     " text TEXT GENERATED ALWAYS AS ('None') VIRTUAL)",
     None, [], False),
    ("a table removed", "DROP TABLE orphan", None, [], True),
    ("a column removed", "ALTER TABLE inode DROP COLUMN xattrs", None, [],
     True),
]


# Lists of what is in use, and of what is to be freed: by them the mount itself
# destroys what is whole.
LATER = ("bitmap: all free", "a live segment noted as dead",
         "the end of a live segment noted as dead")


def rows(scene):
    for what, sql, wants, checks, told in ROWS:
        with scene.attempt(what) as a:
            s = a.store()
            s.db.executescript(sql)
            a.told, a.more, a.damaged = told, checks, True
            a.later = what.startswith(LATER)
            if wants is None:
                a.mounts, a.fatal = "maybe", True
                for path in scene.new:
                    a.hit(path, ("same", "error", "ENOENT", "ENOTDIR"))
            elif wants == "keys":
                for path in scene.new:
                    if not path.startswith("plain"):
                        a.hit(path, "error")
            else:
                a.damaged = True
                for path, want in wants.items():
                    a.hit(path, want)


def repair(scene):
    with scene.attempt("bitmap: all free, then scrub, then fsck --repair") as a:
        s = a.store()
        s.run("UPDATE alloc SET bits=zeroblob(4096)")
        s.close()
        a.stores = []
        # Which gives nothing back to the disk.
        rc, out = call("scrub")
        a.expect(rc == 0, "scrub: exit %s: %s" % (rc, out))
        rc, out = call("fsck", "--repair")
        a.expect(rc == 1, "fsck --repair: exit %s: %s" % (rc, out))
        a.more.append(NEW_WORKS)


# ---- The database as a file

def pages(scene):
    rng = random.Random(20)
    size = os.path.getsize(scene.base + "/meta.db")
    contents = set(scene.new.values())

    for n in range(24):
        at = [rng.randrange(size) for _ in range(1 + n % 3)]
        with scene.attempt("meta.db: bytes %s changed" %
                           ", ".join(map(str, at))) as a:
            with open(S + "/meta.db", "r+b") as f:
                for i in at:
                    f.seek(i)
                    b = f.read(1)[0]
                    f.seek(i)
                    f.write(bytes([b ^ 1 << rng.randrange(8)]))
            anything(a, scene, contents)
    for what, fn in (
            ("empty", lambda f: f.truncate(0)),
            ("cut in the middle of a page", lambda f: f.truncate(size - 5000)),
            ("half as long", lambda f: f.truncate(size // 2 // 8192 * 8192)),
            ("noise", lambda f: f.write(pattern(size, "noise"))),
            ("noise after its first page",
             lambda f: (f.seek(8192), f.write(pattern(size - 8192, "n")))),
            ("longer", lambda f: (f.seek(size), f.write(bytes(99999))))):
        with scene.attempt("meta.db: " + what) as a:
            with open(S + "/meta.db", "r+b") as f:
                fn(f)
            anything(a, scene, contents)


def anything(a, scene, contents):
    """A name may be lost or lead to another file; no content is ever wrong."""
    a.fatal = a.damaged = True
    a.mounts = "maybe"
    lost = ("error", "ENOENT", "ENOTDIR", "EISDIR", "EACCES", "ELOOP",
            "EOPNOTSUPP")
    for path in scene.new:
        a.hit(path, tuple(contents) + ("same",) + lost)


def unclean(scene):
    """The store as a kill -9 leaves it: its last changes stand in the WAL."""
    copy_store(scene.base, S)
    must("mount", "/", M)
    scene.first, scene.old, scene.new = scene.old, scene.new, {}
    for path, data in scene.old.items():
        scene.files = scene.new
        scene.put(path, pattern(len(data), "third " + path))
        fd = os.open(p(path), os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
    pid = daemon()
    os.kill(pid, signal.SIGKILL)
    while alive(pid):
        time.sleep(0.01)
    call("umount", M)
    scene.base = T + "/unclean"
    copy_store(S, scene.base)


def wals(scene):
    unclean(scene)
    wal = S + "/meta.db-wal"

    def changed(at):
        def change():
            with open(wal, "r+b") as f:
                f.seek(at)
                b = f.read(1)[0]
                f.seek(at)
                f.write(bytes([b ^ 1]))
        return change

    with scene.attempt("the WAL of a killed mount left as it is"):
        pass
    for what, change in (
            ("removed", lambda: os.unlink(wal)),
            ("emptied", lambda: os.truncate(wal, 0)),
            ("cut within its first frame", lambda: os.truncate(wal, 5000)),
            ("cut within a later frame", lambda: os.truncate(wal, 60000)),
            ("changed in its head", changed(17)),
            ("changed in its first frame", changed(32 + 24 + 100)),
            ("changed in a later frame", changed(32 + 5 * 8216 + 999)),
            ("changed in a frame's checksum", changed(32 + 3 * 8216 + 17)),
            ("an older one", lambda: shutil.copy2(
                scene.before + "/meta.db-wal", wal))):
        with scene.attempt("the WAL of a killed mount: " + what) as a:
            change()
            a.damaged = a.fatal = True
            a.mounts = "maybe"
            for path in scene.new:
                a.hit(path, ("same", "old", "error", scene.first[path]))


def files(scene):
    """What stands in the place of a file of the store: nothing hangs on it."""
    for f in ("meta.db", "meta.db-wal", "arena-0", "keys.db", "keys.db-wal",
              "keys.db-audit.log", "keys.db-epoch", "lock", "control",
              "mount.log"):
        for what, make in (("a fifo", os.mkfifo), ("a directory", os.mkdir),
                           ("a link to /dev/zero",
                            lambda x: os.symlink("/dev/zero", x)),
                           ("an empty file", lambda x: open(x, "w").close())):
            with scene.attempt("%s is %s" % (f, what)) as a:
                path = os.path.join(S, f)
                if os.path.lexists(path):
                    os.unlink(path)
                make(path)
                a.fatal = a.damaged = True
                a.mounts = "maybe"
                # Of the others the keystore makes nothing.
                a.audit = f.endswith(".log") and f != "mount.log" and \
                    what == "an empty file"
                for q in scene.new:
                    a.hit(q, ("same", "error", "EIO", "EROFS"))


def main():
    scene = Scene({"inl": 4, "emb": 1}, {"docs": "KMS", "plain": "None"},
                  prepare)
    rows(scene)
    repair(scene)


def main_files():
    scene = Scene({"inl": 3, "emb": 2, "row": 2}, {"docs": "KMS"})
    pages(scene)
    files(scene)
    wals(scene)
