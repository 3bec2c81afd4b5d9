"""Attacks on the arenas: blocks changed, moved, put back, cut off."""
import os

from lib import S, pattern
from attack.fmt import BLOCK, flip
from attack.scene import Scene

PLAIN = 30 * BLOCK - 7


def prepare(scene, state):
    scene.put("plain/p-00", pattern(PLAIN, state + " plain"))
    scene.put("plain/p-01", pattern(PLAIN, state + " plain too"))
    scene.put("aes/a-00", pattern(PLAIN, state + " aes"))


def flips(scene):
    """One bit: of the first, a middle and the last byte of blocks of each
    shape, in files with and without cipher."""
    with scene.attempt("a bit of a block turned over") as a:
        s = a.store()
        for path, blk, at in (
                ("docs/emb-00", 0, 0), ("docs/emb-01", 2, BLOCK - 1),
                ("docs/row-00", 0, 0), ("docs/row-01", 20, 2000),
                ("docs/row-02", 39, BLOCK - 1), ("docs/tree-00", 63, 0),
                ("docs/tree-01", 64, 0), ("docs/tree-02", 69, BLOCK - 1),
                ("plain/p-00", 0, 0), ("plain/p-01", 29, BLOCK - 1),
                ("aes/a-00", 7, 7)):
            slot = s.entries(path)[blk].slot
            s.set_block(slot, flip(s.block(slot), at, at % 8))
            a.hit(path, "error", "byte %d of block %d" % (at, blk))
    with scene.attempt("a block replaced") as a:
        s = a.store()
        for path, blk, data in (
                ("docs/emb-00", 1, bytes(BLOCK)),
                ("docs/row-00", 5, b"\xff" * BLOCK),
                ("docs/tree-00", 66, pattern(BLOCK, "noise")),
                ("plain/p-00", 3, bytes(BLOCK))):
            s.set_block(s.entries(path)[blk].slot, data)
            a.hit(path, "error", "block %d" % blk)


def exchange(s, one, two):
    x, y = (s.entries(p)[b].slot for p, b in (one, two))
    bx, by = s.block(x), s.block(y)
    s.set_block(x, by)
    s.set_block(y, bx)


def moves(scene):
    with scene.attempt("two blocks exchanged") as a:
        s = a.store()
        for what, one, two in (
                ("within a file", ("docs/row-00", 3), ("docs/row-00", 4)),
                ("within a file, of two nodes",
                 ("docs/tree-00", 0), ("docs/tree-00", 64)),
                ("in a small file", ("docs/emb-00", 0), ("docs/emb-00", 2)),
                ("between files, same place",
                 ("docs/row-01", 9), ("docs/row-02", 9)),
                ("between files", ("docs/tree-01", 1), ("docs/emb-01", 1)),
                ("between methods", ("plain/p-00", 1), ("docs/row-03", 1)),
                ("between None and AES256",
                 ("plain/p-01", 1), ("aes/a-00", 1))):
            exchange(s, one, two)
            a.hit(one[0], "error", what)
            a.hit(two[0], "error", what)
    with scene.attempt("a block put over another") as a:
        s = a.store()
        for (sp, sb), (dp, db) in (
                (("docs/row-00", 3), ("docs/row-01", 3)),
                (("docs/row-02", 0), ("docs/row-02", 39)),
                (("docs/tree-00", 2), ("docs/emb-00", 2)),
                (("plain/p-00", 0), ("plain/p-00", 1))):
            s.set_block(s.entries(dp)[db].slot,
                        s.block(s.entries(sp)[sb].slot))
            a.hit(dp, "error", "%s:%d over block %d" % (sp, sb, db))


def replays(scene):
    with scene.attempt("an older block put back") as a:
        s, old = a.store(), a.store(scene.before)
        for path, blk in (("docs/emb-00", 0), ("docs/row-00", 39),
                          ("docs/tree-00", 65), ("plain/p-00", 2),
                          ("aes/a-00", 2)):
            s.set_block(s.entries(path)[blk].slot,
                        old.block(old.entries(path)[blk].slot))
            a.hit(path, "error", "block %d" % blk)
    with scene.attempt("all arenas put back, the database left") as a:
        with open(scene.before + "/arena-0", "rb") as f:
            data = f.read()
        with open(S + "/arena-0", "r+b") as f:
            f.write(data)
        for path in scene.new:
            if os.path.basename(path)[:3] != "inl":
                # Where old and new slots do not meet nothing is lost.
                a.hit(path, ("error", "same"))
    with scene.attempt("bytes of no file changed") as a:
        s = a.store()
        used = {e.slot for p in scene.new for e in entries(s, p).values()}
        size = os.path.getsize(S + "/arena-0")
        for slot in range(1, size // BLOCK):
            if slot not in used:
                s.set_block(slot, b"\xa5" * BLOCK)


def entries(s, path):
    rec = s.rec(path)
    return s.entries(path) if rec.segment else {}


def lengths(scene):
    def end(s, path):
        return max(e.slot for e in s.entries(path).values())

    for what, cut in (("at a block", 0), ("within a block", 77),
                      ("within its last byte", BLOCK - 1)):
        with scene.attempt("an arena cut off " + what) as a:
            s = a.store()
            at = max(end(s, p) for p in scene.new if entries(s, p))
            os.truncate(S + "/arena-0", at * BLOCK + cut)
            for path in scene.new:
                if any(e.slot >= at for e in entries(s, path).values()):
                    a.hit(path, "error")
    for what, fn in (("emptied", lambda p: os.truncate(p, 0)),
                     ("removed", os.unlink)):
        with scene.attempt("an arena " + what) as a:
            s = a.store()
            for path in scene.new:
                if entries(s, path):
                    a.hit(path, "error")
            fn(S + "/arena-0")
    with scene.attempt("an arena made longer, another one added") as a:
        with open(S + "/arena-0", "ab") as f:
            f.write(b"x" * 9999)
        with open(S + "/arena-1", "wb") as f:
            f.write(b"x" * 9999)


def main():
    scene = Scene({"inl": 2, "emb": 3, "row": 5, "tree": 3},
                  {"docs": "KMS", "plain": "None", "aes": "AES256"}, prepare)
    flips(scene)
    moves(scene)
    replays(scene)
    lengths(scene)
