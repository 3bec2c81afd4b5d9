"""Attacks on map nodes and object records.  Checksums are mended, so that only
what is sealed can tell."""
import os
import struct

from lib import M, ok, pattern
from attack.fmt import (BLOB, BLOCK, ENT, ENTRY, NODE, NODE_HEAD, REC, REC_HEAD,
                        SEG, F_INLINE, be, flip, mend_record, mend_row)
from attack.scene import Scene

SHARED = 300 * BLOCK


def prepare(scene, state):
    scene.put("docs/from", pattern(SHARED, state + " from"))
    scene.put("plain/none", pattern(9 * BLOCK, state + " none"))
    scene.put("aes/aes", pattern(9 * BLOCK, state + " aes"))
    scene.put("aes/aes-inl", pattern(200, state + " aes"))
    if state == "old":
        return
    # One segment below several files, and one below that.
    for src, dst in (("docs/from", "docs/copy"), ("docs/copy", "docs/again")):
        with open(os.path.join(M, src), "rb") as f, \
                open(os.path.join(M, dst), "wb") as g:
            n = SHARED
            while n > 0:
                n -= os.copy_file_range(f.fileno(), g.fileno(), n)
        own = pattern(5 * BLOCK, "own " + dst)
        with open(os.path.join(M, dst), "r+b") as g:
            g.write(own)
        scene.files[dst] = own + scene.files[src][len(own):]


# ---- Records

def fields(scene):
    """Every field of a record, of each of three shapes; every part of the
    wrapped key; what is sealed."""
    for shape in ("inl", "emb", "row"):
        with scene.attempt("a field of a record changed") as a:
            s, paths = a.store(), scene.victims(shape)
            for field, (at, n) in REC.items():
                path = next(paths)
                s.set_rec(path, flip(s.rec(path).data, at + n - 1,
                                     1 if field == "flags" else 0))
                a.hit(path, "error", field)
    with scene.attempt("a wrapped data key changed") as a:
        s, paths = a.store(), scene.victims("inl")
        for field, (at, n) in BLOB.items():
            path = next(paths)
            s.set_rec(path, flip(s.rec(path).data, REC_HEAD + at + n - 1))
            a.hit(path, "error", field)
    with scene.attempt("what stands behind a record's head changed") as a:
        s = a.store()
        emb, inl = scene.victims("emb"), scene.victims("inl")
        for field, (at, n) in ENT.items():
            path = next(emb)
            r = s.rec(path)
            s.set_rec(path, flip(r.data, r.entries_at + ENTRY + at + n - 1))
            a.hit(path, "error", "entry's " + field)
        for what, at in (("content key", 0), ("inline bytes", 32),
                         ("last inline byte", -1)):
            path = next(inl)
            r = s.rec(path)
            s.set_rec(path, flip(r.data, at % (len(r.data) - r.sealed_at) +
                                 r.sealed_at))
            a.hit(path, "error", what)
        for what, cut in (("cut short", -1), ("made longer", None)):
            path = next(inl)
            d = s.rec(path).data
            s.set_rec(path, d[:cut] if cut else d + b"\0")
            a.hit(path, "error", what)
        path = next(inl)
        s.set_rec(path, flip(s.rec(path).data, 30), mend=False)
        a.hit(path, "error", "checksum")
        path = next(inl)
        s.run("UPDATE inode SET obj=NULL WHERE ino=?", s.ino(path))
        a.hit(path, "error", "removed")


