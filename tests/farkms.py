#!/usr/bin/env python3
"""A key service for tests of the remote provider, which can be made to fail.

    farkms.py DIR CERT KEY [PORT]
    farkms.py --hold DIR

HTTPS on 127.0.0.1; writes its port to DIR/port when it listens.  It speaks as
much of the API of AWS KMS as the provider uses, checks signatures (access key
AKIDTEST, secret "secret", region and service of the request's own scope) with
code of its own, and keeps keys below DIR, so that it can be started anew.

What it does wrong is in DIR/mode, read at each request: a word, then a number of
requests it holds for ("-1" or none: until it changes):

    500  503  throttle   answers with that
    hang                 never answers
    cut                  closes the connection instead of answering
    half                 closes it in the middle of the answer
    garbage              200 with what is no JSON
    empty                200 with {}
    other                Decrypt and Encrypt answer with another KeyId
    long                 200 with an answer of 2 MiB
    redirect             307 to itself
    slow MS              answers after that many milliseconds (no number)
    denied               AccessDeniedException

--hold keeps a port, which it writes to DIR/held, from everybody who asks for any,
until its parent ends: the service, started with that port, can be killed and
started anew, and it is its own still.

DIR/log has a line per request that came in, what it asked for, and a line
"connection" for each of these.
"""
import base64
import ctypes
import hashlib
import hmac
import http.server
import json
import os
import re
import secrets
import signal
import socket
import socketserver
import ssl
import sys
import threading
import time

def hold(at):
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("127.0.0.1", 0))
    with open(at + "/held.new", "w") as f:
        f.write("%d\n" % s.getsockname()[1])
    os.rename(at + "/held.new", at + "/held")
    while True:
        signal.pause()


if sys.argv[1] == "--hold":
    hold(sys.argv[2])
DIR = sys.argv[1]
LOCK = threading.Lock()
ACCOUNT = "arn:aws:kms:us-east-1:111122223333:"


class Fault(Exception):
    def __init__(self, kind, text=""):
        super().__init__(kind)
        self.kind, self.text = kind, text


def path(name):
    return os.path.join(DIR, name)


def mode():
    """The word of DIR/mode and its number, one less for the next."""
    with LOCK:
        try:
            with open(path("mode")) as f:
                words = f.read().split()
        except FileNotFoundError:
            return "", 0
        if not words:
            return "", 0
        n = int(words[1]) if len(words) > 1 else -1
        if words[0] != "slow" and n >= 0:
            if n == 0:
                return "", 0
            with open(path("mode.new"), "w") as f:
                f.write("%s %d\n" % (words[0], n - 1))
            os.rename(path("mode.new"), path("mode"))
        return words[0], n


def load(key_id):
    name = key_id.rpartition("/")[2]
    if key_id.startswith("alias/"):
        try:
            with open(path("alias." + name)) as f:
                name = f.read().strip()
        except FileNotFoundError:
            raise Fault("NotFoundException", "Alias is not found.")
    try:
        with open(path("key." + name)) as f:
            return json.load(f)
    except FileNotFoundError:
        raise Fault("NotFoundException", "Key '%s' does not exist" % key_id)


def store(key):
    tmp = path("tmp.%d" % threading.get_ident())
    with open(tmp, "w") as f:
        json.dump(key, f)
    os.rename(tmp, path("key." + key["KeyId"]))


def usable(key):
    if key["KeyState"] == "Disabled":
        raise Fault("DisabledException", key["Arn"] + " is disabled.")
    if key["KeyState"] == "PendingDeletion":
        raise Fault("KMSInvalidStateException",
                    key["Arn"] + " is pending deletion.")
    return key


def aad(req):
    return json.dumps(req.get("EncryptionContext", {}), sort_keys=True).encode()


