#!/bin/sh
# Who may speak to the KMS API: signatures, clocks, plain HTTP, TLS versions.
# Serves: R7 R18 R25
. "$(dirname "$0")/../../lib.sh"

new_store
py <<'END'
import datetime, http.client, json, os, socket, ssl, subprocess
from kmsapi import Api, REGION, Server, head, run, sign, user
from lib import S, eq, ok

srv = Server()
alice = user("alice", "--admin")
api = Api(srv, alice)
BODY = b"{}"


def send(headers, body=BODY):
    st, h, text = api.raw("ListKeys", body, headers=headers)
    j = json.loads(text)
    if st != 200:
        ok(len(h.get("x-amzn-RequestId", "")) == 36 and
           h.get("x-amzn-errortype") == j["__type"] and
           h.get("Content-Type") == "application/x-amz-json-1.1",
           "an error has its headers")
    return st, j.get("__type"), j.get("message", "")


def refused(desc, kind, headers, body=BODY, like=""):
    st, got, msg = send(headers, body)
    eq((st, got), (400, kind), desc + ": " + kind)
    ok(like in msg, "%s says %r: %r" % (desc, like, msg))


def signed(cred=alice, body=BODY, op="ListKeys", more=None, **kw):
    h = head(srv, op)
    h.update(more or {})
    return sign(cred, h, body, **kw)


eq(send(signed())[0], 200, "a signed request is served")
refused("no signature", "MissingAuthenticationTokenException",
        head(srv, "ListKeys"), like="Missing Authentication Token")
refused("nonsense", "IncompleteSignatureException",
        dict(head(srv, "ListKeys"), Authorization="Basic YTpi"))
h = signed()
h["Authorization"] = h["Authorization"].partition(", Signature=")[0]
refused("half a signature", "IncompleteSignatureException", h)
h = signed()
sig = h["Authorization"]
h["Authorization"] = sig[:-1] + ("0" if sig[-1] != "0" else "1")
refused("a wrong signature", "InvalidSignatureException", h,
        like="does not match the signature you provided")
refused("another secret", "InvalidSignatureException",
        signed((alice[0], alice[1][:-1] + ("x" if alice[1][-1] != "x"
                                           else "y"))))
refused("no such key", "UnrecognizedClientException",
        signed(("AKIA0000000000000000", alice[1])), like="is invalid")
refused("a session token", "UnrecognizedClientException",
        signed(more={"X-Amz-Security-Token": "token"}))
refused("another body", "InvalidSignatureException", signed(body=b"{ }"))
h = signed(op="ListKeys")
h["X-Amz-Target"] = "TrentService.ListAliases"
refused("another operation", "InvalidSignatureException", h)
h = signed()
h["X-Amz-More"] = "1"
st, kind, _ = send(h)
ok(st == 400 and kind in ("InvalidSignatureException",
                          "IncompleteSignatureException"),
   "an X-Amz header that is not signed: %s" % kind)
refused("a wrong body hash", "InvalidSignatureException",
        signed(more={"X-Amz-Content-Sha256": "0" * 64}))
refused("another service", "InvalidSignatureException",
        signed(service="s3"), like="correct service")
refused("another region", "InvalidSignatureException",
        signed(region="eu-west-1"), like="valid region")
refused("a scope of yesterday", "InvalidSignatureException",
        signed(date="20200101"))

# ---- Time
now = datetime.datetime.utcnow()
mins = lambda n: now + datetime.timedelta(minutes=n)
eq(send(signed(when=mins(-14)))[0], 200, "14 minutes old")
eq(send(signed(when=mins(14)))[0], 200, "14 minutes ahead")
refused("16 minutes old", "InvalidSignatureException",
        signed(when=mins(-16)), like="Signature expired: ")
refused("16 minutes ahead", "InvalidSignatureException",
        signed(when=mins(16)), like="Signature not yet current: ")
h = signed()
eq([send(h)[0] for _ in range(3)], [200] * 3,
   "the same request again, within that time, is the documented replay")

# ---- A user without rights, with a grant, with a policy
bob = Api(srv, user("bob"))
m = api("CreateKey")["KeyMetadata"]
bob.fails("AccessDeniedException", "no right", "DescribeKey",
          like="User: arn:aws:iam::000000000000:user/bob is not authorized to "
          "perform: kms:DescribeKey on resource: " + m["Arn"],
          KeyId=m["KeyId"])
g = api("CreateGrant", KeyId=m["KeyId"], Operations=["Encrypt"],
        GranteePrincipal="arn:aws:iam::000000000000:user/bob")
blob = bob("Encrypt", KeyId=m["Arn"], Plaintext="AAEC")["CiphertextBlob"]
bob.fails("AccessDeniedException", "what was not granted", "Decrypt",
          CiphertextBlob=blob)
