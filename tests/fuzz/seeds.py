#!/usr/bin/env python3
"""Write the first seeds of every fuzz target below tests/fuzz/corpus.

Their names begin with "seed-"; what a fuzzer found stands beside them under
its hash.  Nothing is random, so that a second run changes nothing.
"""
import os
import struct

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")
UUID = bytes(range(16))
UUID_TEXT = b"00010203-0405-0607-0809-0a0b0c0d0e0f"
ARN = b"arn:aws:kms:us-east-1:000000000000:"


def put(target, seeds):
    folder = os.path.join(HERE, target)
    os.makedirs(folder, exist_ok=True)
    for i, data in enumerate(seeds):
        with open(os.path.join(folder, "seed-%02d" % i), "wb") as f:
            f.write(data)


def codec():
    hexes = [b"", b"00ff", b"DeadBeef", b"0", b"0g"]
    b64s = [b"", b"AA==", b"AAA=", b"AAAA", b"AB==", b"+/+/", b"A===", b"AA=A"]
    uuids = [UUID_TEXT, UUID_TEXT.upper(), UUID_TEXT[:-1], UUID_TEXT + b"0"]
    plain = [b"", b"\0", b"\xff\xfe", bytes(range(48))]
    put("codec", [bytes([kind]) + text
                  for kind, texts in enumerate((hexes, b64s, uuids, plain))
                  for text in texts])


def json():
    put("json", [b"", b"plain", b"\"\\/\b\f\n\r\t\x01\x7f", b"a\0b",
                 "é€😀".encode(), b"\xed\xa0\x80", b"\xc0\x80",
                 b"\xf4\x90\x80\x80", b"\xe2\x82", b"\xff" * 9,
                 b"x" * 70])


def jdoc():
    texts = [b"", b"{}", b"[]", b'{"a":1,"b":[true,null,"x"],"c":{"d":-1.5e3}}',
             b'{"Plaintext":"Zm9v","KeyId":"alias/a"}', b'{"a":1,"a":2}',
             b'["\\ud83d\\ude00\\"[{,"]', b'["\\u0000"]', b'["\xff"]',
             b"[1]x", b"[[[[[[]]]]]]", b"[1,2,3,4,5,6,7,8,9]",
             b"[9223372036854775808]", b"[1e999]", b'[" ', b"[]\0"]
    put("jdoc", [b"\x08\x10" + t for t in texts] + [b"\x02\x01" + texts[3]])


def sigv4():
    sig = b"0f" * 32
    cred = b"Credential=AKID/20150830/us-east-1/kms/aws4_request"
    names = b", SignedHeaders=host;x-amz-date, Signature="
    alg = b"AWS4-HMAC-SHA256 "
    q = (b"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKID%2F20150830"
         b"%2Fus-east-1%2Fkms%2Faws4_request&X-Amz-Date=20150830T123600Z&"
         b"X-Amz-Expires=600&X-Amz-SignedHeaders=host&X-Amz-Signature=" + sig)
    put("sigv4", [b"\0" + h for h in (
        b"", alg + cred + names + sig, alg + names[2:] + sig + b"," + cred,
        alg + cred + names + sig + b",", alg + cred + b", " + cred,
        alg + cred.replace(b"kms", b"") + names + sig,
        alg + cred + b", SignedHeaders=b;a, Signature=" + sig)] +
        [b"\1" + h for h in (b"", q, b"a=b&" + q + b"&c", q + b"&" + q,
                             q.replace(b"600", b"604801"),
                             q.replace(b"600", b"6%30"))] +
        [kind + b"\0".join(parts) for kind in (b"\2", b"\3") for parts in (
            (b"/", b"", b"X-Amz-Target", b"T.Op"),
            (b"/a/../b//./%2f c", b"b=1&a=%41&a", b"x", b" a   b "),
            (b"", b"X-Amz-Signature=1&=", b"X-Amz-Date", b"20150830"),
            (b"/..", b"a=%4", b"host", b"\n"), (b"a", b"&&", b"X;Y", b""))])


def awscred():
    keys = b"aws_access_key_id = AKIA\naws_secret_access_key=a/b+c=\n"
    put("awscred", [b"default\0" + t for t in (
        b"", b"[default]\n" + keys, b"[default]\r\n" +
        keys.replace(b"\n", b"\r\n") + b"aws_session_token = t==",
        b"# c\n; d\n[ default ]\n" + keys + b"s3 =\n  region = no\nregion=eu",
        b"[profile p]\n" + keys + b"[default]\nregion = r\n",
        b"[default]\n" + keys + keys, b"[default]\n[default]\n", b"[default",
        b"[default]\naws_access_key_id = A\n", b"[default]\nregion = a b\n",
        b"nothing", b"[default]\nregion = " + b"x" * 70)] +
        [b"profile p\0[profile p]\n" + keys])


def remote():
    arn = b"arn:aws:kms:us-east-1:1:key/a"
    done = b'{"KeyId":"' + arn + b'","%s":"c2VjcmV0"}'
    meta = b'{"KeyMetadata":{"Arn":"' + arn + b'","KeyState":"%s"%s}}'
    put("remote", [b"\0\0\0" + t for t in (
        b"", b"{}", done % b"Plaintext", done.replace(b"/a", b"/b") %
        b"Plaintext", b'{"KeyId":"' + arn + b'","Plaintext":"' + b"A" * 72 +
        b'"}', b'{"KeyId":"' + arn + b'","Plaintext":"A"}')] +
        [b"\1\0\0" + done % b"CiphertextBlob"] +
        [b"\2\0\0" + t for t in (
            meta % (b"Enabled", b""), meta % (b"Disabled", b""),
            meta % (b"PendingDeletion", b""), meta % (b"Odd", b""),
            meta % (b"Enabled", b',"KeyUsage":"SIGN_VERIFY"'),
            b'{"KeyMetadata":{"Arn":"a b","KeyState":"Enabled"}}')] +
        [b"\3" + struct.pack(">H", status) + t for status, t in (
            (400, b'{"__type":"a#DisabledException","Message":"x\\u0001"}'),
            (400, b'{"__type":"KMSInvalidStateException",'
                  b'"message":"k is pending deletion."}'),
            (400, b'{"__type":"ThrottlingException"}'), (503, b"<html>"),
            (403, b""), (200, b'{"__type":1}'))])


