"""The keys of a store, from its files and its root key, as docs/FORMAT.md
derives them; with OpenSSL's AES and Python's HMAC, and no code of ssefs."""
import ctypes
import ctypes.util
import sqlite3
import struct
from hmac import digest

from attack.fmt import REC_HEAD, Store

_c = ctypes.CDLL(ctypes.util.find_library("crypto") or "libcrypto.so.3")
for _f in ("EVP_CIPHER_CTX_new", "EVP_aes_256_gcm"):
    getattr(_c, _f).restype = ctypes.c_void_p
_p = ctypes.c_void_p


def gcm_open(key, nonce, ad, sealed, tag):
    ctx = _p(_c.EVP_CIPHER_CTX_new())
    out, n = ctypes.create_string_buffer(len(sealed) + 16), ctypes.c_int()
    try:
        good = (
            _c.EVP_DecryptInit_ex(ctx, _p(_c.EVP_aes_256_gcm()), None, key,
                                  nonce) == 1 and
            _c.EVP_DecryptUpdate(ctx, None, ctypes.byref(n), ad,
                                 len(ad)) == 1 and
            _c.EVP_DecryptUpdate(ctx, out, ctypes.byref(n), sealed,
                                 len(sealed)) == 1 and
            _c.EVP_CIPHER_CTX_ctrl(ctx, 0x11, 16, tag) == 1 and
            _c.EVP_DecryptFinal_ex(ctx, ctypes.create_string_buffer(16),
                                   ctypes.byref(n)) == 1)
    finally:
        _c.EVP_CIPHER_CTX_free(ctx)
    if not good:
        raise ValueError("does not open")
    return out.raw[:len(sealed)]


def message(key, m, ad):
    return gcm_open(key, m[:12], ad, m[12:-16], m[-16:])


def expand(key, info, n):
    out = t = b""
    while len(out) < n:
        t = digest(key, t + info + bytes([len(out) // 32 + 1]), "sha256")
        out += t
    return out[:n]


def text_uuid(b):
    h = b.hex()
    return "-".join((h[:8], h[8:12], h[12:16], h[16:20], h[20:]))


def keystore(path, root, found):
    """Fills in what the keystore holds; returns (key uuid, version) ->
    material."""
    db = sqlite3.connect(path + "/keys.db")
    ks = db.execute("SELECT v FROM meta WHERE k='uuid'").fetchone()[0]
    salt, sealed = db.execute("SELECT salt, sealed FROM slots WHERE n=0"
                              ).fetchone()
    even = db.execute("SELECT v % 2 = 0 FROM meta WHERE k='format'"
                      ).fetchone()[0]
    kek = expand(digest(salt, root, "sha256"), b"ssefs slot key v1", 32)
    kmk = message(kek, sealed, (b"ssefs-slot-v2" if even else
                                b"ssefs-slot-v1").ljust(16, b"\0") + ks +
                  struct.pack(">II", 0, 1) + salt + bytes(12))
    seal = expand(kmk, b"ssefs keystore material v1\0", 32)
    found.update({"root key": root, "slot key": kek, "keystore key": kmk,
                  "material's seal": seal,
                  "audit key": expand(kmk, b"ssefs audit chain v1\0", 32)})
    out = {}
    for key, v, made, sealed, kind, tenant in db.execute(
            "SELECT v.key, v.version, v.created, v.sealed, k.kind, k.tenant"
            " FROM versions v JOIN keys k ON k.uuid=v.key"):
        out[key, v] = message(
            seal, sealed, b"ssefs-cmk-v1".ljust(16, b"\0") + ks + key +
            struct.pack(">IIQ", v, kind, made) +
            tenant.encode().ljust(64, b"\0"))
        found["master key %s/%d" % (key.hex(), v)] = out[key, v]
    db.close()
    return out


def objects(path, materials, found, names):
    s = Store(path)
    store = text_uuid(s.one("SELECT uuid FROM super"))
    for name in names:
        r = s.rec(name)
        blob, rec = r.blob, r.data
        cmk = materials[blob[8:24], struct.unpack(">I", blob[24:28])[0]]
        fixed = b"kms/v1\0" + blob[:44] + struct.pack(">I", 512)
        kenc, kcom = (digest(cmk, struct.pack(">I", i) + fixed, "sha256")
                      for i in (1, 2))
        ctx = b"ctx1" + struct.pack(">I", 2)
        for t in ("ssefs:object", text_uuid(rec[16:32]), "ssefs:store", store):
            ctx += struct.pack(">I", len(t)) + t.encode()
        dek = gcm_open(kenc, blob[44:56], blob[:84] + ctx, blob[84:116],
                       blob[116:])
        k = expand(dek, b"ssefs object keys 1\0" + rec[16:32], 64)
        if k[:32] != rec[96:128]:
            raise ValueError("commitment of " + name)
        content = gcm_open(
            k[32:], rec[128:140], b"ssefs object 1" + rec[:128] +
            rec[REC_HEAD:r.sealed_at], rec[r.sealed_at:], rec[140:156])[:32]
        seg = rec[32:48]
        found.update({name + ": data key": dek, name + ": wrapping key": kenc,
                      name + ": commitment key": kcom,
                      name + ": record key": k[32:]})
        if r.segment:
            found.update({
                name + ": content key": content,
                name + ": map key": expand(
                    content, b"ssefs map key 1\0" + seg, 32),
                name + ": block key": expand(
                    content, b"ssefs block key 1\0" + seg + bytes(4), 32)})
    s.close()


def all_keys(path, names):
    """What must be secret -> its bytes."""
    found = {}
    with open(path + ".key", "rb") as f:
        root = f.read()
    objects(path, keystore(path, root, found), found, names)
    return found


def sealed_keys(path):
    """The same of a store with sealed metadata, without what only that tells."""
    found = {}
    with open(path + ".key", "rb") as f:
        keystore(path, f.read(), found)
    with open(path + "/meta.db", "rb") as f:
        data = f.read()
    found["metadata key"] = expand(
        found["keystore key"], b"ssefs metadata v1\0" +
        data[16384 + 24:16384 + 40], 32)
    # Each page ends with the salt of its key, nonce and tag.
    salts = {data[at - 40:at - 28] for at in range(65536 + 8192, len(data) + 1,
                                                   8192)}
    for i, salt in enumerate(sorted(salts - {bytes(12)})):
        found["message key %d" % i] = expand(
            found["metadata key"], b"ssefs metadata message 1\0" + salt, 32)
    return found
