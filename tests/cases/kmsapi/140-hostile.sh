#!/bin/sh
# Clients that mean harm, and that the others are served meanwhile.
# Serves: R7 R18 R25
. "$(dirname "$0")/../../lib.sh"

new_store
py <<'END'
import http.client, json, os, socket, ssl, threading, time
from kmsapi import Api, Server, head, sign, user
from lib import eq, ok, until

srv = Server()
alice = user("alice", "--admin")
api = Api(srv, alice)
key = api("CreateKey")["KeyMetadata"]["KeyId"]


def rss():
    for line in open("/proc/%d/status" % srv.pid):
        if line.startswith("VmRSS"):
            return int(line.split()[1])


def threads():
    return len(os.listdir("/proc/%d/task" % srv.pid))


def served(desc):
    """By a connection of its own."""
    a = Api(srv, alice)
    eq(a("DescribeKey", KeyId=key)["KeyMetadata"]["KeyId"], key, desc)
    a.conn.close()


def told(desc, op, body, kind, status=400):
    st, h, text = api.raw(op, body)
    j = json.loads(text)
    eq((st, j["__type"]), (status, kind), "%s: %s" % (desc, kind))
    return j["message"]


# ---- Bodies
for desc, body in (
        ("not JSON", b"nonsense"), ("nothing", b""), ("half", b'{"Limit":'),
        ("more behind", b'{}{}'), ("an array", b"[]"), ("a number", b"1"),
        ("bad UTF-8", b'{"Marker":"\xff\xfe"}'),
        ("half a surrogate", b'{"Marker":"\\ud800"}'),
        ("a NUL", b'{"Marker":"a\\u0000b"}'),
        ("a name twice", b'{"Limit":1,"Limit":2}'),
        ("a name twice, escaped", b'{"Limit":1,"\\u004cimit":2}'),
        ("deep", b'{"a":' * 2000 + b"1" + b"}" * 2000),
        ("deep lists", b'{"a":' + b"[" * 100000),
        ("a large number", b'{"Limit":1' + b"0" * 400 + b"}"),
        ("many members", b"{" + b",".join(
            b'"m%d":1' % i for i in range(9000)) + b"}")):
    told(desc, "ListKeys", body, "SerializationException")
m = told("a context key twice", "Encrypt", b'{"KeyId":"' + key.encode() +
         b'","Plaintext":"AA==","EncryptionContext":{"a":"1","a":"2"}}',
         "SerializationException")
told("a long context", "Encrypt",
     {"KeyId": key, "Plaintext": "AA==",
      "EncryptionContext": {"a": "x" * 8200}}, "ValidationException")
told("a string for a list", "TagResource", {"KeyId": key, "Tags": "x"},
     "SerializationException")
told("a long name", "DescribeKey", {"KeyId": "k" * 2049},
     "ValidationException")
told("a strange name", "DescribeKey", {"KeyId": "arn:aws:kms:::::key/x"},
     "InvalidArnException")
told("quotes", "DescribeKey", {"KeyId": "a'b\"c\\d\n"}, "NotFoundException")
for op in "", "Nonsense", "x" * 3000, "List%Keys", "../ListKeys":
    told("no operation %.12r" % op, op, {}, "UnknownOperationException")
told("too large", "ListKeys", b"{" + b" " * (256 << 10) + b"}",
     "RequestEntityTooLargeException", 413)
served("others are served")

# ---- Lines and headers
def raw(data, wait=5):
    """What comes back for these bytes, until the server closes."""
    s = srv.connect()
    s.settimeout(wait)
    got = b""
    try:
        s.sendall(data)
        while True:
            b = s.recv(65536)
            if not b:
                break
            got += b
            if b"\r\n\r\n" in got:
                break
    except (OSError, ssl.SSLError):
        pass
    s.close()
    return got