def exchanges(scene):
    with scene.attempt("parts of records exchanged") as a:
        s = a.store()
        inl, emb, row = (scene.victims(x) for x in ("inl", "emb", "row"))

        def swap(what, paths, at, n, want="error"):
            one, two = next(paths), next(paths)
            x, y = s.rec(one).data, s.rec(two).data
            at = at if at >= 0 else len(x) + at
            s.set_rec(one, x[:at] + y[at:at + n] + x[at + n:])
            s.set_rec(two, y[:at] + x[at:at + n] + y[at + n:])
            a.hit(one, want, what)
            a.hit(two, want, what)

        swap("wrapped keys", inl, REC_HEAD, 132)
        swap("wrapped keys and commitments and uuids", emb, 16, 144)
        swap("map entries", emb, REC_HEAD + 132, 3 * ENTRY)
        swap("segments", row, 8, 8)
        swap("segments with uuids, counts and roots", row, 8, 8 + 72)
        swap("seals", inl, 128, 28)
        swap("inline bytes", inl, REC_HEAD + 132, 332)
    with scene.attempt("whole records exchanged (as exchanged names)") as a:
        s = a.store()
        for shape in ("inl", "emb", "row", "tree"):
            v = scene.victims(shape)
            one, two = next(v), next(v)
            x, y = s.rec(one).data, s.rec(two).data
            s.set_rec(one, y)
            s.set_rec(two, x)
            a.hit(one, scene.new[two], "the other's content")
            a.hit(two, scene.new[one], "the other's content")
    with scene.attempt("a record of another size") as a:
        s = a.store()
        one, two = next(scene.victims("inl")), next(scene.victims("emb"))
        s.set_rec(one, s.rec(two).data)
        a.hit(one, "error", "of another file")
        a.damaged = True    # the other's slots stand in two maps
    with scene.attempt("records of other methods") as a:
        s = a.store()
        x, y = s.rec("docs/inl-00").data, s.rec("aes/aes-inl").data
        s.set_rec("aes/aes-inl", y[:1] + b"\2" + y[2:])
        a.hit("aes/aes-inl", "error", "AES256 called KMS")
        s.set_rec("docs/inl-00", x[:1] + b"\1" + x[2:])
        a.hit("docs/inl-00", "error", "KMS called AES256")
        n = s.rec("plain/none").data
        s.set_rec("plain/none", n[:1] + b"\2" + n[2:])
        a.hit("plain/none", "error", "None called KMS")


def sizes(scene):
    with scene.attempt("the size in the inode changed") as a:
        s = a.store()
        inl, row = scene.victims("inl"), scene.victims("row")
        for paths, size in ((inl, "size + 1"), (inl, "0"), (inl, "-1"),
                            (inl, "1 << 45"), (inl, "1 << 62"),
                            (row, "size - 1"), (row, "size + 4096"),
                            (row, "4096")):
            path = next(paths)
            s.run("UPDATE inode SET size=%s WHERE ino=?" % size, s.ino(path))
            a.hit(path, "error", "to " + size)


# ---- Map nodes

def nodes(scene):
    for shape, level in (("row", 0), ("tree", 1), ("tree", 0)):
        with scene.attempt("a field of a node changed") as a:
            s, paths = a.store(), scene.victims(shape)
            for field, (at, n) in NODE.items():
                path = next(paths)
                seg = s.rec(path).segment
                s.set_node(seg, level, 0, flip(s.node(seg, level, 0),
                                               at + n - 1))
                a.hit(path, "error", "level %d: %s" % (level, field))
    with scene.attempt("an entry of a node changed") as a:
        s, paths = a.store(), scene.victims("row")
        for field, (at, n) in ENT.items():
            path = next(paths)
            seg = s.rec(path).segment
            s.set_node(seg, 0, 0, flip(s.node(seg, 0, 0),
                                       NODE_HEAD + 7 * ENTRY + at + n - 1))
            a.hit(path, "error", field)
        for what, edit in (
                ("exchanged", lambda r: r[:44] + r[84:124] + r[44:84] +
                 r[124:]),
                ("absent", lambda r: r[:44] + bytes(40) + r[84:]),
                ("taken away", lambda r: r[:2] + struct.pack(
                    ">H", be(r[2:4]) - 1) + r[4:-40])):
            path = next(paths)
            seg = s.rec(path).segment
            s.set_node(seg, 0, 0, edit(s.node(seg, 0, 0)))
            a.hit(path, "error", what)
    with scene.attempt("nodes exchanged, removed, added") as a:
        s = a.store()
        row, tree = scene.victims("row"), scene.victims("tree")
        one, two = next(row), next(row)
        x, y = s.rec(one).segment, s.rec(two).segment
        nx, ny = s.node(x, 0, 0), s.node(y, 0, 0)
        s.set_node(x, 0, 0, ny)
        s.set_node(y, 0, 0, nx)
        a.hit(one, "error", "exchanged between files")
        a.hit(two, "error", "exchanged between files")
        one = next(tree)
        x = s.rec(one).segment
        nx, ny = s.node(x, 0, 0), s.node(x, 0, 1)
        s.set_node(x, 0, 0, ny)
        s.set_node(x, 0, 1, nx)
        a.hit(one, "error", "exchanged within a file")
        for what, level, idx in (("lowest removed", 0, 1),
                                 ("root removed", 1, 0)):
            path = next(tree)
            s.run("DELETE FROM node WHERE seg=? AND level=? AND idx=?",
                  s.rec(path).segment, level, idx)
            a.hit(path, "error", what)
        path = next(row)
        s.run("DELETE FROM node WHERE seg=?", s.rec(path).segment)
        a.hit(path, "error", "the only one removed")
        path = next(row)
        s.run("UPDATE node SET seg=seg + 1000000 WHERE seg=?",
              s.rec(path).segment)
        a.hit(path, "error", "given to another segment")
        path = next(tree)
        x = s.rec(path).segment
        s.set_node(x, 0, 9, s.node(x, 0, 0))
        s.set_node(x, 4, 0, mend_row(b"\1\4" + s.node(x, 1, 0)[2:]))
        a.hit(path, "same", "that nothing leads to")
        a.told = True


