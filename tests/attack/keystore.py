"""Attacks on the keystore and its audit log, on whole stores put back, and
between stores.  What is not detected stands in docs/THREATS.md."""
import hashlib
import hmac
import json
import os
import shutil
import sqlite3
import struct
import subprocess

from lib import M, S, SSEFS, T, name, ok, pattern, put
from attack.fmt import BLOCK, flip
from attack.keys import expand, keystore as store_keys
from attack.scene import Scene, call, copy_store, must

BIG = 90 * BLOCK


def key_id(text):
    return text.strip().split("/")[-1].split()[-1]


def prepare(scene, state):
    if state == "old":
        call("umount", M)
        scene.first = key_id(must("key", "create", "--alias", "alias/first"))
        scene.second = key_id(must("key", "create", "--alias", "alias/second"))
        for b, k in (("one", scene.first), ("two", scene.second)):
            must("bucket", "create", b, "--sse", "KMS:" + k)
        must("mount", "/", M)
    scene.put("one/a", pattern(BIG, state + " one"))
    scene.put("one/small", pattern(99, state + " one"))
    scene.put("two/a", pattern(BIG, state + " two"))
    scene.put("aes/a", pattern(BIG, state + " aes"))
    scene.put("plain/a", pattern(BIG, state + " plain"))
    if state == "new":
        call("umount", M)
        scene.third = key_id(must("key", "create"))
        must("key", "disable", scene.second)
        must("bucket", "create", "three", "--sse", "KMS:" + scene.third)
        must("mount", "/", M)
        scene.put("three/a", pattern(900, "three"))


UNDER = {"one": ("one/a", "one/small"), "two": ("two/a",), "aes": ("aes/a",),
         "three": ("three/a",)}


def keys(path=S):
    db = sqlite3.connect(path + "/keys.db")
    db.isolation_level = None
    return db


def edit(*sql):
    db = keys()
    for text in sql:
        db.execute(*text) if isinstance(text, tuple) else db.execute(text)
    db.close()


class Keyed:
    """An attempt in which the second key is disabled, unless said otherwise."""

    def __init__(self, scene, what, **wants):
        self.a, self.wants, self.scene = scene.attempt(what), wants, scene

    def __enter__(self):
        a = self.a.__enter__()
        a.damaged = True
        for bucket, paths in UNDER.items():
            want = self.wants.get(bucket, "EKEYREVOKED" if bucket == "two"
                                  else "same")
            for p in paths:
                a.hit(p, want)
        return a

    def __exit__(self, *how):
        self.a.__exit__(*how)


def material(scene):
    for col, sql in (
            ("sealed", "UPDATE versions SET sealed=?"),
            ("created", "UPDATE versions SET created=created + 1")):
        with Keyed(scene, "material of all keys changed: " + col, one="error",
                   three="error", aes="error"):
            db = keys()
            if "?" in sql:
                for key, v, sealed in db.execute(
                        "SELECT key, version, sealed FROM versions").fetchall():
                    db.execute("UPDATE versions SET sealed=? WHERE key=? AND"
                               " version=?", (flip(sealed, 20), key, v))
            else:
                db.execute(sql)
            db.close()
    with Keyed(scene, "material of two keys exchanged", one="error",
               three="error"):
        db = keys()
        x, y = (bytes.fromhex(k.replace("-", ""))
                for k in (scene.first, scene.third))
        sx, sy = (db.execute("SELECT sealed FROM versions WHERE key=?",
                             (k,)).fetchone()[0] for k in (x, y))
        db.execute("UPDATE versions SET sealed=? WHERE key=?", (sy, x))
        db.execute("UPDATE versions SET sealed=? WHERE key=?", (sx, y))
        db.close()
    for what, sql, wants in (
            ("kinds of keys changed", "UPDATE keys SET kind=0",
             dict(aes=("error", "EACCES"))),
            ("a key given to another tenant",
             "UPDATE keys SET tenant='other' WHERE kind=0",
             dict(one=("EACCES", "error"), three=("EACCES", "error"),
                  two=("EACCES", "error", "EKEYREVOKED"))),
            ("a key removed", "DELETE FROM keys WHERE uuid=x'%s'",
             None),
            ("all keys removed", "DELETE FROM keys; ", None),
            ("states set to enabled (THREATS.md)", "UPDATE keys SET state=0",
             dict(two="same")),
            ("an impossible state", "UPDATE keys SET state=9", None),
            ("an alias pointed elsewhere (THREATS.md)",
             "UPDATE aliases SET key=(SELECT uuid FROM keys WHERE kind=2)",
             {}),
            ("descriptions changed", "UPDATE keys SET description='x'", {}),
            ("the keystore's uuid changed",
             "UPDATE meta SET v=zeroblob(16) WHERE k='uuid'", None),
            ("the keystore's format raised",
             "UPDATE meta SET v=2 WHERE k='format'", None),
            ("the keystore's epoch changed",
             "UPDATE meta SET v=-1 WHERE k='epoch'", None),
            ("a slot changed", "UPDATE slots SET salt=zeroblob(32)", None),
            ("a slot's number changed", "UPDATE slots SET n=5", None),
            ("a slot of Argon2id that takes for ever", "UPDATE slots SET kind=2"
             ", t=16, m_kib=1 << 40, p=16", None),
            ("slots removed", "DELETE FROM slots", None)):
        if wants is not None:
            with Keyed(scene, what, **wants):
                edit(sql)
            continue
        with scene.attempt(what) as a:
            first = scene.first.replace("-", "")
            edit(*(x for x in (sql % first if "%s" in sql else sql).split("; ")
                   if x))
            a.mounts = False