def kmsapi():
    put("kmsapi", [op + b"\n" + body for op, body in (
        (b"CreateKey", b'{"Tags":[{"TagKey":"a","TagValue":"b"}],'
         b'"Policy":"{}","MultiRegion":false}'),
        (b"CreateGrant", b'{"KeyId":"k","GranteePrincipal":"arn:x",'
         b'"Operations":["Decrypt"],"Constraints":'
         b'{"EncryptionContextSubset":{"a":"b"}},"GrantTokens":["t"]}'),
        (b"Encrypt", b'{"KeyId":"alias/a","Plaintext":"AA==",'
         b'"EncryptionContext":{"a":"b"},"EncryptionAlgorithm":'
         b'"SYMMETRIC_DEFAULT"}'),
        (b"GenerateDataKey", b'{"KeyId":"k","NumberOfBytes":1025}'),
        (b"ImportKeyMaterial", b'{"KeyId":"k","ImportToken":"AAAA",'
         b'"EncryptedKeyMaterial":"A===","ValidTo":1.5e9}'),
        (b"ListKeys", b'{"Limit":0,"Marker":"\xc4\x80"}'),
        (b"UntagResource", b'{"KeyId":null,"TagKeys":["",1]}'),
        (b"ListAliases", b"[]"), (b"Nonsense", b"{}"))])


def record(method, flags, level, blob, n, seg, size, rest):
    return (struct.pack(">BBBBHHQ", 1, method, flags, level, blob, n, seg) +
            UUID + UUID[::-1] + struct.pack(">QQ", 5, size) + b"R" * 16 +
            b"B" * 16 + b"C" * 32 + b"S" * 28 + b"\0" * 4 + b"r" * rest)


def obj():
    recs = [record(0, 0, 0, 0, 0, 0, 0, 0),
            record(0, 1, 0, 0, 9, 0, 9, 9),
            record(2, 1, 0, 132, 100, 0, 100, 132 + 32 + 100),
            record(2, 0, 3, 132, 0, 77, 1 << 45, 132 + 32),
            record(1, 2 | 4, 4, 512, 0, 1, 4096, 512 + 32),
            record(2, 8, 0, 132, 4, 9, 16384, 132 + 160 + 32),
            record(0, 8, 0, 0, 1, 9, 10, 40),
            record(0, 1, 0, 0, 1024, 0, 1024, 1024),
            # Lengths that disagree.
            record(0, 1, 0, 0, 9, 0, 8, 9),
            record(2, 8, 0, 132, 5, 9, 1, 132 + 200 + 32),
            record(2, 0, 0, 513, 0, 9, 1, 513 + 32),
            # A record that ends too early, or too late.
            record(2, 0, 3, 132, 0, 77, 1, 0),
            record(2, 1, 0, 132, 100, 0, 100, 132 + 32 + 99),
            record(2, 8, 0, 132, 4, 9, 16384, 132 + 160 + 33)]
    put("obj", [b"\1\0\7" + r for r in recs] + [b"\0\0\0" + recs[0]])


def node():
    def row(level, count, ents):
        return (struct.pack(">BBHIQ", 1, level, count, 0, 42) + b"N" * 12 +
                b"T" * 16 + b"e" * ents)

    rows = [(0, 1, 40), (0, 64, 2560), (1, 1, 16), (2, 256, 4096),
            (0, 0, 0), (0, 2, 40), (1, 257, 4112)]
    put("node", [bytes([flags, level]) + struct.pack(">QH", 3, 9) +
                 row(level, count, ents)
                 for flags in (1, 2) for level, count, ents in rows] +
        [b"\0\0" + bytes(10) + row(0, 1, 40)])


def blob():
    head = b"SFKB\1\1\0\0" + UUID + struct.pack(">I", 3)
    whole = head + b"s" * 104

    def sealed(at, mask, value):
        return (b"\1" + UUID + struct.pack(">I", 1) + b"K" * 32 +
                bytes([at, mask]) + value)

    put("blob", [b"\0", b"\0" + whole, b"\0" + whole[:-1],
                 b"\0" + whole + b"x", b"\0SFKB\2" + whole[5:]] +
        [sealed(at, 1, b"some value") for at in
         (0, 5, 7, 8, 24, 28, 44, 56, 83, 84, 115, 116, 131)] +
        [sealed(at, 1, b"v\0" + b"P" * n) for n, at in
         ((1, 0), (1, 84), (1, 101), (33, 132), (4096, 0), (4096, 70),
          (4096, 131), (5000, 9))] +
        [sealed(0, 0, b"v\0" + b"P" * 4096)] +
        [sealed(0, 0, b"v"), sealed(255, 1, b"v"), sealed(255, 1, b"other"),
         sealed(0, 0, b""), sealed(0, 0, b"\xff"), sealed(0, 0, b"v" * 600)] +
        far_blobs())


def providers():
    path = b"/usr/lib/softhsm/libsofthsm2.so"
    whole = (b"pkcs11:token=a%20b;serial=00ff;slot-id=7;object=keys"
             b"?module-path=" + path + b"&pin-source=file:/etc/pin\0")
    bad = [b"pkcs11:token=%0", b"pkcs11:token=%00", b"pkcs11:token",
           b"pkcs11:token=a;token=b", b"pkcs11:token=a;",
           b"pkcs11:slot-id=99999999999", b"pkcs11:pin-source=/x",
           b"pkcs11:token=a?pin-value=1234", b"pkcs11:token=a?module-path=x",
           b"pkcs11:token=a?pin-source=|sh", b"pkcs11:id=%01", b"http://x",
           b"pkcs11:token=" + b"a" * 40]
    opts = b"token\0a\0pin-source\0credential:pin\0sessions\0" + b"16\0iv\0token\0"
    put("p11uri", [whole, b"pkcs11:", path + b"\0" + opts,
                   whole + b"sessions\0" + b"0\0", whole + b"iv\0none\0"] + bad)
    put("provconf", [whole, path + b"\0" + opts, b"", b"\0", b"a\0b\0",
                     b"a\0b\0c\0", b"a\0b\0c\0b\0c\0", b"a",
                     b"u\0" + b"".join(b"n%d\0v\0" % i for i in range(25)),
                     b"u" * 1024 + b"\0"])