def replays(scene):
    with scene.attempt("an older node put back") as a:
        s, old = a.store(), a.store(scene.before)

        def back(path, level, idx):
            seg = s.rec(path).segment
            s.set_node(seg, level, idx, old.node(old.rec(path).segment,
                                                 level, idx), mend=False)

        row, tree = scene.victims("row"), scene.victims("tree")
        path = next(row)
        back(path, 0, 0)
        a.hit(path, "error", "the only one")
        for what, which in (("the lowest", ((0, 1),)),
                            ("the root", ((1, 0),)),
                            ("root and lowest", ((1, 0), (0, 0), (0, 1)))):
            path = next(tree)
            for level, idx in which:
                back(path, level, idx)
            a.hit(path, "error", what)
    with scene.attempt("an older record put back") as a:
        s, old = a.store(), a.store(scene.before)
        for shape, want in (("inl", "old"), ("row", "error"),
                            ("tree", "error")):
            path = next(scene.victims(shape))
            s.set_rec(path, old.rec(path).data, mend=False)
            # Inline content stands in the record: that is all of the file.
            a.hit(path, want, shape)
        path = next(scene.victims("emb"))
        s.set_rec(path, old.rec(path).data, mend=False)
        # Its old blocks may still be there.
        a.hit(path, ("error", "old"), "emb")
    with scene.attempt("a file with all of it put back (THREATS.md)") as a:
        s, old = a.store(), a.store(scene.before)
        used = {e.slot for p in scene.new for e in entries(s, p).values()}
        for shape in ("inl", "emb", "row", "tree"):
            for path in scene.victims(shape):
                then = entries(old, path)
                if not any(e.slot in used for e in then.values()):
                    break
            else:
                ok(False, "no %s file has free old slots" % shape)
                continue
            s.set_used([e.slot for e in entries(s, path).values()], False)
            s.set_rec(path, old.rec(path).data, mend=False)
            seg = s.rec(path).segment
            s.run("DELETE FROM node WHERE seg=?", seg)
            for row in old.db.execute("SELECT * FROM node WHERE seg=?",
                                      (seg,)).fetchall():
                s.run("INSERT INTO node VALUES(?, ?, ?, ?)", *row)
            for e in then.values():
                s.set_block(e.slot, old.block(e.slot))
            s.set_used([e.slot for e in then.values()], True)
            a.hit(path, "old", "shows what it was")


def entries(s, path):
    return s.entries(path) if s.rec(path).segment else {}


# ---- Shared segments

