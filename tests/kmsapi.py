"""The KMS API, for the Python parts of shell cases (see lib.py).

    srv = Server("--listen", ...)  starts "ssefs serve"; srv.url, srv.port,
                                   srv.ca, srv.pid; srv.stop()
    alice = user("alice")          makes a user: an access key (id, secret)
    api = Api(srv, alice)          signs with it
    api("ListKeys", Limit=1)       -> the answer; raises Refused
    api.fails("NotFoundException", "desc", "DescribeKey", KeyId="x")
    api.raw(op, body, ...)         -> status, headers, bytes
    boto(srv, alice)               a boto3 client
    local(op, body)                by the socket in the store
Requests are signed by this file's own code, so that importing is cheap.
"""
import datetime
import hashlib
import hmac
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess

from lib import S, SSEFS, eq, ok, until

REGION = "us-east-1"


def run(*args, **kw):
    return subprocess.run([SSEFS, *args], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, **kw)


def user(name, *args):
    r = run("user", "create", name, "--json", *args)
    if r.returncode != 0:
        raise RuntimeError(r.stderr)
    j = json.loads(r.stdout)
    return j["access_key_id"], j["secret_access_key"]


class Server:
    def __init__(self, *args, listen="127.0.0.1:0"):
        # Named, so that what a case leaves running is found.
        r = run("serve", "--store", S, "--json", "--listen", listen, *args)
        if r.returncode != 0:
            raise RuntimeError("serve: exit %d: %s" % (r.returncode, r.stderr))
        j = json.loads(r.stdout)
        self.json = j
        self.host, _, port = j["address"].rpartition(":")
        self.port = int(port)
        self.tls = j["tls"]
        self.ca = j["ca"]
        self.pid = j["pid"]
        self.url = "%s://%s" % ("https" if self.tls else "http", j["address"])

    def connect(self, timeout=30):
        """A connection, after the TLS handshake."""
        s = socket.create_connection((self.host, self.port), timeout)
        if not self.tls:
            return s
        c = ssl.create_default_context(cafile=self.ca)
        return c.wrap_socket(s, server_hostname=self.host)

    def http(self, timeout=30):
        if not self.tls:
            return http.client.HTTPConnection(self.host, self.port, timeout)
        return http.client.HTTPSConnection(
            self.host, self.port, timeout=timeout,
            context=ssl.create_default_context(cafile=self.ca))

    def stop(self, sig=signal.SIGTERM):
        os.kill(self.pid, sig)
        return until(lambda: not os.path.exists("/proc/%d" % self.pid))


class Refused(Exception):
    def __init__(self, status, kind, message, rid):
        super().__init__("%d %s: %s" % (status, kind, message))
        self.status, self.kind, self.message, self.rid = (
            status, kind, message, rid)


def _mac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def sign(cred, headers, body, when=None, region=REGION, service="kms",
         date=None):
    """Headers with X-Amz-Date and Authorization added; all are signed."""
    now = when or datetime.datetime.utcnow()
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    day = date or stamp[:8]
    h = dict(headers)
    h["X-Amz-Date"] = stamp
    names = sorted(n.lower() for n in h)
    low = {n.lower(): v for n, v in h.items()}
    canon = "\n".join(
        ["POST", "/", ""] + ["%s:%s" % (n, low[n].strip()) for n in names] +
        ["", ";".join(names), hashlib.sha256(body).hexdigest()])
    scope = "/".join((day, region, service, "aws4_request"))
    text = "\n".join(("AWS4-HMAC-SHA256", stamp, scope,
                      hashlib.sha256(canon.encode()).hexdigest()))
    k = ("AWS4" + cred[1]).encode()
    for part in (day, region, service, "aws4_request"):
        k = _mac(k, part)
    h["Authorization"] = (
        "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s" %
        (cred[0], scope, ";".join(names), _mac(k, text).hex()))
    return h


def head(srv, op):
    return {"Host": "%s:%d" % (srv.host, srv.port),
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": "TrentService." + op}


class Api:
    def __init__(self, srv, cred):
        self.srv, self.cred, self.conn = srv, cred, None

    def raw(self, op, body, headers=None, **kw):
        """One request; body is bytes, or what JSON is made of."""
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        if headers is None:
            headers = sign(self.cred, head(self.srv, op), body, **kw)
        for again in (True, False):
            if self.conn is None:
                self.conn = self.srv.http()
            try:
                self.conn.request("POST", "/", body, headers)
                r = self.conn.getresponse()
                return r.status, r.headers, r.read()
            except (http.client.HTTPException, OSError):
                # One that was kept open may have been closed meanwhile.
                self.conn.close()
                self.conn = None
                if not again:
                    raise

    def answer(self, status, headers, text):
        j = json.loads(text)
        if status == 200:
            return j
        raise Refused(status, j.get("__type"), j.get("message"),
                      headers.get("x-amzn-RequestId"))

    def __call__(self, op, **body):
        return self.answer(*self.raw(op, body))

    def fails(self, kind, desc, op, like="", **body):
        try:
            self(op, **body)
        except Refused as e:
            eq((e.kind, like in (e.message or "")), (kind, True),
               "%s: %s" % (desc, kind))
            if like not in (e.message or ""):
                print("#   message: %s" % e.message)
            return e
        ok(False, "%s: %s" % (desc, kind))
        return None


def boto(srv, cred):
    import boto3
    from botocore.config import Config
    return boto3.client(
        "kms", region_name=REGION, endpoint_url=srv.url, verify=srv.ca,
        aws_access_key_id=cred[0], aws_secret_access_key=cred[1],
        config=Config(retries={"max_attempts": 1}))


def local(op, body, path=None):
    """By the socket in the store: status and what JSON says."""
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(30)
    d = os.open(path or S, os.O_RDONLY)
    s.connect("/proc/self/fd/%d/kms.sock" % d)
    os.close(d)
    c = http.client.HTTPConnection("localhost")
    c.sock = s
    c.request("POST", "/", body, {"X-Amz-Target": "TrentService." + op,
                                  "Content-Type": "application/x-amz-json-1.1"})
    r = c.getresponse()
    text = r.read()
    c.close()
    return r.status, json.loads(text)