def far_blobs():
    def head(suite, nonce=bytes(12), salt=bytes(16), commit=bytes(28)):
        return (b"SFKB\1" + bytes([suite]) + b"\0\0" + UUID +
                struct.pack(">I", 1) + salt + nonce + commit)
    n = bytes(range(12))
    return [b"\0" + h for h in (
        head(2, n) + bytes(48), head(2, n) + bytes(17), head(2, n) + bytes(16),
        head(4) + b"vault:v1:abc", head(4), head(4, n) + b"x",
        head(2, n, b"\1" * 16) + bytes(48), head(3) + bytes(48),
        head(4) + bytes(6060), head(4) + bytes(6061))]


def tokens():
    head = b"SFIT\1\1\0\0" + UUID + struct.pack(">q", 1795132800)
    ours = UUID + b"\2" + struct.pack(">q", 1795132800)

    put("tokens",
        [b"\0", b"\0" + head, b"\0" + head + b"s" * 60,
         b"\0" + head + b"s" * 2300, b"\0SFIT\2" + head[5:] + b"s" * 60,
         b"\0SFIT\1\4" + head[6:] + b"s" * 60] +
        [b"\1" + ours + struct.pack(">H", 99) + b"K" * 100 +
         struct.pack(">HB", at, mask) + b"wrapped" * 60
         for at, mask in ((0, 0), (0, 1), (5, 2), (8, 4), (24, 8), (32, 16),
                          (44, 32), (143, 64), (159, 128))] +
        [b"\2", b"\2AAAA", b"\2" + b"A" * 108, b"\2" + b"A" * 107 + b"=",
         b"\2" + b"A" * 200] +
        [b"\3" + UUID + b"g" * 32 + bytes([at]) + c
         for at, c in ((0, b"A"), (50, b"z"), (107, b"="), (107, b"A"))])


def context():
    put("context", [
        b"\0", b"\x54k\0v\0", b"\0b\0\x32\0a\0\x31\0", b"\0a\0bc\0ab\0c\0",
        b"\0k\0" + b"1\0k\0" + b"2\0", b"\0k\0\xff\0", b"\0\0\0",
        b"\xff" + b"".join(b"%c\0%d\0" % (97 + (7 * i) % 26, i)
                           for i in range(26)),
        b"\0long\0" + b"x" * 9000, b"\0k\0" + b"y" * 500,
        b"\x10\xc3\xa9\0\xe2\x82\xac\0z\0\xf0\x9f\x98\x80\0",
        b"ctx1\0\0\0\0", b"ctx1\0\0\0\1\0\0\0\1a\0\0\0\0",
        b"ctx1\0\0\0\2\0\0\0\1a\0\0\0\1b\0\0\0\1c\0\0\0\0",
        b"ctx1\0\0\0\2\0\0\0\1b\0\0\0\0\0\0\0\1a\0\0\0\0",
        b"ctx1\0\0\0\1\xff\xff\xff\xff", b"ctx1\0\0\0\x41",
        b"ctx1\0\0\0\1\0\0\0\1\0\0\0\0\0"])


def slot():
    def number(v):
        return b"\0" + bytes([v])

    def wide(v):
        return b"\1" + struct.pack(">q", v)

    def text(s):
        return b"\3" + bytes([len(s)]) + s

    def bytes_of(code, n, fill):
        return b"\2" + bytes([code]) + fill * n

    salt, sealed = bytes_of(252, 32, b"s"), bytes_of(253, 60, b"w")

    def row(n, kind, path, t, m, p):
        return (number(n) + number(kind) + text(path) + salt + number(t) +
                wide(m) + number(p) + sealed + wide(1795000000))

    key_file = row(0, 1, b"/etc/key", 0, 0, 0)
    phrase = row(1, 2, b"", 3, 65536, 4)
    put("slot", [
        b"", key_file, phrase, key_file + phrase + row(2, 3, b"name", 0, 0, 0),
        row(16, 1, b"k", 0, 0, 0), row(0, 4, b"k", 0, 0, 0),
        row(0, 2, b"", 17, 65536, 4), row(0, 2, b"", 3, 1 << 40, 4),
        row(0, 2, b"", 3, -1, 4), row(0, 1, b"k", 3, 65536, 4),
        row(0, 1, b"a\0b", 0, 0, 0),
        b"".join(row(i, 1, b"k", 0, 0, 0) for i in range(16)),
        b"".join(row(i % 16, 1, b"k", 0, 0, 0) for i in range(17)),
        b"\5" * 9, b"\4\0\10" * 9,
        number(0) + number(1) + b"\3\xff" + b"p" * 4096])