def triggers(scene):
    with Keyed(scene, "a trigger that enables keys again",
               one="EKEYREVOKED") as a:
        edit("CREATE TRIGGER t AFTER UPDATE ON keys BEGIN UPDATE keys SET"
             " state=0; END",
             "CREATE TRIGGER u AFTER UPDATE ON meta BEGIN UPDATE keys SET"
             " state=0; END")
        rc, out = call("key", "disable", scene.first)
        a.expect(rc == 0, out)
    with scene.attempt("a view in place of the keys") as a:
        edit("ALTER TABLE keys RENAME TO k2",
             "CREATE VIEW keys AS SELECT * FROM k2")
        a.mounts = False


def fresh(a):
    """New files under what is left."""
    try:
        put(os.path.join(M, "one/new"), b"new")
        a.expect(open(os.path.join(M, "one/new"), "rb").read() == b"new", "new")
    except OSError as e:
        a.notes.append("one/new: %s" % name(e.errno))


# ---- Whole things put back

def back(scene):
    with scene.attempt("the whole store put back (THREATS.md)") as a:
        copy_store(scene.before, S)
        for p in scene.new:
            a.hit(p, "ENOENT" if p == "three/a" else "old")
        a.more.append(fresh)
    for what, names, more in (
            ("with its WAL", ("meta.db", "meta.db-wal"), ()),
            ("beside a newer WAL", ("meta.db",), ("same",))):
        with scene.attempt("meta.db put back %s (THREATS.md)" % what) as a:
            for f in names:
                shutil.copy2(os.path.join(scene.before, f), S)
            a.damaged, a.mounts, a.fatal = True, "maybe", bool(more)
            for p in scene.new:
                a.hit(p, ({"three/a": "ENOENT", "two/a": "EKEYREVOKED"}.get(
                    p, "old"), "error") + more)
    with Keyed(scene, "keys.db put back (THREATS.md): disabling undone, newer"
               " keys lost", two="same", three="error"):
        for f in os.listdir(scene.before):
            if f.startswith("keys.db") and "audit" not in f:
                shutil.copy2(os.path.join(scene.before, f), S)
    with Keyed(scene, "keys.db and its log put back (THREATS.md)", two="same",
               three="error"):
        for f in os.listdir(scene.before):
            if f.startswith("keys.db"):
                shutil.copy2(os.path.join(scene.before, f), S)


def strangers(scene):
    """Another store, made the same way."""
    other = T + "/other"
    run = lambda *argv: subprocess.run(  # noqa: E731
        (SSEFS,) + argv[:1] + ("--store", other) + argv[1:], check=True,
        stdout=subprocess.DEVNULL)
    run("init")
    for b in ("docs", "one"):
        subprocess.run((SSEFS, "bucket", "create", b, "--store", other),
                       check=True, stdout=subprocess.DEVNULL)
    m = T + "/m2"
    os.makedirs(m)
    subprocess.run((SSEFS, "mount", "/", m, "--store", other), check=True)
    for p, n in (("one/a", BIG), ("one/small", 99), ("docs/x", 5000)):
        put(os.path.join(m, p), pattern(n, "stranger " + p))
    subprocess.run((SSEFS, "umount", m, "--store", other), check=True,
                   stdout=subprocess.DEVNULL)

    with Keyed(scene, "a record of another store", one=("error",)) as a:
        s, o = a.store(), a.store(other)
        for p in ("one/a", "one/small"):
            s.set_rec(p, o.rec(p).data, mend=False)
    with Keyed(scene, "a wrapped key of another store", one="error") as a:
        s, o = a.store(), a.store(other)
        for p in ("one/a", "one/small"):
            r = s.rec(p).data
            s.set_rec(p, r[:160] + o.rec(p).blob + r[292:])
    with scene.attempt("the keystore of another store") as a:
        for f in os.listdir(other):
            if f.startswith("keys.db"):
                shutil.copy2(os.path.join(other, f), S)
        edit(("UPDATE slots SET path=?", (S + ".key",)))
        a.mounts = False
    with Keyed(scene, "the keystore of another store, with its root key",
               one="error", two="error", three="error", aes="error"):
        for f in os.listdir(other):
            if f.startswith("keys.db"):
                shutil.copy2(os.path.join(other, f), S)
        shutil.copy2(other + ".key", S + ".key")
        # A slot names its file; the content is what counts.
        edit(("UPDATE slots SET path=?", (S + ".key",)))
    with scene.attempt("another root key") as a:
        shutil.copy2(other + ".key", S + ".key")
        a.mounts = False
    for what, size in (("short", 15), ("empty", 0), ("long", 5000)):
        with scene.attempt("a root key that is " + what) as a:
            with open(S + ".key", "wb") as f:
                f.write(bytes(size))
            a.mounts = False