def shared(scene):
    what = "a shared segment's row changed"
    with scene.attempt("a block of a shared segment changed") as a:
        s = a.store()
        seg = s.one("SELECT min(seg) FROM segment")
        slot = s.seg_entries(seg)[200].slot
        s.set_block(slot, flip(s.block(slot), 5))
        for path in ("docs/from", "docs/copy", "docs/again"):
            a.hit(path, "error", "shows it")
    for field, (at, n) in SEG.items():
        with scene.attempt("%s: %s" % (what, field)) as a:
            s = a.store()
            seg = s.one("SELECT min(seg) FROM segment")
            rec = s.one("SELECT rec FROM segment WHERE seg=?", seg)
            s.run("UPDATE segment SET rec=? WHERE seg=?",
                  mend_row(flip(rec, at + n - 1)), seg)
            for path in ("docs/from", "docs/copy", "docs/again"):
                a.hit(path, "error")
    with scene.attempt("a shared segment removed") as a:
        s = a.store()
        s.run("DELETE FROM segment WHERE seg=(SELECT min(seg) FROM segment)")
        for path in ("docs/from", "docs/copy", "docs/again"):
            a.hit(path, "error")
    for sql in ("start=start + 1", "len=len - 1", "off=off + 1",
                "seg=seg + 1", "seg=(SELECT min(seg) FROM segment)",
                "rec=zeroblob(60)", "rec=x'00'", "owner=owner + 5000",
                "len=-1", "start=-1", "seg=0", "seg=owner"):
        with scene.attempt("what lies under a file changed: " + sql) as a:
            s = a.store()
            path = "docs/again"
            s.run("UPDATE base SET %s WHERE owner=?" % sql,
                  s.rec(path).segment)
            a.hit(path, "error")


# ---- Content of the attacker's own

def none_record(s, path, data, seg=0, uuid=bytes(16)):
    """A record with method None, which anybody can write."""
    head = struct.pack(">BBBBHHQ", 1, 0, F_INLINE if data else 0, 0, 0,
                       len(data), seg)
    size = len(data) if data else be(s.rec(path).data[56:64])
    rec = (head + uuid + s.rec(path).data[32:48] + struct.pack(">QQ", 5, size) +
           (bytes(16) if data else s.rec(path).data[64:80]) + bytes(16 + 32) +
           bytes(28) + bytes(4) + data)
    return mend_record(rec), size


def forged(scene):
    with scene.attempt("a file made anew with method None (THREATS.md)") as a:
        s, inl, row = a.store(), scene.victims("inl"), scene.victims("row")
        path = next(inl)
        rec, size = none_record(s, path, b"the attacker's words")
        s.run("UPDATE inode SET obj=?, size=?, keyref=0 WHERE ino=?", rec,
              size, s.ino(path))
        a.hit(path, b"the attacker's words", "shows the attacker's content")

        def status(at):
            got = os.getxattr(os.path.join(M, path), "user.sse.status")
            at.expect(got == b"No", "its status is %r" % got)
        a.more.append(status)
        a.damaged = True    # the key's count of uses
        # The segment of another file, whose nodes are sealed.
        path, other = next(row), next(row)
        rec, size = none_record(s, path, b"", s.rec(other).segment)
        s.run("UPDATE inode SET obj=? WHERE ino=?", rec, s.ino(path))
        a.hit(path, "error", "over another's segment")
    with scene.attempt("None over the entries of an encrypted file") as a:
        s, emb = a.store(), scene.victims("emb")
        path, other = next(emb), next(emb)
        r = s.rec(other)
        head = struct.pack(">BBBBHHQ", 1, 0, 8, 0, 0, 3, r.segment)
        rec = (head + bytes(16) + r.data[32:48] +
               struct.pack(">QQ", 5, r.size) + r.data[64:80] + bytes(16 + 32) +
               bytes(28) + bytes(4) + b"".join(r.entries))
        s.set_rec(path, rec)
        # Its ciphertext, as everybody has it who can edit the store.
        cipher = b"".join(s.block(s.entries(other)[i].slot) for i in range(3))
        a.hit(path, (cipher[:r.size], "error"), "shows no plaintext")
        a.damaged = True


def main():
    scene = Scene({"inl": 32, "emb": 20, "row": 22, "tree": 8},
                  {"docs": "KMS", "plain": "None", "aes": "AES256"}, prepare)
    fields(scene)
    exchanges(scene)
    sizes(scene)
    nodes(scene)
    replays(scene)
    shared(scene)
    forged(scene)