def audit():
    line = b'{"seq":7,"a":"b","mac":"' + b"0123456789abcdef" * 4 + b'"}'
    bodies = b'"a":1\n"eventName":"Decrypt","x":"y"\n"b":2'

    def chained(place, mask, text):
        return b"\1" + struct.pack(">HB", place, mask) + text

    put("audit", [
        b"\0", b"\0" + line, b"\0" + line[:-1], b"\0" + line.replace(
            b'7', b'99999999999999999999'), b"\0" + line.replace(b'a":', b'\0":'),
        b"\0" + line[:9] + line[16:], b"\0{\"seq\":}",
        chained(0, 0, b""), chained(65535, 0, bodies), chained(0, 1, bodies),
        chained(9, 1, bodies), chained(40, 2, bodies), chained(87, 1, bodies),
        # A letter of the first mac in upper case.
        b"\1\0<\x20\"a\"81\n ev\":\"y*\n\"\xec\":2",
        chained(60, 0x20, bodies), chained(120, 0xff, bodies),
        chained(200, 4, bodies * 3), chained(0, 0, b"\n\n\n"),
        b"\2", b"\2a\5\n\1", b"\2a\5\n\1b\3", b"\2\n\x7f",
        b"\2a\xff\n\1b\4\n\1", b"\2a\xbf\n\1", b"\2a\xc0\n\1", b"\2a\xff",
        b"\2a\xffb\xc8\n\1c\1\n\1", b"\2\0\1\n\1"])


def auditmark():
    z = b"0123456789abcdef" * 4
    mark = (b"ssefs-audit-1 " + UUID_TEXT + b" 9 1 2 1795710586 " + z + b" " +
            z + b" ")
    key = (b"ssefs-audit-key-1 " + UUID_TEXT + b" 2 9 " + z + b" " + z * 2)
    extra = (b',"additionalEventData":{"checkpoint":"' + mark + b'-",'
             b'"signature":"' + z * 2 + b'"}')
    body = b'{"seq":9,"eventName":"AuditCheckpoint"' + extra
    line = body + b',"mac":"' + z + b'"}'
    plain = (b'{"seq":%d,"userIdentity":{"userName":"root"},"eventTime":'
             b'"2026-11-20T23:36:06Z","eventName":"Decrypt","errorCode":"x",'
             b'"requestParameters":{"keyId":"alias/a","encryptionContext":'
             b'{"eventName":"no"}},"resources":[{"ARN":"arn:x:key/1",'
             b'"accountId":"1"}],"mac":"' + z + b'"}')
    put("auditmark", [
        b"\0" + mark + b"-", b"\0" + mark + z, b"\0" + mark,
        b"\0" + mark.replace(b" 9 ", b" 09 ") + b"-",
        b"\0" + mark.upper() + b"-", b"\0" + mark + z.upper(),
        b"\1" + key, b"\1" + key[:-1], b"\1" + key.replace(b" 2 ", b" 0 "),
        b"\2" + struct.pack(">H", len(body)) + line,
        b"\2" + struct.pack(">H", len(body) - 1) + line,
        b"\2" + struct.pack(">H", len(extra)) + extra,
        b"\2" + struct.pack(">H", len(extra) - 1) + extra[1:],
        b"\3keys.db-audit.log", b"\3keys.db-audit.log.2",
        b"\3keys.db-audit.log.1", b"\3keys.db-audit.log.02",
        b"\3keys.db-audit.log.99999999999999999999", b"\3keys.db-audit.logx",
        b"\4Decrypt\0root\0001\0002026-11-20T23:36:06Z\0" + plain % 1,
        b"\4no\0\0\0\0" + plain % 1, b"\4\0\0alias/a\0\0" + plain % 1,
        b"\4\0\0arn:x:key/1\0\0" + plain % 1, b"\4\0\0\0\0",
        b"\5" + plain % 1 + b"\n" + plain % 2 + b"\n" + plain % 4,
        b"\5" + line + b"\n" + plain % 10, b"\5" + plain % 3 + b"\n" +
        plain % 2 + b"\nx\n" + plain % 0])


auditmark()


def keyname():
    names = [b"", UUID_TEXT, UUID_TEXT.upper(), b"alias/mine", b"alias/",
             b"alias/aws/s3", b"alias/acs/oss", b"obs/default",
             b"alias/ssefs/default", b"service/aes256", b"mine",
             b"alias/" + b"a" * 250, b"alias/" + b"a" * 251,
             ARN + b"key/" + UUID_TEXT, ARN + b"alias/mine",
             ARN + b"alias/aws/s3", ARN + b"key/", ARN + b"key/alias/x",
             b"arn:aws:kms:eu-west-1:1:key/" + UUID_TEXT,
             b"arn:aws:s3:::x", b"arn:aws:kms::000000000000:alias/x",
             b"arn:aws:kms:us-east-1", b"alias/" + b"alias/x", b"a b",
             "é".encode(), b"\xff", b"quo\"te", b"x" * 320]
    put("keyname", [b"000000000000\0us-east-1\0" + n for n in names] +
        [b"\0\0alias/x", b"t.e-n_t\0" + b"r" * 64 + b"\0alias/x",
         b"t" * 65 + b"\0r\0alias/x"])


def storename():
    put("storename", [
        b"", b"abc", b"ab", b"a" * 63, b"a" * 64, b"my-bucket.v2", b"-abc",
        b"abc.", b"a..b", b"192.168.0.1", b"1921.168.0.1", b"1.2.3.4.5",
        b"ABC", b"a_b", b"a\0b", b".", b"..", b"...", b"a/b", b"n" * 255,
        b"n" * 256, b"None", b"AES256", b"KMS", b"KMS:", b"KMS:alias/x",
        b"none", b"\n", b"abc\n"])