# ---- The audit log

def rewrite(files, change):
    """The log made anew by who has the root key, but for the signatures."""
    found = {}
    with open(S + ".key", "rb") as f:
        store_keys(S, f.read(), found)
    mac = link = bytes(32)
    seq = size = 0
    for name in files:
        out = []
        with open(name, "rb") as f:
            for line in f.read().splitlines():
                body = change(line[:line.rindex(b',"mac":"')])
                seq += 1
                total = hashlib.sha256(body + b"}").digest()
                mac = hmac.digest(found["audit key"], mac +
                                  struct.pack(">Q", seq) + total, "sha256")
                link = hashlib.sha256(link + mac + total).digest()
                out.append(body + b',"mac":"' + mac.hex().encode() + b'"}\n')
        with open(name, "wb") as f:
            f.write(b"".join(out))
        size = len(b"".join(out))
    db = keys()
    uuid, head = (db.execute("SELECT v FROM meta WHERE k=?", (k,)).fetchone()[0]
                  for k in ("uuid", "audit"))
    head = struct.pack(">QQ", seq, size) + mac + link + head[80:136]
    head += hmac.digest(expand(found["keystore key"],
                               b"ssefs audit head v2\0", 32), uuid + head,
                        "sha256")
    db.execute("UPDATE meta SET v=? WHERE k='audit'", (head,))
    db.close()


def segments(scene, log):
    """The same over several files, with the keystore and by signatures alone."""
    copy_store(scene.base, S)
    for _ in range(2):
        must("audit", "rotate")
        must("key", "create")
    ids = [must("key", "create").strip() for _ in range(3)]
    good, keys_file = T + "/segments", T + "/audit-keys"
    copy_store(S, good)
    with open(keys_file, "w") as f:
        f.write(must("audit", "key").splitlines()[0] + "\n")
    files = [log, log + ".2", log + ".3"]

    def edit_lines(n, fn):
        def change():
            with open(files[n - 1], "rb") as f:
                old = f.read().splitlines(True)
            with open(files[n - 1], "wb") as f:
                f.write(b"".join(fn(old)))
        return change

    def swap(a, b):
        os.rename(a, a + ".x")
        os.rename(b, a)
        os.rename(a + ".x", b)

    def relabel():
        """A segment's lines under the numbers of another."""
        shutil.copy2(files[0], files[1])

    for what, change, unsigned in (
            ("a segment removed", lambda: os.unlink(files[1]), True),
            ("the first segment removed", lambda: os.unlink(files[0]), True),
            ("the last segment removed", lambda: os.unlink(files[2]), False),
            ("two segments exchanged", lambda: swap(files[0], files[1]), True),
            ("one in place of another", relabel, True),
            ("a line of an old segment removed",
             edit_lines(1, lambda v: v[:2] + v[3:]), True),
            ("a line of an old segment changed",
             edit_lines(1, lambda v: v[:2] + [v[2].replace(b"a", b"b", 1)] +
                        v[3:]), True),
            ("two lines exchanged across segments", lambda: (
                edit_lines(1, lambda v: v[:-1])(),
                edit_lines(2, lambda v: v[1:])()), True),
            ("the head of an old segment cut off",
             edit_lines(2, lambda v: v[1:]), True),
            ("the tail of the last cut off",
             edit_lines(3, lambda v: v[:-2]), False)):
        copy_store(good, S)
        change()
        rc, out = call("audit", "verify")
        if not ok(rc == 1, "segments: %s: verify says so" % what):
            print("#   exit %s: %.300s" % (rc, out))
        there = [f for f in files if os.path.exists(f)]
        rc, out = call("audit", "verify", "--public-key", keys_file, *there)
        if not ok(rc == (1 if unsigned else 0), "segments: %s: by signatures%s"
                  % (what, "" if unsigned else " (THREATS.md): not")):
            print("#   exit %s: %.300s" % (rc, out))
    copy_store(good, S)
    rc, _ = call("audit", "verify", "--public-key", keys_file, *files)
    ok(rc == 0, "segments: as they are: by signatures")
    for what, change in (
            ("nothing", lambda body: body),
            ("a record of a segment that has ended", lambda body:
             body.replace(b"CreateKey", b"DeleteKey", 1))):
        copy_store(good, S)
        rewrite(files, change)
        rc, out = call("audit", "verify")
        want = 0 if what == "nothing" else 1
        if not ok(rc == want, "segments: %s and all MACs made anew with the"
                  " root key: verify by the checkpoints" % what):
            print("#   exit %s: %.300s" % (rc, out))
        rc, out = call("audit", "verify", "--public-key", keys_file, *files)
        ok(rc == want, "segments: %s and all MACs made anew: by signatures" %
           what)
    # A store put back: the copy of its log that is elsewhere is longer.
    copy_store(scene.base, S)
    rc, _ = call("audit", "verify")
    ok(rc == 0, "segments: the whole store put back (THREATS.md)")
    rc, out = call("audit", "show")
    ok(rc == 0 and ids[0] not in out, "segments: its log is the older one")
    rc, out = call("audit", "verify", good + "/keys.db-audit.log.3")
    ok(rc == 1, "segments: the whole store put back: a copy of the log shows")

