"""The store as docs/FORMAT.md describes it, for those who attack it.

Needs no key and shares no code with ssefs: every offset here is one of that
document.  A store is opened with S = Store(DIR), only while ssefs does not have
it; S.close() writes it back.
"""
import os
import sqlite3
import struct

BLOCK = 4096
ARENA_SLOTS = 4194304
GROUP = 32768       # slots of a row of table alloc
CHUNK = 64          # map entries of a level-0 node
ENTRY = 40
NODE_HEAD = 44
REC_HEAD = 160

# Object record: field -> offset, length.
REC = {
    "version": (0, 1), "method": (1, 1), "flags": (2, 1), "level": (3, 1),
    "key length": (4, 2), "count": (6, 2), "segment": (8, 8),
    "object uuid": (16, 16), "segment uuid": (32, 16), "sealed": (48, 8),
    "size": (56, 8), "root": (64, 16), "bases": (80, 16),
    "commitment": (96, 32), "nonce": (128, 12), "tag": (140, 16),
}
REC_CRC = 156
F_INLINE, F_DEAD, F_BASES, F_EMBED = 1, 2, 4, 8

# Wrapped data key, from the record's byte 160 on.
BLOB = {"magic": (0, 4), "format": (4, 1), "suite": (5, 1), "flags": (6, 2),
        "master key": (8, 16), "version": (24, 4), "salt": (28, 16),
        "nonce": (44, 12), "commitment": (56, 28), "key": (84, 32),
        "tag": (116, 16)}

# Map entry and map node.
ENT = {"nonce": (0, 12), "tag": (12, 16), "slot": (28, 5), "kidx": (33, 1),
       "state": (34, 2)}
NODE = {"version": (0, 1), "level": (1, 1), "count": (2, 2),
        "generation": (8, 8), "nonce": (16, 12), "tag": (28, 16)}

# Row of table segment.
SEG = {"version": (0, 1), "level": (1, 1), "cipher": (2, 1), "based": (3, 1),
       "sealed": (8, 8), "uuid": (16, 16), "root": (32, 16),
       "bases": (48, 16), "nonce": (64, 12), "tag": (76, 16)}


def _table():
    t = []
    for i in range(256):
        c = i
        for _ in range(8):
            c = c >> 1 ^ (0x82F63B78 if c & 1 else 0)
        t.append(c)
    return t


_CRC = _table()


def crc32c(data):
    c = 0xFFFFFFFF
    for b in data:
        c = c >> 8 ^ _CRC[(c ^ b) & 255]
    return c ^ 0xFFFFFFFF


def be(data):
    return int.from_bytes(data, "big")


def flip(data, at, bit=0):
    b = bytearray(data)
    b[at] ^= 1 << bit
    return bytes(b)


def mend_record(rec):
    crc = crc32c(rec[:REC_CRC] + rec[REC_HEAD:])
    return rec[:REC_CRC] + struct.pack(">I", crc) + rec[REC_HEAD:]


def mend_row(row):
    """A node's row, or a segment's: the checksum stands at byte 4 in both."""
    return row[:4] + struct.pack(">I", crc32c(row[:4] + row[8:])) + row[8:]


class Rec:
    """An object record taken apart."""

    def __init__(self, data):
        self.data = data
        for name, (at, n) in REC.items():
            setattr(self, name.replace(" ", "_"), be(data[at:at + n]))
        at = REC_HEAD
        self.blob = data[at:at + self.key_length]
        at += self.key_length
        n = self.count * ENTRY if self.flags & F_EMBED else 0
        self.entries_at = at
        self.entries = [data[i:i + ENTRY] for i in range(at, at + n, ENTRY)]
        self.sealed_at = at + n

    def field(self, name):
        at, n = REC[name]
        return self.data[at:at + n]


class Entry:
    def __init__(self, data):
        self.data = data
        self.slot = be(data[28:33])
        self.state = be(data[34:36])


class Store:
    def __init__(self, path):
        self.dir = path
        self.db = sqlite3.connect(os.path.join(path, "meta.db"))
        self.db.isolation_level = None
        self.db.text_factory = bytes

    def close(self):
        # One file again, as after a clean end: what a thief would copy.
        self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.db.close()

    def one(self, sql, *args):
        row = self.db.execute(sql, args).fetchone()
        return None if row is None else row[0] if len(row) == 1 else row

    def run(self, sql, *args):
        return self.db.execute(sql, args).rowcount

    # ---- Names and inodes

    def ino(self, path):
        """The inode of BUCKET/DIR/NAME."""
        ino, parts = 1, path.encode().split(b"/")
        for p in parts:
            row = self.one("SELECT ino FROM dentry WHERE parent=? AND name IN"
                           " (?, ?) ORDER BY name DESC LIMIT 1",
                           ino, p, p + b"/")
            if row is None:
                raise KeyError(path)
            ino = row
        return ino

    def rec(self, path):
        return Rec(self.one("SELECT obj FROM inode WHERE ino=?",
                            self.ino(path)))

    def set_rec(self, path, data, mend=True):
        self.run("UPDATE inode SET obj=? WHERE ino=?",
                 mend_record(data) if mend else data, self.ino(path))

    # ---- Maps

    def node(self, seg, level, idx):
        return self.one("SELECT row FROM node WHERE seg=? AND level=? AND"
                        " idx=?", seg, level, idx)

    def set_node(self, seg, level, idx, row, mend=True):
        self.run("INSERT OR REPLACE INTO node VALUES(?, ?, ?, ?)", seg, level,
                 idx, mend_row(row) if mend else row)

    def entries(self, path):
        """Block number -> entry, of the file's own segment."""
        rec = self.rec(path)
        if rec.flags & F_EMBED:
            return {i: Entry(e) for i, e in enumerate(rec.entries)
                    if be(e[34:36]) == 1}
        return self.seg_entries(rec.segment)

    def seg_entries(self, seg):
        out = {}
        for idx, row in self.db.execute(
                "SELECT idx, row FROM node WHERE seg=? AND level=0", (seg,)):
            for i in range(be(row[2:4])):
                e = Entry(row[NODE_HEAD + i * ENTRY:][:ENTRY])
                if e.state == 1:
                    out[idx * CHUNK + i] = e
        return out

    def bases(self, path):
        """Rows of table base under the file: start, len, seg, off, rec."""
        return self.db.execute(
            "SELECT start, len, seg, off, rec FROM base WHERE owner=?"
            " ORDER BY start", (self.rec(path).segment,)).fetchall()

    # ---- Arenas

    def set_used(self, slots, used):
        """Bits of table alloc."""
        for slot in slots:
            bits = bytearray(self.one("SELECT bits FROM alloc WHERE grp=?",
                                      slot // GROUP))
            at, bit = slot % GROUP // 8, 1 << slot % 8
            bits[at] = bits[at] | bit if used else bits[at] & ~bit
            self.run("UPDATE alloc SET bits=? WHERE grp=?", bytes(bits),
                     slot // GROUP)

    def place(self, slot):
        return (os.path.join(self.dir, "arena-%d" % (slot // ARENA_SLOTS)),
                slot % ARENA_SLOTS * BLOCK)

    def block(self, slot):
        path, at = self.place(slot)
        with open(path, "rb") as f:
            f.seek(at)
            return f.read(BLOCK)

    def set_block(self, slot, data):
        path, at = self.place(slot)
        with open(path, "r+b") as f:
            f.seek(at)
            f.write(data)