def opts():
    lists = [
        (b"ro,,allow_other,uid=1000,gid=0,umask=077", b"user=al,commit=30"),
        (b"sse=aws:kms,sse_kms_key_id=alias/a\\,b", b"store=/s"),
        (b"cache_size=64M,map_cache=1M,db_cache=2g", b"dirty_size=64K000"),
        (b"x-systemd.automount,_netdev,nofail,comment=", b"defaults"),
        (b"uid=4294967295", b""), (b"uid=4294967294,umask=777", b"umask=8"),
        (b"threads=1", b""), (b"threads=2,commit=3600", b"commit=0"),
        (b"user", b"user="), (b"ro=1", b""), (b"unknown", b"ro"),
        (b"inode_cache=1024G", b"map_cache=99999999999999999999"),
        (b"store=a\\", b"b"), (b"store=a\\\\", b"rw"), (b",", b","),
        (b"noatime,nodiratime,dirsync,sync,nodev", b"dev,suid,noexec")]
    words = [
        [b"docs", b"/mnt", b"--store", b"S"],
        [b"/", b"/mnt", b"-o", b"store=S,ro", b"-f"],
        [b"-oro,store=S", b"--sse=AES256", b"--", b"-b", b"-m"],
        [b"d", b"m", b"--store=S", b"--sse-kms-key-id", b"alias/x"],
        [b"d", b"m", b"--store=S", b"--sse", b"None", b"--sse-kms-key-id=k"],
        [b"d", b"m", b"--store=S", b"--sse=KMS", b"--sse_kms_key_id=" +
         b"k" * 320], [b"d", b"m", b"x"], [b"-o"], [b"--store"], [b"-x"],
        [b"d", b"m", b"--store=S", b"--user=" + b"u" * 65], [b"--foreground=1"]]
    put("opts", [b"\0" + a + b"\0" + b + b"\0" for a, b in lists] +
        [b"\1" + b"".join(w + b"\0" for w in ws) for ws in words])


def args():
    everything = b"\xff" * 8
    no_pass = struct.pack(">Q", (1 << 64) - 1 - (1 << 12))

    def line(mask, least, more, *words):
        return mask + bytes([least, more]) + b"".join(w + b"\0" for w in words)

    put("args", [
        line(everything, 0, 9, b"mount", b"docs", b"/mnt", b"--unknown", b"-z"),
        line(no_pass, 0, 9, b"--json", b"--store", b"S", b"--sse=KMS:x", b"a"),
        line(no_pass, 0, 9, b"--store=/s", b"-o", b"ro", b"-orw,uid=1"),
        line(no_pass, 0, 9, b"-rfsvn", b"-tnone", b"-N", b"x", b"--", b"-a"),
        line(no_pass, 0, 9, b"--help"), line(no_pass, 0, 9, b"-h", b"x"),
        line(no_pass, 2, 0, b"one"), line(no_pass, 0, 1, b"one", b"two"),
        line(no_pass, 0, 9, b"--json=1"), line(no_pass, 0, 9, b"--store"),
        line(no_pass, 0, 9, b"--", b"--", b"--json"), line(bytes(8), 0, 9,
                                                          b"--store=x"),
        line(no_pass, 0, 9, b"0", b"007", b"64K", b"10m", b"2G", b"1T", b"-1",
             b"18446744073709551615", b"18446744073709551616",
             b"18014398509481984K", b"17179869183g", b"", b"-")])


def control():
    requests = [b"sync", b"stats", b"bucket-ls", b"bucket-create docs",
                b"bucket-create docs KMS:alias/x", b"bucket-rm a%20b",
                b"encryption-get docs", b"encryption-set docs None",
                b"scrub 0 0", b"scrub 1 18446744073709551615",
                b"scrub 1 18446744073709551616", b"scrub 2 0", b"", b" ",
                b"sync ", b"bucket-rm ", b"bucket-rm %", b"bucket-rm %0",
                b"bucket-rm %00", b"bucket-rm %2F%c3%A9\xc3\xa9", b"nothing",
                b"bucket-rm a b", b"encryption-set docs", b"bucket-rm a\tb",
                b"bucket-rm " + b"x" * 512, b"bucket-rm " + b"x" * 513,
                b"bucket-create " + b"%41" * 512 + b" " + b"%7f" * 512,
                b"stats" + b" " * 4091]
    answers = [b"row", b"row ", b"row docs KMS", b"row a b c d e f g h i j",
               b"row %20 %0a", b"progress 10 20", b"progress 10", b"ok",
               b"ok ", b"bad 7 4096 ERR_AUTH the ciphertext was altered",
               b"bad 7 4096 ERR_NEW x%0ay", b"err ERR_NOENT", b"err ERR_NOENT ",
               b"err ERR_NOTEMPTY it has names", b"err  ", b"progress  1 2",
               b"progress 18446744073709551616 0", b"what", b"row a\0b"]
    put("control", [b"\0" + r for r in requests] +
        [b"\1" + a for a in answers])


def segrec():
    def row(version, level, cipher, based, tail=b""):
        return (bytes([version, level, cipher, based]) + bytes(4) +
                struct.pack(">Q", 9) + UUID + b"R" * 16 + b"B" * 16 +
                b"N" * 12 + b"T" * 16 + bytes(4) + tail)

    rows = [row(1, 0, 0, 0), row(1, 4, 1, 1), row(1, 5, 0, 0), row(2, 0, 0, 0),
            row(1, 1, 2, 0), row(1, 1, 1, 2), row(1, 1, 1, 1, b"x"),
            row(1, 0, 0, 0)[:-1], row(1, 0, 1, 0)[:8], b""]
    put("segrec", [b"\1\0\7" + r for r in rows] + [b"\0\0\0" + rows[0]] +
        [b"\1" + struct.pack(">H", 8 * byte + 3) + rows[1]
         for byte in (4, 8, 20, 40, 50, 70, 80, 95)])


def epoch():
    def page(value, wake=0, owner=0, acked=0, n=64):
        # The machine's own byte order, as the file is.
        return (b"SSEFSEP1" + struct.pack("=QII", value, wake, wake) +
                bytes(8) + struct.pack("=QQ", owner, acked) * n)

    top = (1 << 64) - 1
    pages = [b"", b"SSEFSEP1", page(0), page(top), page(top - 1, top >> 32),
             page(5, 0, 1 << 32 | 77, 3), page(5, 0, top, top),
             page(1 << 63, 1, 1, 0), page(7, n=3), page(7, n=65),
             b"\xff" * 1056, bytes(5000)]
    put("epoch", [bytes([flags]) + p for flags in (2, 6) for p in pages] +
        [b"\1" + b"\xff" * 40, b"\3" + bytes(40)])


def number(v):
    return b"\0" + bytes([v])