def audit(scene):
    log = S + "/keys.db-audit.log"

    def lines(fn):
        def change():
            with open(log, "rb") as f:
                old = f.read().splitlines(True)
            with open(log, "wb") as f:
                f.write(b"".join(fn(old)))
        return change

    def shortened():
        """The log and its head in the keystore, both as they once were."""
        lines(lambda v: v[:-3])()
        with open(log, "rb") as f:
            old = f.read()
        last = json.loads(old.splitlines()[-1])
        edit(("UPDATE meta SET v=CAST(? || substr(v, 49) AS BLOB) WHERE"
              " k='audit'",
              (struct.pack(">QQ", last["seq"], len(old)) +
               bytes.fromhex(last["mac"]),)))

    for what, change in (
            ("a byte changed", lines(lambda v: v[:3] + [
                v[3].replace(b"a", b"b", 1)] + v[4:])),
            ("a line removed", lines(lambda v: v[:2] + v[3:])),
            ("a line doubled", lines(lambda v: v[:2] + v[1:])),
            ("two lines exchanged", lines(lambda v: v[:2] + [v[3], v[2]] +
                                          v[4:])),
            ("the last line cut off", lines(lambda v: v[:-1])),
            ("cut within a line", lines(lambda v: v[:-1] + [v[-1][:20]])),
            ("the first line removed", lines(lambda v: v[1:])),
            ("emptied", lines(lambda v: [])),
            ("removed", lambda: os.unlink(log)),
            ("put back", lambda: shutil.copy2(
                scene.before + "/keys.db-audit.log", log)),
            ("the head's number raised", lambda: edit(
                "UPDATE meta SET v=CAST(x'00000000000000ff' || substr(v, 9) AS"
                " BLOB) WHERE k='audit'")),
            ("the head set to zeros", lambda: edit(
                "UPDATE meta SET v=zeroblob(length(v)) WHERE k='audit'")),
            ("the head set to that of an older program", lambda: edit(
                "UPDATE meta SET v=zeroblob(48) WHERE k='audit'")),
            ("the tail cut off and the head moved with it", shortened),
            ("keys of the log removed", lambda: edit(
                "DELETE FROM audit_segments")),
            ("keys of the log exchanged", lambda: edit(
                "UPDATE audit_segments SET public=randomblob(32)"))):
        copy_store(scene.base, S)
        change()
        rc, out = call("audit", "verify")
        if not ok(rc == 1, "audit log: %s: verify says so" % what):
            print("#   exit %s: %.300s" % (rc, out))
        # It goes on, and what was lost stays lost.
        rc, out = call("key", "create")
        ok(rc in (0, 1), "audit log: %s: commands answer" % what)
        rc, out = call("audit", "verify")
        ok(rc == 1, "audit log: %s: verify still says so" % what)
    segments(scene, log)
    removed = Keyed(scene, "audit log removed: files can be read")
    removed.a.audit = True
    with removed:
        os.unlink(log)


def main():
    scene = Scene({}, {"plain": "None", "aes": "AES256"}, prepare)
    material(scene)
    triggers(scene)
    back(scene)
    strangers(scene)
    audit(scene)