def stream(secret, nonce, n):
    out = b""
    while len(out) < n:
        out += hmac.digest(secret, b"s" + nonce + bytes([len(out) // 32]),
                           "sha256")
    return out[:n]


def encrypt(req):
    key = usable(load(req["KeyId"]))
    plain = base64.b64decode(req["Plaintext"], validate=True)
    if not 1 <= len(plain) <= 4096:
        raise Fault("ValidationException")
    secret, nonce = bytes.fromhex(key["secret"]), secrets.token_bytes(16)
    ct = bytes(a ^ b for a, b in zip(plain, stream(secret, nonce, len(plain))))
    head = key["KeyId"].encode() + nonce + ct
    tag = hmac.digest(secret, b"t" + head + aad(req), "sha256")
    return {"CiphertextBlob": base64.b64encode(head + tag).decode(),
            "KeyId": key["Arn"], "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}


def decrypt(req):
    blob = base64.b64decode(req["CiphertextBlob"], validate=True)
    if len(blob) < 36 + 16 + 1 + 32:
        raise Fault("InvalidCiphertextException")
    key = usable(load(blob[:36].decode("ascii", "replace")))
    if "KeyId" in req and load(req["KeyId"])["KeyId"] != key["KeyId"]:
        raise Fault("IncorrectKeyException")
    secret, head, tag = bytes.fromhex(key["secret"]), blob[:-32], blob[-32:]
    want = hmac.digest(secret, b"t" + head + aad(req), "sha256")
    if not hmac.compare_digest(tag, want):
        raise Fault("InvalidCiphertextException")
    ct, nonce = head[52:], head[36:52]
    plain = bytes(a ^ b for a, b in zip(ct, stream(secret, nonce, len(ct))))
    return {"Plaintext": base64.b64encode(plain).decode(), "KeyId": key["Arn"],
            "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}


def describe(key):
    return {"KeyMetadata": dict(
        {k: v for k, v in key.items() if k != "secret"},
        Enabled=key["KeyState"] == "Enabled")}


def create(req):
    key_id = secrets.token_hex(16)
    key_id = "-".join((key_id[:8], key_id[8:12], key_id[12:16], key_id[16:20],
                       key_id[20:]))
    key = {"KeyId": key_id, "Arn": ACCOUNT + "key/" + key_id,
           "KeyState": "Enabled", "KeyUsage": "ENCRYPT_DECRYPT",
           "KeySpec": "SYMMETRIC_DEFAULT", "CreationDate": time.time(),
           "Description": req.get("Description", ""),
           "secret": secrets.token_hex(32)}
    store(key)
    return describe(key)


def set_state(state):
    def change(req):
        key = load(req["KeyId"])
        key["KeyState"] = state
        store(key)
        return {}
    return change


OPS = {"CreateKey": create, "Encrypt": encrypt, "Decrypt": decrypt,
       "DescribeKey": lambda req: describe(load(req["KeyId"])),
       "ListKeys": lambda req: {"Keys": [], "Truncated": False},
       "DisableKey": set_state("Disabled"), "EnableKey": set_state("Enabled"),
       "ScheduleKeyDeletion": set_state("PendingDeletion")}


def check_signature(h, body):
    m = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=AKIDTEST/(\d{8})/([a-z0-9-]+)"
                     r"/kms/aws4_request, SignedHeaders=([a-z0-9;-]+), "
                     r"Signature=([0-9a-f]{64})", h.headers["Authorization"]
                     or "")
    if not m:
        raise Fault("UnrecognizedClientException",
                    "The security token included in the request is invalid.")
    day, region, names, got = m.groups()
    for need in ("host", "x-amz-date", "x-amz-target"):
        if need not in names.split(";"):
            raise Fault("IncompleteSignatureException")
    lines = [n + ":" + " ".join(h.headers[n].split())
             for n in names.split(";")]
    canon = "\n".join(["POST", "/", ""] + lines +
                      ["", names, hashlib.sha256(body).hexdigest()])
    at = h.headers["X-Amz-Date"]
    text = "\n".join(["AWS4-HMAC-SHA256", at,
                      "%s/%s/kms/aws4_request" % (day, region),
                      hashlib.sha256(canon.encode()).hexdigest()])
    k = b"AWS4secret"
    for word in (day, region, "kms", "aws4_request"):
        k = hmac.digest(k, word.encode(), "sha256")
    if hmac.new(k, text.encode(), "sha256").hexdigest() != got:
        raise Fault("InvalidSignatureException")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *a):
        pass

    def send(self, status, data, cut=False):
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(data)))
        if status == 307:
            self.send_header("Location", "https://%s/" % self.headers["Host"])
        self.end_headers()
        self.wfile.write(data[:len(data) // 2] if cut else data)
        if cut:
            self.close_connection = True

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        op = (self.headers["X-Amz-Target"] or "").rpartition(".")[2]
        word, n = mode()
        with LOCK, open(path("log"), "a") as f:
            f.write(op + "\n")
        if word == "slow":
            time.sleep(n / 1000)
        if word == "hang":
            while True:
                time.sleep(1)
        if word == "cut":
            self.close_connection = True
            return
        status, answer = 200, {}
        try:
            if word in ("500", "503"):
                raise Fault("KMSInternalException")
            if word == "throttle":
                raise Fault("ThrottlingException", "Rate exceeded")
            if word == "denied":
                raise Fault("AccessDeniedException")
            check_signature(self, body)
            if op not in OPS:
                raise Fault("UnknownOperationException")
            answer = OPS[op](json.loads(body))
        except Fault as e:
            status = int(word) if word in ("500", "503") else 400
            answer = {"__type": e.kind, "message": e.text}
        except (ValueError, KeyError) as e:
            status, answer = 400, {"__type": "ValidationException",
                                   "message": str(e)}
        if word == "other" and "KeyId" in answer:
            answer["KeyId"] = ACCOUNT + "key/another"
        data = json.dumps(answer).encode()
        if word in ("garbage", "empty", "long"):
            status = 200
        if word == "garbage":
            data = b"<html>not what was asked for</html>"
        elif word == "empty":
            data = b"{}"
        elif word == "long":
            data = b" " * (2 << 20)
        elif word == "redirect":
            status = 307
        self.send(status, data, word == "half")


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def get_request(self):
        # The handshake is the thread's business, not the listener's.
        sock, addr = self.socket.accept()
        with LOCK, open(path("log"), "a") as f:
            f.write("connection\n")
        return CTX.wrap_socket(sock, server_side=True,
                               do_handshake_on_connect=False), addr

    def handle_error(self, request, client_address):
        pass


CTX = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
CTX.load_cert_chain(sys.argv[2], sys.argv[3])
server = Server(("127.0.0.1", int(sys.argv[4]) if len(sys.argv) > 4 else 0),
                Handler)
with open(path("port.new"), "w") as f:
    f.write("%d\n" % server.server_address[1])
os.rename(path("port.new"), path("port"))
server.serve_forever()