def wide(v):
    return b"\1" + struct.pack(">q", v)


def text(s):
    return b"\3" + bytes([len(s)]) + s


def keyrows():
    def blob(code, n, fill):
        return b"\2" + bytes([code]) + fill * n

    uuid, sealed = blob(250, 16, b"u"), blob(251, 60, b"s")

    def key(row=1, state=0, kind=0, tenant=b"000000000000", uuid=uuid):
        return (b"\0" + number(row) + uuid + text(tenant) + number(state) +
                number(kind) + wide(1795000000) + text(b"words"))

    def version(n=1, uuid=uuid, sealed=sealed):
        return b"\1" + uuid + number(n) + wide(1795000000) + sealed

    def grant(ops=1, name=b"", context=b"ctx1\0\0\0\0"):
        return (b"\x81" + text(b"0" * 64) + uuid + text(name) +
                text(b"arn:aws:iam::000000000000:user/a") + text(b"") * 2 +
                number(ops) + number(0) +
                blob(len(context), 1, context) + wide(1795000000))

    def rest(origin=0, imported=blob(0, 0, b""), policy=b""):
        return (b"\x82" + number(0) * 3 + number(origin) + number(0) +
                imported + text(policy))

    alias = b"\2" + text(b"000000000000") + text(b"alias/x") + uuid
    other = blob(250, 16, b"v")
    put("keyrows", [
        b"", key(), key() + version(), key() + version() + alias,
        key() + version() + version(2) + version(3), key() + version(2),
        key() + version(0), version(), alias, key(state=5) + version(),
        key(kind=3) + version(), key(row=0) + version(),
        key(tenant=b"a\0b") + version(), key() + key() + version(),
        key() + version() + version(), key() + version() +
        key(2, 1, 1, b"t", other) + version(1, other),
        key() + version(sealed=blob(59, 59, b"s")),
        key() + version(sealed=text(b"s" * 60)),
        b"\0" + b"\5" * 7, b"\0" + b"\4\0\10" * 7, b"\1" + b"\5" * 4,
        b"\3" + wide(-1), b"\3" + text(b"x"), b"\3\5",
        b"\0" + number(1) + uuid + b"\3\374" + b"t" * 64 + number(0) * 3 +
        b"\3\376" + b"d" * 1024 + version(),
        key() + version() + grant(), key() + version() + grant(ops=0),
        key() + version() + grant(ops=8) + grant(name=b"n" * 249),
        key() + version() + grant(context=b"ctx1\0\0\0\1"), grant(),
        key() + version() + grant(context=b""),
        key(state=2) + rest(origin=1), key(state=3) + rest(origin=1),
        key() + rest(origin=1), key() + version() + rest(origin=2),
        key() + version() + rest(policy=b"{}"),
        key() + version() + rest(imported=blob(251, 60, b"i")),
        key() + version() + rest(imported=blob(32, 32, b"i"), origin=1),
        key() + version() + b"\x80" + number(1),
        key() + version() + b"\x80" + number(9),
        b"\0" + number(1) + uuid + b"\3\375" + b"t" * 65 + number(0) * 3 +
        b"\3\377" + b"d" * 1025 + version()])


def rows():
    (SUPER, INODE, DENTRY, SYMLINK, XATTR, DFLT, NODE, SEGMENT, BASE, ALLOC,
     ORPHAN, DEAD, KEYREF) = range(13)
    top = (1 << 63) - 1

    def change(table, row, col, value):
        return bytes([0, table, row, col]) + value

    def add(table, *values):
        return bytes([1, table, 0]) + b"".join(values)

    def bit(table, row, n):
        return bytes([3, table, row]) + struct.pack(">H", n)

    def long(n, fill=b"x"):
        """The lengths that have a code of their own."""
        return b"\2" + bytes([248 + n]) + fill * (
            16, 48, 60, 96, 300, 4095, 4096, 20000)[n]

    seeds = [b"", b"\1", b"\2", b"\4", b"\x0e", b"\x0f"]
    # Every column of every table: an odd number, a high one, a text, nothing.
    width = (8, 14, 3, 2, 3, 2, 4, 3, 6, 2, 1, 2, 3)
    for t, n in enumerate(width):
        for value in (number(0), wide(-1), wide(top), wide(1 << 40),
                      text(b"text"), b"\5", b"\4\0\3"):
            seeds.append(b"\x06" + b"".join(
                change(t, 1 + c, c, value) for c in range(n)))
            if value in (wide(top), text(b"text")):
                seeds += [b"\x0e" + change(t, 2, c, value) for c in range(n)]
        seeds += [b"\x0e" + bytes([2, t, i]) for i in (0, 1)]
    # Rows that took memory, or time.
    seeds += [
        b"\6" + add(ALLOC, wide(524287), long(6, b"\0")),
        b"\6" + add(ALLOC, wide(524288), long(6, b"\0")),
        b"\x0e" + change(ALLOC, 0, 1, long(6, b"\0")),
        b"\x0e" + change(ALLOC, 0, 1, long(6, b"\xff")),
        b"\x0e" + change(ALLOC, 0, 1, long(5)),
        b"\6" + change(SUPER, 0, 4, wide(1 << 46)) + b"".join(
            change(INODE, i, 9, number(4)) for i in range(6)),
        b"\x0e" + change(SUPER, 0, 4, number(4)) +
        change(SUPER, 0, 5, number(1)),
        b"\6" + b"".join(add(DENTRY, number(2), text(n), number(5)) for n in
                         (b"a/b", b"a\0b", b".", b"..", b"/", b"../",
                          b"sub/", b"x" * 200)),
        b"\6" + add(DENTRY, number(2), long(4), number(5)),
        b"\6" + add(DENTRY, number(4), text(b"loop/"), number(2)),
        b"\x0e" + b"".join(add(DEAD, number(i), wide(v)) for i in range(1, 7)
                           for v in (0, -1)),
        b"\x0e" + b"".join(add(ORPHAN, number(i)) for i in range(1, 12)),
        b"\6" + add(XATTR, number(5), text(b"user.\0"), number(1)),
        b"\6" + add(XATTR, number(5), long(4), number(1)),
        b"\6" + change(SYMLINK, 0, 1, text(b"a\0b")),
        b"\6" + change(SYMLINK, 0, 1, long(6)),
        b"\6" + change(DFLT, 0, 1, text(b"KMS:")),
        b"\6" + change(DFLT, 0, 1, long(4)),
    ]
    for t, rec in ((INODE, 340), (NODE, 244), (SEGMENT, 96)):
        seeds += [bytes([6 + 8 * (n % 2)]) + b"".join(
            bit(t, i, 8 * (n + i)) for i in range(12))
            for n in range(0, rec, 18)]
        seeds += [b"\x0e" + bytes([4, t, i, j])
                  for i in range(4, 10) for j in range(4, 10) if i != j][:12]
    put("rows", seeds)