for desc, data in (
        ("a long line", b"POST /" + b"a" * 70000 + b" HTTP/1.1\r\n\r\n"),
        ("a long header", b"POST / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 70000 +
         b"\r\n\r\n"),
        ("many headers", b"POST / HTTP/1.1\r\nHost: x\r\n" + b"".join(
            b"H%d: 1\r\n" % i for i in range(5000)) + b"\r\n"),
        ("no HTTP", b"\x00\x01\x02\x03\r\n\r\n"),
        ("another method", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("another path", b"POST /x HTTP/1.1\r\nHost: x\r\n"
         b"Content-Length: 0\r\n\r\n"),
        ("a query", b"POST /?a=b HTTP/1.1\r\nHost: x\r\n"
         b"Content-Length: 0\r\n\r\n"),
        ("a length that is none", b"POST / HTTP/1.1\r\nHost: x\r\n"
         b"Content-Length: -1\r\n\r\n"),
        ("a huge length", b"POST / HTTP/1.1\r\nHost: x\r\n"
         b"Content-Length: 99999999999999999999\r\n\r\n"),
        ("a huge body to come", b"POST / HTTP/1.1\r\nHost: x\r\n"
         b"Content-Length: 1000000000\r\n\r\n")):
    got = raw(data)
    ok(b" 200 " not in got.split(b"\r\n")[0], "%s: %r" %
       (desc, got.split(b"\r\n")[0]))
served("others are served")

# Chunks without end: cut off long before the memory is.
before = rss()
s = srv.connect(20)
sent = 0
try:
    s.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
              b"\r\n")
    chunk = b"10000\r\n" + b"a" * 65536 + b"\r\n"
    while sent < 64 << 20:
        s.sendall(chunk)
        sent += 65536
except (OSError, ssl.SSLError):
    pass
s.close()
ok(sent < 16 << 20, "endless chunks are cut off (after %d KiB)" % (sent >> 10))
ok(rss() - before < 32 << 10, "and cost no memory (%d KiB)" %
   (rss() - before))
served("others are served")

# ---- Slow ones, half-open ones, many of them
quiet = threads()
slow = []
for i in range(30):
    s = srv.connect()
    s.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
    slow.append(s)
mute = [srv.connect() for _ in range(30)]       # TLS, and then nothing
half = [socket.create_connection((srv.host, srv.port)) for _ in range(30)]
body = []
for i in range(20):
    s = srv.connect()
    s.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
    body.append(s)
served("others are served beside 110 slow clients")
flood = []
for i in range(300):
    try:
        s = socket.create_connection((srv.host, srv.port), 5)
        flood.append(s)
    except OSError:
        break
ok(threads() < quiet + 520, "threads are bounded (%d)" % threads())
time.sleep(0.3)
a = None
for s in flood + half:
    s.close()
for i in range(50):
    try:
        served("and after 300 connections at once")
        break
    except OSError:
        time.sleep(0.2)
else:
    ok(False, "and after 300 connections at once")

# They drip, so that no silence ends them; the request's time does.
stop = threading.Event()
def drip():
    while not stop.wait(2):
        for s in slow:
            try:
                s.sendall(b"a")
            except (OSError, ssl.SSLError):
                pass
t = threading.Thread(target=drip)
t.start()
left = slow + mute + body
deadline = time.time() + 120
while left and time.time() < deadline:
    for s in list(left):
        s.settimeout(0.01)
        try:
            if s.recv(4096) == b"":
                left.remove(s)
        except (socket.timeout, ssl.SSLWantReadError, TimeoutError):
            pass
        except (OSError, ssl.SSLError):
            left.remove(s)
    time.sleep(0.5)
stop.set()
t.join()
eq(len(left), 0, "all slow clients were cut off")
served("others are served")
until(lambda: threads() <= quiet + 5)
ok(threads() <= quiet + 5, "their threads are gone (%d, %d before)" %
   (threads(), quiet))

# ---- The same request by many at once
errors = []
def many():
    try:
        a = Api(srv, alice)
        for _ in range(20):
            g = a("GenerateDataKey", KeyId=key, KeySpec="AES_256")
            d = a("Decrypt", CiphertextBlob=g["CiphertextBlob"])
            if d["Plaintext"] != g["Plaintext"]:
                errors.append("wrong bytes")
    except Exception as e:
        errors.append(repr(e))
ts = [threading.Thread(target=many) for _ in range(32)]
for t in ts:
    t.start()
for t in ts:
    t.join()
eq(errors, [], "32 connections, 1280 calls")
eq(len(open(os.environ["S"] + "/serve.log").read().split("died of signal")),
   1, "nothing died")
ok(srv.stop(), "the server ends")
END
done_testing