api("RevokeGrant", KeyId=m["KeyId"], GrantId=g["GrantId"])
bob.fails("AccessDeniedException", "what was taken back", "Encrypt",
          KeyId=m["Arn"], Plaintext="AAEC")
with open(os.environ["T"] + "/p.json", "w") as f:
    json.dump({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": m["Arn"],
         "Condition": {"Bool": {"aws:SecureTransport": "true"},
                       "IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}}]}, f)
eq(run("policy", "put", "read", os.environ["T"] + "/p.json").returncode, 0,
   "a policy on transport and address")
eq(run("policy", "attach", "read", "--user", "bob").returncode, 0,
   "is attached")
eq(bob("Decrypt", CiphertextBlob=blob)["Plaintext"], "AAEC", "and allows")
api("DisableKey", KeyId=m["KeyId"])
bob.fails("DisabledException", "at once", "Decrypt", CiphertextBlob=blob)

# ---- An access key that is taken away
extra = user("carol", "--admin")
eq(send(signed(extra))[0], 200, "another user is served")
run("user", "rm", "carol")
refused("who is removed", "UnrecognizedClientException", signed(extra))

# ---- Transport
for v, good in ((ssl.TLSVersion.TLSv1_3, True), (ssl.TLSVersion.TLSv1_2, True),
                (ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1, False)):
    c = ssl.create_default_context(cafile=srv.ca)
    c.set_ciphers("ALL:@SECLEVEL=0")
    c.minimum_version = c.maximum_version = v
    try:
        with c.wrap_socket(socket.create_connection((srv.host, srv.port)),
                           server_hostname="localhost") as s:
            got = True
    except (ssl.SSLError, OSError):
        got = False
    eq(got, good, "%s is %s" % (v.name, "taken" if good else "refused"))
try:
    ssl.create_default_context().wrap_socket(
        socket.create_connection((srv.host, srv.port)),
        server_hostname="localhost")
    ok(False, "without our CA nobody is fooled")
except ssl.SSLError:
    ok(True, "without our CA nobody is fooled")
with socket.create_connection((srv.host, srv.port)) as s:
    s.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
    try:
        got = s.recv(100)
    except ConnectionResetError:
        got = b""
    ok(b"200" not in got and b"Keys" not in got, "plain HTTP gets nothing")
mode = os.stat(S + "/tls/key.pem").st_mode & 0o777
eq(mode, 0o600, "the key is for its owner alone")
fp = subprocess.run(["openssl", "x509", "-in", S + "/tls/cert.pem", "-noout",
                     "-fingerprint", "-sha256"], stdout=subprocess.PIPE,
                    text=True).stdout.strip().partition("=")[2]
eq(srv.json["fingerprint"], fp, "the fingerprint is the certificate's")
ok(srv.stop(), "the server ends")

# ---- Plain HTTP, as it was asked for
r = run("serve", "--insecure-http", "--listen", "0.0.0.0:0")
eq(r.returncode, 9, "plain HTTP for others is refused")
ok("loopback" in r.stderr, "and says so: %s" % r.stderr.strip())
srv = Server("--insecure-http")
eq((srv.tls, srv.json["fingerprint"]), (False, None), "plain HTTP here")
api = Api(srv, alice)
key = api("CreateKey")["KeyMetadata"]["KeyId"]
ok(api("DescribeKey", KeyId=key), "keys can be managed")
w = api("GenerateDataKeyWithoutPlaintext", KeyId=key, KeySpec="AES_256")
for op, kw in (
        ("Encrypt", {"KeyId": key, "Plaintext": "AA=="}),
        ("Decrypt", {"CiphertextBlob": w["CiphertextBlob"]}),
        ("GenerateDataKey", {"KeyId": key, "KeySpec": "AES_256"}),
        ("GenerateRandom", {"NumberOfBytes": 1}),
        ("GetParametersForImport", {"KeyId": key, "WrappingKeySpec":
                                    "RSA_2048", "WrappingAlgorithm":
                                    "RSAES_OAEP_SHA_256"}),
        ("ImportKeyMaterial", {"KeyId": key, "ImportToken": "AA==",
                               "EncryptedKeyMaterial": "AA=="})):
    api.fails("AccessDeniedException", op + " without TLS", op,
              like="encrypted connections only", **kw)
refused("no signature over HTTP", "MissingAuthenticationTokenException",
        head(srv, "ListKeys"))
ok(srv.stop(), "the server ends")
END
unlike "no secret is in the audit log" "$("$SSEFS" audit show --json)" \
    '"(Plaintext|SecretAccessKey)"'
done_testing