def acl():
    def e(tag, perm, who=0xffffffff):
        return struct.pack("<HHI", tag, perm, who)
    head = struct.pack("<I", 2)
    plain = head + e(1, 6) + e(4, 4) + e(32, 0)
    full = (head + e(1, 7) + e(2, 6, 1001) + e(2, 0, 1002) + e(4, 5) +
            e(8, 3, 2000) + e(16, 6) + e(32, 1))
    put("acl", [m + b for m in (b"\1\xb4", b"\x0f\xff") for b in (
        plain, full, head + e(1, 6) + e(4, 4) + e(16, 2) + e(32, 4),
        full[:-8], head, head + e(32, 1) + e(1, 7) + e(4, 0),
        head + e(1, 7) + b"".join(e(2, i % 8, i) for i in range(507)) +
        e(4, 1) + e(16, 7) + e(32, 0))])


def manifest():
    z = b"0" * 64
    def text(epoch=b"7", base=b"3 " + b"ab" * 32, keys=True, end=b"",
             first=b"ssefs backup 1", index=b"128", damaged=b"0"):
        files = [b"meta.db 8192", b"index " + index, b"blocks 8192"]
        if keys:
            files += [b"keys.db 40960", b"keys.db-audit.log 0"]
        return (first + b"\nstore d58bf38d-1caa-c11a-0251-a3a5a76419e4\n"
                b"epoch " + epoch + b"\nbase " + base + b"\nstate " + z +
                b"\nmade 1795132800\ndamaged " + damaged + b"\n" +
                b"".join(b"file " + n + b" " + z + b"\n" for n in files) +
                b"digest " + z + b"\n" + end)
    put("manifest", [b"\1" + t for t in (
        text(), text(keys=False), text(base=b"0 " + z), text(epoch=b"0"),
        text(epoch=b"07"), text(epoch=b"9223372036854775807"),
        text(epoch=b"3"), text(end=b"x"), text(index=b"65"),
        text(first=b"ssefs backup 2"), text(first=b"ssefs backup 0"),
        text(damaged=b""), text()[:100])] + [b"\0" + text()])


def policy():
    key = b"arn:aws:kms:us-east-1:1:key/" + UUID_TEXT

    def ask(choice, text, action=b"kms:Decrypt", arn=key, fact=b"t:x",
            value=b"a"):
        return (bytes([choice]) + b"\0".join((action, arn, fact, value)) +
                b"\0" + text)

    def doc(version, rest, effect=b"Allow"):
        return (b'{"Version":"' + version + b'","Statement":[{"Effect":"' +
                effect + b'",' + rest + b"}]}")

    any12 = b'"Action":"kms:*","Resource":"*"'
    strings = [b"StringEquals", b"StringNotLikeIfExists",
               b"ForAllValues:StringEqualsIgnoreCase",
               b"ForAnyValue:StringNotEquals", b"StringEndWith"]
    values = [(b"NumericLessThan", b'"10"', b"9.5"), (b"Bool", b"true", b"True"),
              (b"DateGreaterThan", b'"2026-11-21T10:00:00+08:00"', b"2027-01"),
              (b"IpAddress", b'["10.0.0.0/9","::ffff:1.2.3.0/120"]', b"::1"),
              (b"BinaryEquals", b'"QmluYXJ5"', b"QmluYXJ5"),
              (b"ArnLike", b'"arn:aws:*::1:user/?*"', b"arn:aws:iam::1:user/u"),
              (b"Null", b"false", b"")]

    def cond(op, value):
        return any12 + b',"Condition":{"' + op + b'":{"t:x":' + value + b"}}"

    put("policy", [
        ask(0, b""), ask(0, b"{}"), ask(0, b'{"Statement":[]}'),
        ask(0, doc(b"2012-10-17", any12)),
        ask(0, doc(b"2012-10-17", any12, b"Deny")),
        ask(16, doc(b"2008-10-17", b'"NotAction":"s3:*","NotResource":"*"')),
        ask(0, doc(b"1.1", b'"Action":["kms:dek:crypto","kms:cmk:*"]')),
        ask(0, doc(b"1.1", b'"Action":"*:*:*","Resource":"KMS:*:*:KeyId:*"')),
        ask(0, doc(b"1", b'"Action":"kms:De*","Resource":"acs:kms:*:1:*"//why'
                   b'\n')),
        ask(8, doc(b"2012-10-17", b'"Action":"s3:*","Resource":'
                   b'"arn:aws:s3:::${t:x, \'b\'}/${*}*"'), b"s3:PutObject",
            b"arn:aws:s3:::a/*k"),
        ask(0, b'{"Version":"2012-10-17","Statement":[{"Sid":"\\u00e9\\ud83d'
            b'\\ude00",\n"Effect":"Allow","Action":"*","Resource":"*"}]}'),
        ask(0, b"[" * 9), ask(0, b'{"Id":"' + b"x" * 2100 + b'"}'),
        ask(0, b'{"a":-0.5,"b":[true,false,null]}')] +
        [ask(1, doc(b"2012-10-17", any12 + b',"Principal":' + who))
         for who in (b'"*"', b'{"AWS":["1","arn:aws:iam::1:user/u"]}',
                     b'{"AWS":"arn:aws:sts::1:assumed-role/r/u"}',
                     b'{"Service":"s"}', b'{"RAM":"1"}')] +
        [ask(33, doc(b"2012-10-17", any12 + b',"NotPrincipal":{"Service":"s"}',
                     b"Deny")),
         ask(1, doc(b"1", any12 + b',"Principal":{"RAM":"acs:ram::1:*"}')),
         ask(1, doc(b"1.1", b'"Action":"kms:*:*","Principal":{"ID":'
                    b'"domain/1:user/u"}'))] +
        [ask(2, doc(b"1.1" if b"With" in op else b"2012-10-17",
                    cond(op, b'["a","${aws:username}"]')).replace(
                        b'"kms:*"', b'"*"')) for op in strings] +
        [ask(2, doc(b"2012-10-17", cond(op, v)), value=have)
         for op, v, have in values] +
        [ask(0xc6, doc(b"2012-10-17", any12 + b',"Condition":{"StringEquals":'
                       b'{"kms:EncryptionContext:dept":"hr"},"NotIpAddress":'
                       b'{"aws:SourceIp":"1.2.3.4"}}'), fact=b"dept",
             value=b"hr")])


def sealed():
    """Kinds of edits at places: 2 + 4n a mark, 3 + 4n a header, 16.. pages,
    128.. frames."""
    ask = lambda *edits: b"\0" + b"".join(bytes(e) for e in edits)
    marks, headers, record = (2, 6, 10), (3, 7), 1
    flips = [(1, at, 0, 9) for at in marks + headers + (
        record, 0, 16, 17, 20, 30, 128, 129, 133, 140)]
    every = [sum(((1, m, 0, 3) for m in marks), ()),
             sum(((1, h, 0, 3) for h in headers), ())]
    cuts = [(2, at, 0, n) for at in (16, 20, 128, 130, 3) for n in (0, 40)]
    cuts += [(2, 40, 0, 0), (2, 180, 1, 0)]
    back = [(3, at, 0, at) for at in marks + headers + (16, 20, 25, 128, 131)]
    moves = [(3, 129, 1, 128), (3, 17, 1, 18), (3, 16, 1, 128), (3, 7, 1, 3)]
    told = [(4, m, 0, off, 4) + (255,) * 4 for m in marks
            for off in (4, 8, 12, 24)]
    told += [(4, 3, 0, off, 8) + (7,) * 8 for off in (0, 8, 16, 24)]
    told += [(4, 128, 0, off, 4, 0, 0, 0, 1) for off in (0, 4, 8, 100)]
    told += [(4, at, 0, off, 4, 255, 0, 255, 0) for at in (16, 17, 22, 26)
             for off in (0, 3, 8, 100)]
    put("sealed", [ask(e) for e in flips + every + cuts + back + moves + told] +
        [b"\1" + ask(e)[1:] for e in flips[:4] + cuts[:2] + told[:3]] +
        [ask((0, 1, 0, 0, 8) + (0,) * 8), ask((0, 0, 0, 60, 4, 0, 0, 0, 1)),
         ask((1, 10, 0, 3), (2, 129, 0, 0)), ask((3, 16, 0, 16), (3, 17, 0, 17)),
         ask((1, 128, 0, 0), (1, 10, 0, 1), (1, 2, 0, 1))])


def audithead():
    ask = lambda *edits, flags=3: bytes([flags]) + b"".join(
        bytes(e) for e in edits)
    u64 = lambda v: tuple(struct.pack(">Q", v))
    numbers = [0, 1, 5, 1 << 32, 1 << 60, (1 << 62) - 1, (1 << 63) - 1, 1 << 63,
               (1 << 64) - 1]
    head = [(0, at, 8) + u64(v) for at in (0, 8, 80, 88, 96, 104, 112, 120, 128)
            for v in numbers[:1] + numbers[4:8]]
    head += [(0, at, 1, 255) for at in (16, 48, 136, 167)]
    whole = [(1, 2, 249), (1, 2, 253), (1, 2, 252), (1, 2, 0), (1, 0, 7),
             (1, 4, 2, 65, 66), (1, 5), (1, 2, 249) + (0,) * 15 + (9,)]
    rows = [(2, n, c, 1) + u64(v) for n in (1, 3) for c in (0, 1, 3, 4, 5)
            for v in (0, 1 << 62, 1 << 63)]
    rows += [(2, 3, c, 2, 32) + (7,) * 32 for c in (6, 7, 8)]
    rows += [(3, n) for n in (1, 2, 3)]
    rows += [(3, 128, 0, n, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 2, 248) + (1,) * 32 +
             (2, 250) + (2,) * 64 + (2, 251) + (3,) * 60 for n in (4, 9)]
    sets = [(4, k, 1) + u64(v) for k in range(4) for v in numbers[:4] +
            numbers[6:]]
    files = [(5, i, 0, 1, 9) for i in range(3)]
    files += [(5, i, 1, 0, n) for i in range(3) for n in (0, 100)]
    files += [(5, i, 1, 255, 255) for i in range(3)]
    files += [(5, i, 2, 3, 120, 121, 10) for i in range(3)]
    files += [(5, i, 3) for i in range(3)] + [(5, 0, 4, 1), (5, 2, 4, 0)]
    put("audithead", [ask(e) for e in head + whole + rows + sets + files] +
        [b"", b"\3", ask((5, 2, 3), whole[0]), ask(head[0], head[6], (5, 2, 3))])


for make in (acl, codec, json, jdoc, sigv4, awscred, remote, obj, node, blob, providers, tokens, context, slot, audit, keyname,
             storename, opts, args, control, segrec, epoch, keyrows, rows,
             manifest, policy, kmsapi, sealed, audithead):
    make()
